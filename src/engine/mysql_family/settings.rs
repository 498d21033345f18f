//! The settings in force on two servers, held against each other.

use std::collections::BTreeMap;

use crate::engine::mysql_wire::session::Session;
use crate::tell::Teller;
use crate::trouble::Trouble;

/// Longer values are cut: their names say enough.
const SHOWN: usize = 40;

/// What differs, but for what does so by nature or on purpose (`apart`).
async fn differing(v1: &Session, v2: &Session, apart: &[&str]) -> Result<Vec<String>, Trouble> {
    Ok(said(&in_force(v1).await?, &in_force(v2).await?, apart))
}

pub(in crate::engine) async fn in_force(session: &Session) -> Result<BTreeMap<String, String>, Trouble> {
    Ok(session.pairs("SHOW GLOBAL VARIABLES").await?.into_iter().collect())
}

fn said(v1: &BTreeMap<String, String>, v2: &BTreeMap<String, String>, apart: &[&str]) -> Vec<String> {
    let by_nature = |name: &str| apart.contains(&name) || name.starts_with("version") || name.starts_with("report_");
    v1.iter()
        .filter(|(name, _)| !by_nature(name))
        .filter_map(|(name, value)| {
            let other = v2.get(name).filter(|other| *other != value)?;
            Some(format!("{name} ({} → {})", shown(value), shown(other)))
        })
        .collect()
}

fn shown(value: &str) -> String {
    let cut: String = value.chars().take(SHOWN).collect();
    let rest = if cut.len() < value.len() { "…" } else { "" };
    format!("{}{rest}", cut.escape_debug())
}

/// A warning where something differs, and a word for the step.
pub(in crate::engine) async fn compared(
    v1: &Session,
    v2: &Session,
    apart: &[&str],
    tell: &Teller,
) -> Result<String, Trouble> {
    let differing = differing(v1, v2, apart).await?;
    if differing.is_empty() {
        return Ok("all settings in force are equal".into());
    }
    tell.warning(format!("V2's settings differ from V1's: {}", differing.join(", ")));
    Ok(match differing.len() {
        1 => "one setting differs".into(),
        n => format!("{n} settings differ"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_without_a_reason_is_told() {
        let of = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let v1 = of(&[("max_connections", "151"), ("server_id", "1"), ("version", "8.4.3"), ("gone_in_v2", "x")]);
        let v2 = of(&[("max_connections", "500"), ("server_id", "2"), ("version", "9.7.4")]);
        assert_eq!(said(&v1, &v2, &["server_id"]), ["max_connections (151 → 500)"]);
        assert_eq!(shown(&"x".repeat(99)), format!("{}…", "x".repeat(SHOWN)));
    }
}
