//! Tries of a write through the clients' own address: by an engine's client program, in a helper that stands where clients stand,
//! made beforehand. The program answers each line of its input with `ok WHO` or `no WHY`.

use std::time::Duration;

use super::{Address, Place};
use crate::runtime::{File, Helper, HelperSpec};
use crate::tell::Teller;
use crate::trouble::{Kind, Trouble};
use crate::wait::{self, Limit, Look, Wait};

pub(in crate::engine) struct Tries {
    helper: Box<dyn Helper>,
    limit: Duration,
    tell: Teller,
    at: String,
}

/// `entrypoint`: the program, which says `ready` first; `secret`: the file it gets in with.
pub(in crate::engine) async fn open(
    place: &Place,
    at: &Address,
    entrypoint: Vec<String>,
    secret: (&str, String),
) -> Result<Tries, Trouble> {
    let plan = &place.plan;
    let (path, content) = (secret.0.to_owned(), secret.1.into_bytes());
    let spec = HelperSpec {
        name: helper_name(plan.tag(), at),
        image: plan.v2.image_id.clone(),
        entrypoint,
        user: Some("0:0".into()),
        network: Some(at.network.clone().unwrap_or_else(|| "host".into())),
        files: vec![File { path, content, mode: 0o600, uid: 0, gid: 0 }],
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
    let at = format!("{}:{}", at.host, at.port);
    Ok(Tries { helper, limit: plan.limits.cutover.0, tell: place.tell.clone(), at })
}

/// One for each address.
fn helper_name(tag: &str, at: &Address) -> String {
    let host: String = at.host.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("switchover-{tag}-probe-{host}-{}-{}", at.port, at.network.as_deref().unwrap_or("host"))
}

impl Tries {
    /// Until `sql` was taken by the server that calls itself `who`.
    pub(in crate::engine) async fn until_taken(&mut self, sql: &str, who: Option<&str>) -> Result<(), Trouble> {
        let what = format!("a write through {}", self.at);
        let wait = Wait {
            what: &what,
            limit: Limit { name: "limits.cutover", value: self.limit },
            every: Duration::from_millis(5),
            kind: Kind::Failed,
        };
        let helper = &mut self.helper;
        wait::until(wait, &self.tell, async || {
            helper.send(sql).await?;
            let Some(said) = helper.line().await? else { return Err(Trouble::failed("the probe ended by itself")) };
            Ok(match said.split_once(' ') {
                Some(("ok", taken_by)) if Some(taken_by) == who => Look::Done(()),
                Some(("ok", _)) => Look::NotYet("another server than V2 took it".into()),
                Some((_, why)) => Look::NotYet(why.to_owned()),
                None => Look::NotYet("no answer".into()),
            })
        })
        .await
    }

    pub(in crate::engine) async fn end(self) -> Result<(), Trouble> {
        self.helper.end().await.map(drop)
    }
}
