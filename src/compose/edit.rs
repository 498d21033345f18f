//! Which bytes of a compose file change. Pure. The YAML parser is named here and nowhere else.
//!
//! Only places are taken from the parser; what stands there is put in by us, so that comments, quotes, anchors and order stay.
//! What the changed file means is asked of compose afterwards.

use std::str::FromStr as _;

use yaml_edit::{Mapping, YamlFile, YamlNode};

use crate::plan::Splice;

/// The text of a file with its topmost mapping.
pub(super) struct Page<'a> {
    text: &'a str,
    top: Mapping,
}

impl<'a> Page<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let file = YamlFile::from_str(text).map_err(|error| error.to_string())?;
        let mut documents = file.documents();
        let (first, more) = (documents.next(), documents.next());
        if more.is_some() {
            return Err("it holds several documents".to_owned());
        }
        let top = first.and_then(|document| document.as_mapping()).ok_or("it is no mapping")?;
        Ok(Page { text, top })
    }

    fn service(&self, service: &str) -> Option<Mapping> {
        self.top.get_mapping("services")?.get_mapping(service)
    }

    pub(super) fn has_service(&self, service: &str) -> bool {
        self.service(service).is_some()
    }

    /// What the service's own `image` says, variables not filled in; `None`: it gets it from elsewhere.
    pub(super) fn image(&self, service: &str) -> Option<&'a str> {
        let value = self.service(service)?.get("image")?;
        Some(self.said(&value).trim_matches(['"', '\'']))
    }

    fn said(&self, node: &YamlNode) -> &'a str {
        let range = node.byte_range();
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default().trim_end()
    }

    /// The service's image, guarded and new. `new`: `None` where a variable brings it.
    pub(super) fn of_image(&self, service: &str, guard: &str, new: Option<&str>) -> Option<Splice> {
        let mapping = self.service(service)?;
        let guard = format!("\"{guard}\"");
        let Some(value) = mapping.get("image") else {
            let line = |image: &str| Some(first_entry(self.text, &mapping, &format!("image: {image}")));
            let (at, after) = line(new?)??;
            let (_, guarded) = line(&guard)??;
            return Some(Splice { at, before: String::new(), guarded, after });
        };
        let before = self.said(&value);
        let after = new.map_or_else(|| before.to_owned(), |new| quoted_as(before, new));
        Some(Splice { at: value.byte_range().start as usize, before: before.to_owned(), guarded: guard, after })
    }

    /// The service's entry for `at` is the volume of this key. The guard leaves it alone.
    pub(super) fn of_mount(&self, service: &str, at: &str, key: &str) -> Option<Vec<Splice>> {
        let mounts = self.service(service)?.get_sequence("volumes")?;
        let mut found = None;
        for mount in mounts.values() {
            found = found.or_else(|| self.as_volume(&mount, at, key));
        }
        found
    }

    fn as_volume(&self, mount: &YamlNode, at: &str, key: &str) -> Option<Vec<Splice>> {
        let start = mount.byte_range().start as usize;
        let Some(long) = mount.as_mapping() else {
            let said = self.said(mount);
            let bare = said.trim_start_matches(['"', '\'']);
            let quote = said.len() - bare.len();
            let source = source_of(bare.trim_end_matches(['"', '\'']), at)?;
            let after = if source.is_empty() { format!("{key}:") } else { key.to_owned() };
            return Some(vec![splice(start + quote, source, after)]);
        };
        let value = |name: &str| long.get(name).map(|node| (node.byte_range().start as usize, self.said(&node)));
        let (_, target) = value("target")?;
        let is_there = target.trim_matches(['"', '\'']).trim_end_matches('/') == at;
        // Options of a directory mean nothing to a volume.
        (is_there && !long.contains_key("bind")).then_some(())?;
        let ((kind_at, kind), (source_at, source)) = (value("type")?, value("source")?);
        let mut splices =
            vec![splice(kind_at, kind, quoted_as(kind, "volume")), splice(source_at, source, quoted_as(source, key))];
        splices.sort_by_key(|splice| splice.at);
        Some(splices)
    }

    /// The same where the service has no entry at all.
    pub(super) fn of_new_mount(&self, service: &str, at: &str, key: &str) -> Option<Splice> {
        let mapping = self.service(service)?;
        (!mapping.contains_key("volumes")).then_some(())?;
        let (at, after) = first_entry(self.text, &mapping, &format!("volumes: [\"{key}:{at}\"]"))?;
        Some(splice(at, "", after))
    }

    /// `name: NAME` under the volume's key, wherever that is or has to be made. The guard leaves it alone.
    pub(super) fn of_volume(&self, key: &str, name: &str) -> Option<Splice> {
        let said = format!("name: {name}");
        let inserted = |at: usize, after: String| Splice { at, before: String::new(), guarded: String::new(), after };
        let Some(volumes) = self.top.get_mapping("volumes") else {
            let end = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { "\n" };
            return Some(inserted(self.text.len(), format!("{end}\nvolumes:\n  {key}:\n    {said}\n")));
        };
        let Some(entry) = volumes.find_entry_by_key(key) else {
            let (at, after) = first_entry(self.text, &volumes, &format!("{key}: {{ {said} }}"))?;
            return Some(inserted(at, after));
        };
        let Some(volume) = volumes.get_mapping(key) else {
            // Nothing, or `~`: what stands there goes.
            let key_end = entry.key_node()?.byte_range().end as usize;
            let colon = key_end + self.text.get(key_end..)?.find(':')? + 1;
            let value = self.text.get(colon..)?.split(['\n', '#']).next()?.trim_end();
            matches!(value.trim(), "" | "~" | "null").then_some(())?;
            let splice = Splice {
                at: colon,
                before: value.to_owned(),
                guarded: value.to_owned(),
                after: format!(" {{ {said} }}"),
            };
            return Some(splice);
        };
        if let Some(value) = volume.get("name") {
            let before = self.said(&value).to_owned();
            let (at, after) = (value.byte_range().start as usize, quoted_as(&before, name));
            return Some(Splice { at, guarded: before.clone(), before, after });
        }
        let (at, after) = first_entry(self.text, &volume, &said)?;
        Some(inserted(at, after))
    }
}

/// Where a new first entry of a mapping goes, and its text with what divides it from the next.
fn first_entry(text: &str, mapping: &Mapping, entry: &str) -> Option<(usize, String)> {
    let range = mapping.byte_range();
    let (start, end) = (range.start as usize, range.end as usize);
    if let Some(inside) = text.get(start..end)?.strip_prefix('{') {
        let is_empty = inside.trim_start().starts_with('}');
        return Some((start + 1, if is_empty { format!(" {entry} ") } else { format!(" {entry},") }));
    }
    let first = mapping.entries().next()?.key_node()?.byte_range().start as usize;
    let line = text.get(..first)?.rfind('\n').map_or(0, |at| at + 1);
    let indent = text.get(line..first)?;
    indent.chars().all(|c| c == ' ').then_some(())?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    Some((first, format!("{entry}{newline}{indent}")))
}

/// What changes in the end; the guard leaves it alone.
fn splice(at: usize, before: &str, after: String) -> Splice {
    Splice { at, before: before.to_owned(), guarded: before.to_owned(), after }
}

/// The source of `SOURCE:TARGET` or `SOURCE:TARGET:OPTIONS`; empty of a `TARGET` alone.
fn source_of<'t>(said: &'t str, at: &str) -> Option<&'t str> {
    if said.trim_end_matches('/') == at {
        return Some("");
    }
    let found = said.match_indices(':').find(|(colon, _)| {
        let rest = said[colon + 1..].strip_prefix(at).map(|rest| rest.strip_prefix('/').unwrap_or(rest));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    });
    found.map(|(colon, _)| &said[..colon])
}

/// The quotes of what stood there.
fn quoted_as(before: &str, new: &str) -> String {
    match before.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{new}{quote}"),
        _ => new.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{FileEdit, FileVersion};

    const GUARD: &str = "${SWITCHOVER_RUNNING:?no}";

    /// (guarded, after)
    fn changed(text: &str) -> (String, String) {
        let page = Page::read(text).unwrap();
        let mut splices =
            vec![page.of_image("db", GUARD, Some("shop:2")).unwrap(), page.of_volume("data", "new").unwrap()];
        splices.sort_by_key(|splice| splice.at);
        let edit = FileEdit::new("c.yml".into(), text, splices).unwrap();
        (edit.turned(text, FileVersion::Guarded).unwrap(), edit.turned(text, FileVersion::After).unwrap())
    }

    #[test]
    fn two_places_change_and_nothing_else() {
        let text = "# Größe 🐘\r\nservices:\r\n  db:  # the db\r\n    image: \"shop:1\"   # pin\r\nvolumes:\r\n  data:   # all of it\r\n";
        let (guarded, after) = changed(text);
        assert_eq!(guarded, text.replace("\"shop:1\"", &format!("\"{GUARD}\"")));
        assert_eq!(after, text.replace("shop:1", "shop:2").replace("data:", "data: { name: new }"));
    }

    #[test]
    fn an_image_stands_in_many_ways() {
        for (said, guarded, after) in [
            ("image: shop:1", "image: \"GUARD\"", "image: shop:2"),
            ("image: 'shop:1' # x", "image: \"GUARD\" # x", "image: 'shop:2' # x"),
            ("image: &i shop:1", "image: &i \"GUARD\"", "image: &i shop:2"),
            ("image: ${I:-shop:1}", "image: \"GUARD\"", "image: shop:2"),
            ("<<: *base", "image: \"GUARD\"\n    <<: *base", "image: shop:2\n    <<: *base"),
        ] {
            let text = |line: &str| format!("x: &base {{ a: b }}\nservices:\n  db:\n    {line}\n    restart: no\n");
            let page = text(said);
            let splice = Page::read(&page).unwrap().of_image("db", "GUARD", Some("shop:2")).unwrap();
            let edit = FileEdit::new("c".into(), &page, vec![splice]).unwrap();
            assert_eq!(edit.turned(&page, FileVersion::Guarded).unwrap(), text(guarded));
            assert_eq!(edit.turned(&page, FileVersion::After).unwrap(), text(after));
        }
        let flow = "services: { db: { image: shop:1, restart: no } }\n";
        assert!(changed(flow).1.contains("{ db: { image: shop:2, restart: no } }"));
    }

    #[test]
    fn a_volume_stands_in_many_ways() {
        for (said, after) in [
            ("  data:\n", "  data: { name: new }\n"),
            ("  data: ~\n", "  data: { name: new }\n"),
            ("  data: {}\n", "  data: { name: new }\n"),
            ("  data: { external: true }\n", "  data: { name: new, external: true }\n"),
            ("  data: { name: 'old', external: true }\n", "  data: { name: 'new', external: true }\n"),
            ("  data:\n    # kept\n    driver: local\n", "  data:\n    # kept\n    name: new\n    driver: local\n"),
            ("  data:\n    name: old # x\n", "  data:\n    name: new # x\n"),
            ("  more: {}\n", "  data: { name: new }\n  more: {}\n"),
        ] {
            let text = |lines: &str| format!("services:\n  db:\n    image: shop:2\nvolumes:\n{lines}");
            assert_eq!(changed(&text(said)).1.replace("{ name: new  }", "{ name: new }"), text(after), "{said}");
        }
        let bare = "services:\n  db:\n    image: shop:2";
        assert_eq!(changed(bare).1, format!("{bare}\n\nvolumes:\n  data:\n    name: new\n"));
    }

    #[test]
    fn a_directory_becomes_a_volume() {
        for (said, after) in [
            ("- ./data:/d", "- new:/d"),
            ("- \"${HERE:-.}/data:/d:Z\" # x", "- \"new:/d:Z\" # x"),
            ("- ./c.cnf:/d/c.cnf:ro\n      - /d", "- ./c.cnf:/d/c.cnf:ro\n      - new:/d"),
            ("- { type: bind, source: ./data, target: /d }", "- { type: volume, source: new, target: /d }"),
            (
                "- target: /d/\n        source: './data'\n        type: bind",
                "- target: /d/\n        source: 'new'\n        type: volume",
            ),
        ] {
            let text = |line: &str| format!("services:\n  db:\n    volumes:\n      {line}\n    image: shop:1\n");
            let page = text(said);
            let splices = Page::read(&page).unwrap().of_mount("db", "/d", "new").unwrap();
            let edit = FileEdit::new("c".into(), &page, splices).unwrap();
            assert_eq!(edit.turned(&page, FileVersion::Guarded).unwrap(), page);
            assert_eq!(edit.turned(&page, FileVersion::After).unwrap(), text(after));
        }
        let page = "services:\n  db:\n    image: shop:1\n";
        let splice = Page::read(page).unwrap().of_new_mount("db", "/d", "new").unwrap();
        let edit = FileEdit::new("c".into(), page, vec![splice]).unwrap();
        let after = edit.turned(page, FileVersion::After).unwrap();
        assert_eq!(after, "services:\n  db:\n    volumes: [\"new:/d\"]\n    image: shop:1\n");
        let other = "services:\n  db:\n    volumes: [a:/e, { type: bind, source: x, target: /d, bind: { propagation: shared } }]\n";
        assert!(Page::read(other).unwrap().of_mount("db", "/d", "new").is_none());
    }

    #[test]
    fn what_is_no_compose_file_is_said() {
        assert!(Page::read("- a\n- b\n").is_err() && Page::read("a: 1\n---\nb: 2\n").is_err());
        let page = Page::read("services:\n  web: { image: w }\n").unwrap();
        assert!(!page.has_service("db") && page.of_image("db", GUARD, Some("x")).is_none());
    }
}
