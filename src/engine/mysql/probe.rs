//! A write through the clients' own address, by `mysql`. That it was V2 that took it is told by its `server_uuid`, which no copy of
//! ours takes along.

use std::rc::Rc;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::connect::Session;
use super::{accounts, names};
use crate::engine::mysql_wire::quote::qualified;
use crate::engine::tries::{self, Tries};
use crate::engine::{Address, Place, Probe};
use crate::trouble::Trouble;

/// A line of its input is a try.
const TRIES: &str = r#"
command -v mysql >/dev/null || { echo "no mysql"; exit 0; }
echo ready
while read -r sql; do
  if said=$(mysql --defaults-file=/switchover.cnf --connect-timeout=2 -N -B -e "$sql" 2>/tmp/why); then
    echo "ok $said"
  else
    echo "no $(tail -n 1 /tmp/why)"
  fi
done
"#;

struct MysqlProbe {
    tries: Tries,
    /// On V2 itself.
    session: Rc<Session>,
    write: String,
}

pub(super) async fn open(place: &Place, session: Rc<Session>, at: &Address) -> Result<Box<dyn Probe>, Trouble> {
    let plan = &place.plan;
    let password = accounts::password(place, names::PROBE_SECRET)?;
    let options = format!(
        "[client]\nuser={}\npassword={}\nhost={}\nport={}\nprotocol=TCP\n",
        names::probe(plan),
        password.expose_secret(),
        at.host,
        at.port
    );
    let entrypoint = ["sh", "-c", TRIES].map(str::to_owned).to_vec();
    let tries = tries::open(place, at, entrypoint, ("/switchover.cnf", options)).await?;
    let schema = names::schema(plan);
    let table = qualified(&schema, &schema);
    let write = format!("REPLACE INTO {table} VALUES (1); SELECT @@server_uuid");
    Ok(Box::new(MysqlProbe { tries, session, write }))
}

#[async_trait(?Send)]
impl Probe for MysqlProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        let v2 = self.session.text("SELECT @@server_uuid").await?;
        self.tries.until_taken(&self.write, v2.as_deref()).await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        self.tries.end().await
    }
}
