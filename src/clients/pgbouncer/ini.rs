//! PgBouncer's file: where the host of a database stands in it. All else is left as its owner wrote it. Pure.

use std::ops::Range;

/// What stands behind `host=` of a database, as it is written there.
pub(super) fn host<'a>(text: &'a str, database: &str) -> Option<&'a str> {
    Some(&text[place(text, database)?])
}

/// The text with another host, quoted as the old one was. `None`: the database is not there, or has no host.
pub(super) fn with_host(text: &str, database: &str, host: &str) -> Option<String> {
    let place = place(text, database)?;
    let quoted = text[place.clone()].starts_with('\'') && !host.starts_with('\'');
    let host = if quoted { format!("'{host}'") } else { host.to_owned() };
    Some(format!("{}{host}{}", &text[..place.start], &text[place.end..]))
}

/// Without the quotes.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(host)
}

fn place(text: &str, database: &str) -> Option<Range<usize>> {
    let mut at = 0;
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let began = at;
        at += line.len();
        let said = line.trim();
        if said.starts_with('[') {
            inside = said.eq_ignore_ascii_case("[databases]");
        } else if inside
            && !said.starts_with([';', '#'])
            && let Some((key, value)) = line.split_once('=')
            && unquoted(key.trim()) == database
        {
            let value_began = began + key.len() + 1;
            return host_in(value).map(|found| value_began + found.start..value_began + found.end);
        }
    }
    None
}

fn unquoted(key: &str) -> String {
    match key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inside) => inside.replace("\"\"", "\""),
        None => key.to_owned(),
    }
}

/// Where the value of `host` stands in a connection string: pairs, of which values may be in single quotes.
fn host_in(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let skip = |mut at: usize, over: fn(u8) -> bool| {
        while at < bytes.len() && over(bytes[at]) {
            at += 1;
        }
        at
    };
    let space: fn(u8) -> bool = |byte| byte.is_ascii_whitespace();
    let mut at = skip(0, space);
    while at < bytes.len() {
        let key = at..skip(at, |byte| byte != b'=' && !byte.is_ascii_whitespace());
        at = skip(key.end, space);
        if bytes.get(at) != Some(&b'=') {
            return None;
        }
        let began = skip(at + 1, space);
        let end = match bytes.get(began) {
            Some(b'\'') => end_of_quotes(bytes, began)?,
            _ => skip(began, |byte| !byte.is_ascii_whitespace()),
        };
        if &text[key] == "host" {
            return Some(began..end);
        }
        at = skip(end, space);
    }
    None
}

/// Two quotes are one that stands for itself.
fn end_of_quotes(bytes: &[u8], began: usize) -> Option<usize> {
    let mut at = began + 1;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "; shop = host=never\n[databases]\n\
        # the shop\nshop = port=5432 host=db  dbname=shop ; not a comment here\n\
        \"odd name\"='host' = x\n  ledger=password='it''s host=x' host = 'db' \n* = host=db\n[pgbouncer]\nshop = host=db\n";

    #[test]
    fn only_the_host_of_one_database_changes() {
        assert_eq!(host(FILE, "shop"), Some("db"));
        let changed = with_host(FILE, "shop", "10.0.0.3").unwrap();
        assert_eq!(changed, FILE.replacen("5432 host=db ", "5432 host=10.0.0.3 ", 1));
        assert_eq!(with_host(&changed, "shop", "db").unwrap(), FILE, "and back, byte for byte");
    }

    #[test]
    fn quotes_are_kept_and_seen_through() {
        assert_eq!(host(FILE, "ledger"), Some("'db'"));
        let changed = with_host(FILE, "ledger", "10.0.0.3").unwrap();
        assert!(changed.contains("password='it''s host=x' host = '10.0.0.3' \n"), "{changed}");
        assert_eq!(with_host(&changed, "ledger", "'db'").unwrap(), FILE);
        assert_eq!((bare("'db'"), bare("db")), ("db", "db"));
        assert_eq!(host(FILE, "*"), Some("db"));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(host(FILE, "pgbouncer"), None);
        assert_eq!(host("[databases]\nshop = dbname=shop\n", "shop"), None);
        assert_eq!(host("[databases]\nshop = host='db\n", "shop"), None);
        assert_eq!(host("[databases]\r\nshop=host=db\r\n", "shop"), Some("db"));
    }
}
