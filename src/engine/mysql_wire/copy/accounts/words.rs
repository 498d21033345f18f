//! What is said of an account, taken apart at its words outside of quotes.

/// Without what a phrase begins and one of others, or the end of the text, ends: the text, and what was taken out. The
/// phrases are found outside of quotes only.
pub(super) fn without(text: &str, from: &str, to: &[&str]) -> (String, Option<String>) {
    let Some(start) = outside(text, from, 0) else { return (text.to_owned(), None) };
    let ends = to.iter().filter_map(|phrase| outside(text, phrase, start));
    let end = ends.min().unwrap_or(text.len());
    (format!("{}{}", &text[..start], &text[end..]), Some(text[start + from.len()..end].to_owned()))
}

/// Where a phrase stands outside of quotes.
fn outside(text: &str, phrase: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (None, byte @ (b'\'' | b'"' | b'`')) => quote = Some(byte),
            (None, _) if at >= from && bytes[at..].starts_with(phrase.as_bytes()) => return Some(at),
            // A quote that is doubled ends and begins.
            (Some(open), byte) if byte == open => quote = None,
            (Some(b'\'' | b'"'), b'\\') => at += 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_is_found_outside_of_quotes_only() {
        let text = r"CREATE USER `a DEFAULT ROLE b`@`%` IDENTIFIED WITH 'x' AS 'it''s \' DEFAULT ROLE ' DEFAULT ROLE `r REQUIRE `@`%` REQUIRE NONE";
        let (rest, roles) = without(text, " DEFAULT ROLE ", &[" REQUIRE "]);
        assert_eq!(
            rest,
            r"CREATE USER `a DEFAULT ROLE b`@`%` IDENTIFIED WITH 'x' AS 'it''s \' DEFAULT ROLE ' REQUIRE NONE"
        );
        assert_eq!(roles.as_deref(), Some("`r REQUIRE `@`%`"));
        let grant = "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*0 WITH ' WITH GRANT OPTION";
        assert_eq!(
            without(grant, " IDENTIFIED ", &[" REQUIRE ", " WITH "]).0,
            "GRANT USAGE ON *.* TO `a`@`%` WITH GRANT OPTION"
        );
        assert_eq!(without("CREATE USER `a`", " DEFAULT ROLE ", &[" REQUIRE "]), ("CREATE USER `a`".to_owned(), None));
    }
}
