//! Proves a write through the clients' own address: a helper on their network, made before the window, that connects
//! as any client would when it is told to.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::session::Timeouts;
use super::{connect, names};
use crate::engine::{Address, Place, Probe};
use crate::runtime::{File, Helper, HelperSpec};
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// `$1` host, `$2` port, `$3` role, `$4` database. Answers each line with one. (`PG_MAJOR`: past the wrapper that
/// Debian's `psql` is, which costs 40 ms.)
const SCRIPT: &str = r#"
PATH=/usr/lib/postgresql/${PG_MAJOR:-0}/bin:$PATH
export PGPASSFILE=/tmp/switchover-passwords PGCONNECT_TIMEOUT=2 PGAPPNAME='switchover probe'
write="SELECT extract(epoch FROM pg_postmaster_start_time()) || CASE WHEN pg_logical_emit_message(true, 'switchover', 'probe') IS NULL THEN 'x' ELSE '' END"
while read -r order; do
  if out=$(psql -X -q -A -t -h "$1" -p "$2" -U "$3" -d "$4" -c "$write" 2>&1); then echo "wrote $out"; else echo "failed $(echo "$out" | tr '\n' ' ')"; fi
done
"#;

struct PgProbe {
    place: Place,
    address: Address,
    helper: Box<dyn Helper>,
    /// When V2 started, as it says itself: no other server says the same.
    v2_started: String,
}

pub(super) async fn probe(place: &Place, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
    let session = connect::admin(place, "switchover", Timeouts::short(place.plan.limits.statement.0)).await?;
    let v2_started = session.text("SELECT extract(epoch FROM pg_postmaster_start_time())").await?.unwrap_or_default();
    let role = names::probe(&place.plan);
    let password = place.secrets.secret(names::PROBE_SECRET)?;
    let port = at.port.to_string();
    let script = ["sh", "-c", SCRIPT, "sh", &at.host, &port, &role, connect::DATABASE];
    let network = at.network.clone().unwrap_or_else(|| "host".to_owned());
    let spec = HelperSpec {
        name: format!("switchover-{}-probe-{}", place.plan.tag(), digest(&format!("{network} {} {port}", at.host))),
        image: place.plan.v2.image_id.clone(),
        entrypoint: script.map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        network: Some(network),
        files: vec![File {
            path: "/tmp/switchover-passwords".into(),
            content: format!("*:*:*:{role}:{}\n", password.expose_secret()).into_bytes(),
            mode: 0o600,
            uid: 0,
            gid: 0,
        }],
        labels: place.plan.labels("both"),
        ..HelperSpec::default()
    };
    let helper = place.runtime.helper(&spec).await?;
    Ok(Box::new(PgProbe { place: place.clone(), address: at.clone(), helper, v2_started }))
}

/// Short and the same for the same address: a name that a resumed run finds again.
fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}").split_off(8)
}

#[async_trait(?Send)]
impl Probe for PgProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        let what = format!("a write through {}:{}", self.address.host, self.address.port);
        let wait = Wait {
            what: &what,
            limit: Limit { name: "limits.cutover", value: self.place.plan.limits.cutover.0 },
            every: Duration::from_millis(5),
            kind: Kind::Failed,
        };
        let (helper, v2_started) = (&mut self.helper, &self.v2_started);
        wait::until(wait, &self.place.tell, async || {
            helper.send("write").await?;
            Ok(match helper.line().await?.as_deref() {
                Some(answer) if answer.strip_prefix("wrote ") == Some(v2_started) => Look::Done(()),
                Some(answer) if answer.starts_with("wrote ") => Look::NotYet("another server than V2 answered".into()),
                Some(answer) => Look::NotYet(answer.to_owned()),
                None => return Err(Trouble::failed("the probe on the clients' network has ended")),
            })
        })
        .await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        self.helper.end().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_has_the_same_name() {
        assert_eq!(digest("shop db 5432"), digest("shop db 5432"));
        assert_ne!(digest("shop db 5432"), digest("shop db 5433"));
        assert_eq!(digest("").len(), 8);
    }
}
