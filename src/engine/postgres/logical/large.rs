//! Large objects: no publication carries what is written to them. Which of the leader's were written shows by the transactions
//! that did it; those go over when V2 gets ready, and what was written after that goes over in the window, behind the fence.
//!
//! What the follower's are like is written down beside its copy; nothing is: it is not known, and all of them go over.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::databases::Open;
use crate::config::quantity::Bytes;
use crate::engine::Place;
use crate::engine::postgres::names::ident;
use crate::engine::postgres::session::{Session, Timeouts, column};
use crate::engine::postgres::{connect, files};
use crate::trouble::Trouble;

/// Accepts that there are any.
const ALLOWED: &str = "large-objects";

/// In a database: more is not looked at in the window, as a look reads all of it.
const MOST: u64 = 64 << 20;

/// What goes over at once.
const PIECE: u32 = 1 << 20;

/// By number: which transactions have written what there is.
type Marks = BTreeMap<u32, String>;
type ByDatabase = BTreeMap<String, Marks>;

const MARKS: &str = "SELECT coalesce(json_object_agg(m.oid, concat_ws(' ', m.xmin, l.n, l.newest)), '{}')
  FROM pg_largeobject_metadata AS m LEFT JOIN (SELECT loid, count(*) AS n, sum(xmin::text::bigint) AS newest
    FROM pg_largeobject GROUP BY loid) AS l ON l.loid = m.oid";

/// Those of the leader as they are now.
pub(super) async fn look(leader: &[Open]) -> Result<ByDatabase, Trouble> {
    let each = leader.iter().map(async |open| Ok((open.name.clone(), open.session.json(MARKS).await?)));
    Ok(try_join_all(each).await?.into_iter().collect())
}

pub(super) async fn write_down(follower: &Place, marks: &ByDatabase) -> Result<(), Trouble> {
    put(follower, files::LARGE, marks).await
}

/// The follower's own as they are before clients use it: what the other side has when it follows.
pub(super) async fn keep_own(place: &Place, all: &[Open]) -> Result<(), Trouble> {
    put(place, files::OWN_LARGE, &look(all).await?).await
}

/// What [`keep_own`] kept on the leader of now is what `follower` has.
pub(super) async fn take_over(leader: &Place, follower: &Place) -> Result<(), Trouble> {
    match files::read(leader, files::OWN_LARGE).await? {
        Some(text) => files::write(follower, files::LARGE, &text).await,
        None => Ok(()),
    }
}

async fn put(place: &Place, file: &str, marks: &ByDatabase) -> Result<(), Trouble> {
    let text = serde_json::to_vec(marks).map_err(|error| Trouble::bug("marks do not become text").because(error))?;
    files::write(place, file, &text).await
}

async fn written_down(follower: &Place) -> Result<ByDatabase, Trouble> {
    let Some(text) = files::read(follower, files::LARGE).await? else { return Ok(ByDatabase::new()) };
    serde_json::from_slice(&text)
        .map_err(|error| Trouble::failed("what V2's large objects are like cannot be read").because(error))
}

/// What has to be done on the follower, by number.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    written: Vec<u32>,
    gone: Vec<u32>,
}

impl News {
    fn between(then: &Marks, now: &Marks) -> News {
        News {
            written: now.iter().filter(|(oid, mark)| then.get(oid) != Some(mark)).map(|(oid, _)| *oid).collect(),
            gone: then.keys().filter(|oid| !now.contains_key(oid)).copied().collect(),
        }
    }

    fn count(&self) -> usize {
        self.written.len() + self.gone.len()
    }
}

/// One database's, of which the follower has what is marked.
struct Pair {
    name: String,
    from: Session,
    to: Session,
    known: Marks,
}

/// Sessions on both sides, opened before the window, where there are any.
#[derive(Default)]
pub(super) struct Pairs {
    pairs: Vec<Pair>,
    /// Databases that the window leaves alone.
    left: Vec<String>,
}

/// The follower's are as the leader's are now.
pub(super) async fn ensure_carried(place: &Place, leader: &[Open]) -> Result<Pairs, Trouble> {
    let (mut then, now) = (written_down(place).await?, look(leader).await?);
    let changed: BTreeMap<&String, News> = now
        .iter()
        .map(|(database, marks)| (database, News::between(&then.remove(database).unwrap_or_default(), marks)))
        .filter(|(_, news)| news.count() > 0)
        .collect();
    if !changed.is_empty() && !place.plan.allow.iter().any(|allowed| allowed == ALLOWED) {
        return Err(refused(&changed));
    }
    let other = Place { side: place.side.other(), ..place.clone() };
    let mut pairs = Vec::new();
    for (database, marks) in now.iter().filter(|(database, marks)| !marks.is_empty() || changed.contains_key(database))
    {
        let from = connect::admin_in(&other, database, "switchover", Timeouts::NONE).await?;
        let to = connect::admin_in(place, database, "switchover", Timeouts::NONE).await?;
        let pair = Pair { name: database.clone(), from, to, known: marks.clone() };
        if let Some(news) = changed.get(database) {
            pair.carry(news).await?;
        }
        pairs.push(pair);
    }
    if !changed.is_empty() {
        write_down(place, &now).await?;
    }
    Ok(Pairs { pairs, left: Vec::new() })
}

fn refused(changed: &BTreeMap<&String, News>) -> Trouble {
    let each = changed.iter().map(|(database, news)| format!("{} in {}", news.count(), database.escape_debug()));
    let many = each.collect::<Vec<_>>().join(", ");
    Trouble::not_ready(format!("V1's large objects are not what was copied any more: {many} were written or unlinked"))
        .hint(format!(
            "`switchover abort`, then run again with `--allow {ALLOWED}`: what is written to them is carried, too"
        ))
        .hint("keep such data in columns of type bytea")
}

impl Pairs {
    /// Without those that a look in the window would take too long for: they are said.
    pub(super) async fn for_the_window(self, place: &Place) -> Result<Pairs, Trouble> {
        const SIZE: &str = "SELECT pg_relation_size('pg_largeobject')";
        let mut few = Pairs::default();
        for pair in self.pairs {
            let bytes = pair.from.text(SIZE).await?.and_then(|bytes| bytes.parse().ok()).map(Bytes);
            match bytes {
                Some(bytes) if bytes.0 <= MOST => few.pairs.push(pair),
                Some(bytes) => {
                    place.tell.warning(format!(
                        "{} has {bytes} of large objects, too much for the window: what is written to them from now on is \
                         missing on V2, and the comparison will tell",
                        pair.name.escape_debug()
                    ));
                    few.left.push(pair.name);
                }
                None => return Err(Trouble::bug("V1 does not say how large its large objects are")),
            }
        }
        Ok(few)
    }

    pub(super) fn are_alive(&self) -> bool {
        self.pairs.iter().all(|pair| pair.from.is_alive() && pair.to.is_alive())
    }

    /// For use inside the window, behind the fence. Says how many objects went over or away.
    pub(super) async fn carry(&self, leader: &[Open]) -> Result<usize, Trouble> {
        self.refuse_first(leader).await?;
        let each = self.pairs.iter().map(async |pair| {
            let news = News::between(&pair.known, &pair.from.json(MARKS).await?);
            pair.carry(&news).await?;
            Ok::<_, Trouble>(news.count())
        });
        Ok(try_join_all(each).await?.into_iter().sum())
    }
}

impl Pairs {
    /// Where there were none, nothing was opened for them.
    async fn refuse_first(&self, leader: &[Open]) -> Result<(), Trouble> {
        let had_none =
            |open: &&Open| !self.left.contains(&open.name) && !self.pairs.iter().any(|it| it.name == open.name);
        let each = leader.iter().filter(had_none).map(async |open| {
            match open.session.text("SELECT count(*) FROM pg_largeobject_metadata").await?.as_deref() {
                Some("0") => Ok(()),
                _ => Err(Trouble::not_ready(format!(
                    "V1's first large objects in {} were made a moment before the switch",
                    open.name.escape_debug()
                ))
                .hint("`switchover cutover` looks at it again")),
            }
        });
        try_join_all(each).await.map(drop)
    }
}

/// Owner, and who may do what with it.
#[derive(Deserialize)]
struct Rights {
    owner: String,
    /// (role, `None`: everybody; privilege; with grant option)
    granted: Vec<(Option<String>, String, bool)>,
}

const RIGHTS: &str = "SELECT json_build_object('owner', pg_get_userbyid(lomowner), 'granted', coalesce((SELECT
    json_agg(json_build_array(CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable))
    FROM aclexplode(lomacl) AS a), '[]')) FROM pg_largeobject_metadata WHERE oid = ";

impl Pair {
    async fn carry(&self, news: &News) -> Result<(), Trouble> {
        for oid in &news.gone {
            self.to.run(&unlink(*oid)).await?;
        }
        for oid in &news.written {
            self.one(*oid).await.map_err(|trouble| {
                Trouble::not_ready(format!("large object {oid} in {} cannot be carried", self.name.escape_debug()))
                    .because(trouble)
                    .hint("it may have been unlinked at this moment: try again")
            })?;
        }
        Ok(())
    }

    /// Made anew, in one transaction.
    async fn one(&self, oid: u32) -> Result<(), Trouble> {
        let rights: Rights = self.from.json(&format!("{RIGHTS}{oid}")).await?;
        self.to.run(&format!("BEGIN; {}; SELECT lo_create({oid})", unlink(oid))).await?;
        let written = self.content(oid).await;
        let end = if written.is_ok() { format!("{}; COMMIT", rights.statements(oid)) } else { "ROLLBACK".to_owned() };
        let ended = self.to.run(&end).await;
        if ended.is_err() {
            self.to.run("ROLLBACK").await?;
        }
        written.and(ended)
    }

    async fn content(&self, oid: u32) -> Result<(), Trouble> {
        let mut at = 0_i64;
        loop {
            let piece = format!("SELECT lo_get({oid}, {at}, {PIECE})");
            let piece: Vec<u8> = column(&self.from.row(&piece, &[]).await?, 0)?;
            self.to.row(&format!("SELECT lo_put({oid}, {at}, $1)"), &[&piece]).await?;
            if piece.len() < PIECE as usize {
                return Ok(());
            }
            at += i64::from(PIECE);
        }
    }
}

fn unlink(oid: u32) -> String {
    format!("SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid = {oid}")
}

impl Rights {
    fn statements(&self, oid: u32) -> String {
        let mut all = vec![format!("ALTER LARGE OBJECT {oid} OWNER TO {}", ident(&self.owner))];
        for (role, privilege, grantable) in &self.granted {
            // A keyword, by the server itself.
            let to = role.as_deref().map_or_else(|| "PUBLIC".to_owned(), ident);
            let option = if *grantable { " WITH GRANT OPTION" } else { "" };
            all.push(format!("GRANT {privilege} ON LARGE OBJECT {oid} TO {to}{option}"));
        }
        all.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_what_is_gone() {
        let then = Marks::from([(1, "5 1 5".into()), (2, "5 1 5".into()), (3, "5 1 5".into())]);
        let now = Marks::from([(1, "5 1 5".into()), (2, "5 2 12".into()), (4, "9".into())]);
        assert_eq!(News::between(&then, &now), News { written: vec![2, 4], gone: vec![3] });
        assert_eq!(News::between(&then, &then).count(), 0);
    }

    #[test]
    fn rights_go_with_it_whatever_roles_are_called() {
        let granted = vec![(None, "SELECT".into(), false), (Some("a \"b".into()), "UPDATE".into(), true)];
        assert_eq!(
            Rights { owner: "O'Neill".into(), granted }.statements(7),
            "ALTER LARGE OBJECT 7 OWNER TO \"O'Neill\"; GRANT SELECT ON LARGE OBJECT 7 TO PUBLIC; \
             GRANT UPDATE ON LARGE OBJECT 7 TO \"a \"\"b\" WITH GRANT OPTION"
        );
    }
}
