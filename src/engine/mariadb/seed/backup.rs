//! The seed `backup`: V1's pages by mariadb-backup of V1's own image, while V1 serves; brought up to one moment by the same program.

use super::{ensure_begun, finished};
use crate::engine::mariadb::before::Before;
use crate::engine::mariadb::position::At;
use crate::engine::mysql_family::copier::{self, Ask, Copier};
use crate::engine::mysql_family::running;
use crate::engine::{Place, Seeded, Side};
use crate::trouble::Trouble;

/// What it copies at a time, as its own option counts it.
const PIECE: u64 = 10 << 20;

/// Names of the program over the versions.
const GROUPS: [&str; 2] = ["mariadb-backup", "mariabackup"];

pub(super) async fn ensure_seeded(place: &Place) -> Result<Seeded, Trouble> {
    if let Some(position) = finished(place).await? {
        return Ok(Seeded { position, bytes: place.plan.bytes });
    }
    running::ensure_stopped(place).await?;
    let before = Before::of(&place.plan)?;
    let ask = Ask {
        owner: before.owner(Side::V2),
        options: Vec::new(),
        log: String::new(),
        files: vec![copier::login(place, &GROUPS).await?],
    };
    let mut copier = Copier::start(place, ask).await?;
    copier.alone(&order(place), "the copy of V1's pages", Some(place.plan.bytes)).await?;
    copier.alone("prepare", "the copy to be made whole", None).await?;
    let at = read(&copier.asked("position", "where the copy ends in V1's log").await?)?;
    ensure_begun(place, copier, &at).await
}

fn order(place: &Place) -> String {
    let order = "backup --parallel=4".to_owned();
    match place.plan.limits.seed_rate {
        None => order,
        Some(rate) => format!("{order} --throttle={}", (rate.0 / PIECE).max(1)),
    }
}

/// As in `binlog.000001 854 0-1-3`. The last word is missing where nothing was ever written.
fn read(said: &str) -> Result<At, Trouble> {
    let mut words = said.split_whitespace();
    match (words.next(), words.next().and_then(|word| word.parse().ok())) {
        (Some(file), Some(offset)) => Ok(At { file: file.to_owned(), offset, gtids: words.collect::<String>() }),
        _ => Err(Trouble::failed("mariadb-backup does not say where the copy ends in V1's log")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_copy_ends_is_read() {
        let at = |gtids: &str| At { file: "binlog.000002".into(), offset: 854, gtids: gtids.into() };
        assert_eq!(read("binlog.000002 854 0-1-3").unwrap(), at("0-1-3"));
        assert_eq!(read("binlog.000002 854 0-1-3, 5-1-7").unwrap(), at("0-1-3,5-1-7"), "several domains");
        assert_eq!(read("binlog.000002 854").unwrap(), at(""));
        assert!(read("").is_err());
    }
}
