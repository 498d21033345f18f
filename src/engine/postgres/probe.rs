//! A write through the clients' own address: by psql, in a helper that stands where clients stand, made beforehand.
//! That it was V2 that took it, is told by the server's start time: it cannot be copied, as an address or data can.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::session::Session;
use super::{names, standby};
use crate::engine::{Address, Place, Probe};
use crate::runtime::{File, Helper, HelperSpec};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

/// `$1` host, `$2` port, `$3` user. A line of its input is a try. Debian's psql is a script that starts another one:
/// the real one is taken where it is known to be.
const TRIES: &str = r#"
export PGPASSFILE=/switchover.pass PGCONNECT_TIMEOUT=2 PGGSSENCMODE=disable HOME=/tmp
for psql in /usr/lib/postgresql/*/bin/psql; do :; done
[ -x "$psql" ] || psql=$(command -v psql) || { echo "no psql"; exit 0; }
echo ready
while read -r sql; do
  if said=$("$psql" -X -A -t -q -w -v ON_ERROR_STOP=1 -h "$1" -p "$2" -U "$3" -d postgres -c "$sql" 2>/tmp/why); then
    echo "ok $said"
  else
    echo "no $(tail -n 1 /tmp/why)"
  fi
done
"#;

/// A commit of its own, and who took it.
const WRITE: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint \
                     FROM pg_logical_emit_message(true, 'switchover', 'probe')";

const WHO: &str = "SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";

struct PgProbe {
    helper: Box<dyn Helper>,
    /// On V2 itself: says when it was started.
    session: Rc<Session>,
    limit: Duration,
    tell: Teller,
    at: String,
}

pub(super) async fn open(place: &Place, session: Rc<Session>, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
    let plan = &place.plan;
    let user = names::probe(plan);
    let password = place.secrets.secret(names::PROBE_SECRET)?;
    let line = standby::pass_line(&user, password.expose_secret());
    let port = at.port.to_string();
    let spec = HelperSpec {
        name: format!("switchover-{}-probe-{port}-{}", plan.tag(), at.network.as_deref().unwrap_or("host")),
        image: plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", TRIES, "sh", &at.host, &port, &user].map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        network: Some(at.network.clone().unwrap_or_else(|| "host".into())),
        files: vec![File { path: "/switchover.pass".into(), content: line.into_bytes(), mode: 0o600, uid: 0, gid: 0 }],
        labels: plan.labels("both"),
        ..HelperSpec::default()
    };
    let mut helper = place.runtime.helper(&spec).await?;
    let limit = Limit { name: "limits.statement", value: Duration::from_secs(10) };
    let answer = wait::within(limit, "the probe's start", helper.line()).await?;
    if answer.as_deref() != Some("ready") {
        helper.end().await?;
        return Err(Trouble::failed("the clients' address cannot be tried")
            .because(Trouble::failed(answer.unwrap_or_else(|| "the helper ended".into()))));
    }
    Ok(Box::new(PgProbe {
        helper,
        session,
        limit: plan.limits.cutover.0,
        tell: place.tell.clone(),
        at: format!("{}:{port}", at.host),
    }))
}

#[async_trait(?Send)]
impl Probe for PgProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        let v2 = self.session.text(WHO).await?;
        let what = format!("a write through {}", self.at);
        let wait = Wait {
            what: &what,
            limit: Limit { name: "limits.cutover", value: self.limit },
            every: Duration::from_millis(5),
            kind: Kind::Failed,
        };
        let helper = &mut self.helper;
        wait::until(wait, &self.tell, async || {
            helper.send(WRITE).await?;
            let Some(said) = helper.line().await? else { return Err(Trouble::failed("the probe ended by itself")) };
            Ok(match said.split_once(' ') {
                Some(("ok", who)) if Some(who) == v2.as_deref() => Look::Done(()),
                Some(("ok", _)) => Look::NotYet("another server than V2 took it".into()),
                Some((_, why)) => Look::NotYet(why.to_owned()),
                None => Look::NotYet("no answer".into()),
            })
        })
        .await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        self.helper.end().await.map(drop)
    }
}
