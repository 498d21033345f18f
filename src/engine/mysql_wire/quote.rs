//! Names and texts as SQL writes them. Every session of ours has backslash escapes on (`session::pins`).

/// A name, in backticks.
pub(in crate::engine) fn ident(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A name with its schema.
pub(in crate::engine) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}

/// A text.
pub(in crate::engine) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{1a}' => out.push_str("\\Z"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// An account, as in `'shop'@'%'`.
pub(in crate::engine) fn account(user: &str, host: &str) -> String {
    format!("{}@{}", literal(user), literal(host))
}

/// On one line, for people: what would move the cursor is spelt out.
pub(in crate::engine) fn printable(text: &str) -> String {
    let spelt = |c: char| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() };
    text.chars().map(spelt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_names() {
        assert_eq!(ident("a`; DROP"), "`a``; DROP`");
        assert_eq!(literal(r"it's \"), r"'it''s \\'");
        assert_eq!(literal("a\0b\nc"), r"'a\0b\nc'");
        assert_eq!(account("o'x", "%"), "'o''x'@'%'");
        assert_eq!(qualified("s", "t"), "`s`.`t`");
        assert_eq!(printable("it's\n\u{1b}[1m"), r"it's\n\u{1b}[1m");
    }
}
