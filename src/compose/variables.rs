//! An image whose tag is a variable of `.env`: there it is changed. Pure.

use crate::plan::Splice;

/// `repo:${TAG}`, `repo:${TAG:-15}`, `${IMAGE}`: the one variable of a text, and what stands around it. `None`: there is none, or
/// more than one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Variable<'a> {
    pub(super) name: &'a str,
    before: &'a str,
    after: &'a str,
}

pub(super) fn only(text: &str) -> Option<Variable<'_>> {
    let (before, rest) = text.split_once('$')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, after) = match rest.strip_prefix('{') {
        Some(inside) => {
            let (inside, after) = inside.split_once('}')?;
            (inside.split(|c| !is_name(c)).next()?, after)
        }
        None => rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len())),
    };
    (!name.is_empty() && !after.contains('$')).then_some(Variable { name, before, after })
}

impl Variable<'_> {
    /// What the variable must be for the whole to be `image`.
    pub(super) fn value_for<'i>(&self, image: &'i str) -> Option<&'i str> {
        image.strip_prefix(self.before)?.strip_suffix(self.after).filter(|value| !value.is_empty())
    }

    /// How often a text asks for it.
    pub(super) fn uses_in(&self, text: &str) -> usize {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let asks = |rest: &str| {
            let rest = rest.strip_prefix('{').unwrap_or(rest);
            rest.strip_prefix(self.name).is_some_and(|rest| !rest.starts_with(is_name))
        };
        text.match_indices('$').filter(|(at, _)| asks(&text[at + 1..])).count()
    }
}

/// The line of `.env` that sets it; the last one wins.
pub(super) fn set_in(env: &str, name: &str, value: &str) -> Option<Splice> {
    let mut at = 0;
    let mut found = None;
    for line in env.split_inclusive('\n') {
        let said = line.trim_start().strip_prefix("export ").unwrap_or(line.trim_start());
        if let Some((key, rest)) = said.split_once('=').filter(|(key, _)| key.trim() == name) {
            let _ = key;
            let before = value_of(rest.trim_start());
            let offset = line.len() - rest.trim_start().len();
            let after = match before.chars().next() {
                Some(quote @ ('"' | '\'')) => format!("{quote}{value}{quote}"),
                _ => value.to_owned(),
            };
            let before = before.to_owned();
            found = Some(Splice { at: at + offset, guarded: before.clone(), before, after });
        }
        at += line.len();
    }
    found
}

/// With its quotes, without what follows.
fn value_of(rest: &str) -> &str {
    match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map_or(rest.trim_end(), |end| &rest[..end + 2]),
        _ => rest.split(" #").next().unwrap_or_default().trim_end(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_of_an_image_is_found() {
        let of = |text| only(text).map(|v| (v.name, v.value_for("postgres:17-alpine")));
        assert_eq!(of("postgres:${TAG}"), Some(("TAG", Some("17-alpine"))));
        assert_eq!(of("postgres:${TAG:-15}-alpine"), Some(("TAG", Some("17"))));
        assert_eq!(of("postgres:$TAG"), Some(("TAG", Some("17-alpine"))));
        assert_eq!(of("${IMAGE:?which}"), Some(("IMAGE", Some("postgres:17-alpine"))));
        assert_eq!(of("mysql:${TAG}"), Some(("TAG", None)));
        assert_eq!((of("postgres:15"), of("$A:$B")), (None, None));
    }

    #[test]
    fn who_else_asks_for_it_is_counted() {
        let tag = only("p:${TAG}").unwrap();
        assert_eq!(tag.uses_in("a: ${TAG}\nb: $TAG\nc: ${TAGS} $TAG2 ${TAG:-1}\n"), 3);
    }

    #[test]
    fn one_value_of_the_file_changes() {
        let changed = |env: &str| {
            let splice = set_in(env, "TAG", "17").unwrap();
            let end = splice.at + splice.before.len();
            assert_eq!(&env[splice.at..end], splice.before);
            format!("{}{}{}", &env[..splice.at], splice.after, &env[end..])
        };
        assert_eq!(changed("A=1\nTAG=15 # old\nB=2\n"), "A=1\nTAG=17 # old\nB=2\n");
        assert_eq!(changed("export TAG=\"15\"\n"), "export TAG=\"17\"\n");
        assert_eq!(changed("TAG=1\nTAG='2'"), "TAG=1\nTAG='17'");
        assert!(set_in("TAGS=1\n#TAG=2\n", "TAG", "17").is_none());
    }
}
