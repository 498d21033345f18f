//! A write through the clients' own address, by psql. That it was V2 that took it, is told by the server's start time: it cannot be
//! copied, as an address or data can.

use std::rc::Rc;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::session::Session;
use super::{names, standby};
use crate::engine::tries::{self, Tries};
use crate::engine::{Address, Place, Probe};
use crate::trouble::Trouble;

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
    tries: Tries,
    /// On V2 itself: says when it was started.
    session: Rc<Session>,
}

pub(super) async fn open(place: &Place, session: Rc<Session>, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
    let user = names::probe(&place.plan);
    let password = place.secrets.secret(names::PROBE_SECRET)?;
    let line = standby::pass_line(&user, password.expose_secret());
    let port = at.port.to_string();
    let entrypoint = ["sh", "-c", TRIES, "sh", &at.host, &port, &user].map(str::to_owned).to_vec();
    let tries = tries::open(place, at, entrypoint, ("/switchover.pass", line)).await?;
    Ok(Box::new(PgProbe { tries, session }))
}

#[async_trait(?Send)]
impl Probe for PgProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        let v2 = self.session.text(WHO).await?;
        self.tries.until_taken(WRITE, v2.as_deref()).await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        self.tries.end().await
    }
}
