//! A write through the clients' own address: by `mysql`, in a helper that stands where clients stand, made beforehand.
//! That it was V2 that took it is told by its `server_uuid`, which no copy of ours takes along.

use std::rc::Rc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::connect::Session;
use super::{accounts, names};
use crate::engine::mysql_wire::quote::qualified;
use crate::engine::{Address, Place, Probe};
use crate::runtime::{File, Helper, HelperSpec};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

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
    helper: Box<dyn Helper>,
    session: Rc<Session>,
    write: String,
    limit: Duration,
    tell: Teller,
    at: String,
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
    let spec = HelperSpec {
        name: format!("switchover-{}-probe-{}-{}", plan.tag(), at.port, at.network.as_deref().unwrap_or("host")),
        image: plan.v2.image_id.clone(),
        entrypoint: ["sh", "-c", TRIES].map(str::to_owned).to_vec(),
        user: Some("0:0".into()),
        network: Some(at.network.clone().unwrap_or_else(|| "host".into())),
        files: vec![File {
            path: "/switchover.cnf".into(),
            content: options.into_bytes(),
            mode: 0o600,
            uid: 0,
            gid: 0,
        }],
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
    let schema = names::schema(plan);
    let table = qualified(&schema, &schema);
    Ok(Box::new(MysqlProbe {
        helper,
        session,
        write: format!("REPLACE INTO {table} VALUES (1); SELECT @@server_uuid"),
        limit: plan.limits.cutover.0,
        tell: place.tell.clone(),
        at: format!("{}:{}", at.host, at.port),
    }))
}

#[async_trait(?Send)]
impl Probe for MysqlProbe {
    async fn write(&mut self) -> Result<(), Trouble> {
        let v2 = self.session.text("SELECT @@server_uuid").await?;
        let what = format!("a write through {}", self.at);
        let wait = Wait {
            what: &what,
            limit: Limit { name: "limits.cutover", value: self.limit },
            every: Duration::from_millis(5),
            kind: Kind::Failed,
        };
        let helper = &mut self.helper;
        let sql = &self.write;
        wait::until(wait, &self.tell, async || {
            helper.send(sql).await?;
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
