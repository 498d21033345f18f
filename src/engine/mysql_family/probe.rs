//! A write through the clients' own address, by the engine's client program. That it was V2 that took it is told by what the
//! engine knows V2 by.

use std::rc::Rc;

use async_trait::async_trait;

use super::{accounts, client_file, names};
use crate::engine::mysql_wire::quote::qualified;
use crate::engine::mysql_wire::session::Session;
use crate::engine::tries::{self, Tries};
use crate::engine::{Address, Place, Probe};
use crate::trouble::Trouble;

/// A line of its input is a try.
const TRIES: &str = r#"
client=$(command -v mariadb || command -v mysql) || { echo "no client program in the image"; exit 0; }
echo ready
while read -r sql; do
  if said=$("$client" --defaults-file=/switchover.cnf --connect-timeout=2 -N -B -e "$sql" 2>/tmp/why); then
    echo "ok $said"
  else
    echo "no $(tail -n 1 /tmp/why)"
  fi
done
"#;

struct ByClient {
    tries: Tries,
    /// On V2 itself.
    session: Rc<Session>,
    who: &'static str,
    write: String,
}

/// `who`: an expression, of which V2's value is not V1's.
pub(in crate::engine) async fn open(
    place: &Place,
    session: Rc<Session>,
    at: &Address,
    who: &'static str,
) -> Result<Box<dyn Probe>, Trouble> {
    let plan = &place.plan;
    let password = accounts::password(place, names::PROBE_SECRET)?;
    let options = client_file::text(&names::probe(plan), &password, &at.host, at.port);
    let entrypoint = ["sh", "-c", TRIES].map(str::to_owned).to_vec();
    let tries = tries::open(place, at, entrypoint, (client_file::PATH, options)).await?;
    let schema = names::schema(plan);
    let write = format!("REPLACE INTO {} VALUES (1); SELECT {who}", qualified(&schema, &schema));
    Ok(Box::new(ByClient { tries, session, who, write }))
}

#[async_trait(?Send)]
impl Probe for ByClient {
    async fn write(&mut self) -> Result<(), Trouble> {
        let v2 = self.session.text(&format!("SELECT {}", self.who)).await?;
        self.tries.until_taken(&self.write, v2.as_deref()).await
    }

    async fn end(self: Box<Self>) -> Result<(), Trouble> {
        self.tries.end().await
    }
}
