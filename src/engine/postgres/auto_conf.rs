//! Texts of `postgresql.auto.conf`: our lines stand at its end, between marks, and leave it as it was. Pure.
//!
//! Not by ALTER SYSTEM: that writes the whole file anew, so that nothing would be byte for byte as before.

use crate::plan::Plan;

/// The text with these settings at its end; ours from before are replaced.
pub(super) fn with_ours(text: &str, plan: &Plan, settings: &[(&str, String)]) -> String {
    let original = without_ours(text, plan);
    let (begin, end) = marks(plan);
    let mut new = original.clone();
    // The mark says whether the newline before it is ours too.
    if !original.is_empty() && !original.ends_with('\n') {
        new.push_str("\n# (the line above had no end)\n");
    }
    new.push_str(&begin);
    for (name, value) in settings {
        new.push_str(&format!("{name} = {}\n", quoted(value)));
    }
    new + &end
}

/// The text without our lines; nothing else is touched.
pub(super) fn without_ours(text: &str, plan: &Plan) -> String {
    let (begin, end) = marks(plan);
    match (text.find(&begin), text.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            let before = &text[..from];
            let before = before.strip_suffix("\n# (the line above had no end)\n").unwrap_or(before);
            format!("{before}{}", &text[to + end.len()..])
        }
        _ => text.to_owned(),
    }
}

/// The text without the lines of any run: an earlier one's, that ended with the way back open.
pub(super) fn without_any(text: &str) -> String {
    let (mut kept, mut ours) = (String::new(), false);
    for line in text.split_inclusive('\n') {
        let mark = |end: &str| line.starts_with("# switchover ") && line.trim_end().ends_with(end);
        if mark(": our settings, temporary") {
            ours = true;
        } else if mark(": end of our settings") {
            ours = false;
        } else if !ours && line != "# (the line above had no end)\n" {
            kept.push_str(line);
        }
    }
    kept
}

pub(super) fn has_ours(text: &str, plan: &Plan) -> bool {
    without_ours(text, plan) != text
}

/// The value a setting has in such a text: the last one wins.
pub(super) fn value(text: &str, name: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        if key.trim() != name {
            return None;
        }
        let value = value.trim();
        let inner = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')).unwrap_or(value);
        Some(inner.replace("''", "'").replace("\\\\", "\\"))
    })
}

/// As PostgreSQL's configuration files want it.
pub(super) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn marks(plan: &Plan) -> (String, String) {
    (
        format!("# switchover {}: our settings, temporary\n", plan.tag()),
        format!("# switchover {}: end of our settings\n", plan.tag()),
    )
}

/// A connection string out of keys and values.
pub(super) fn conninfo(pairs: &[(&str, &str)]) -> String {
    let quote = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    pairs.iter().map(|(key, value)| format!("{key}={}", quote(value))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::any_plan;

    #[test]
    fn our_settings_come_and_go_without_a_trace() {
        let plan = any_plan();
        for original in ["", "# Do not edit\na = 'b'\n", "no end", "x = 'it''s \\\\ ü'\r\n\n"] {
            let with = with_ours(original, &plan, &[("max_slot_wal_keep_size", "12MB".into())]);
            assert!(has_ours(&with, &plan) && !has_ours(original, &plan));
            assert_eq!(value(&with, "max_slot_wal_keep_size").as_deref(), Some("12MB"));
            assert_eq!(without_ours(&with, &plan), original);
            let again = with_ours(&with, &plan, &[("max_slot_wal_keep_size", "12MB".into())]);
            assert_eq!(again, with, "twice is once");
            let mut other = any_plan();
            other.run = "0192-another-deadbeef".into();
            let both = with_ours(&with, &other, &[]);
            assert_eq!(without_any(&both).trim_end(), without_any(original).trim_end(), "of every run");
        }
    }

    #[test]
    fn values_are_quoted_twice_where_they_must() {
        let connection = conninfo(&[("host", "db"), ("passfile", "/it's \\ here")]);
        assert_eq!(connection, r"host='db' passfile='/it\'s \\ here'");
        let text = with_ours("", &any_plan(), &[("primary_conninfo", connection.clone())]);
        assert!(text.contains(r"'host=''db'' passfile=''/it\\''s \\\\ here'''"), "{text}");
        assert_eq!(value(&text, "primary_conninfo"), Some(connection));
    }

    #[test]
    fn the_last_value_counts() {
        assert_eq!(value("a = '1'\na = '2'\nab = '3'\n", "a").as_deref(), Some("2"));
        assert_eq!(value("b = '1'\n", "a"), None);
    }
}
