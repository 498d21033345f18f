//! Who may use whom: the table stands in `ARCHITECTURE.md`, and is read from there.

use std::collections::BTreeSet;

use super::source::{Tree, folder_of_modules, is_word};

/// A row of the table: modules, and what they may use.
pub(crate) struct Row {
    pub(crate) of: Vec<String>,
    may_use: Vec<String>,
    everything: bool,
}

/// Under this heading the table stands.
const HEADING: &str = "## Who may use whom";

pub(crate) fn table(page: &str) -> Vec<Row> {
    let rows = page
        .lines()
        .skip_while(|line| *line != HEADING)
        .skip_while(|line| !line.starts_with("|--"))
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').collect();
        let cell = |n: usize| cells.get(n).copied().unwrap_or_default();
        Row { of: quoted(cell(1)), may_use: quoted(cell(2)), everything: cell(2).trim() == "everything" }
    })
    .collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// What is used against the table, as `file: path`.
pub(crate) fn offences(shipped: &Tree, table: &[Row]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in &shipped.0 {
        let here = module_of(&file.path);
        let Some(mine) = unit(&here, table) else {
            found.insert(format!("{}: has no row in the table", file.path));
            continue;
        };
        for path in paths(&file.text) {
            let Some(target) = resolve(&here, &path) else { continue };
            let row = table.iter().find(|row| row.of.contains(&mine));
            let Some(theirs) = unit(&target, table) else { continue };
            let allowed = row.is_some_and(|row| row.everything || row.may_use.contains(&theirs));
            if theirs != mine && !allowed {
                found.insert(format!("{}: uses {}, which `{mine}` may not", file.path, target.join("::")));
            }
        }
    }
    found
}

/// Modules and engine folders without a row, and rows of what is not there any more.
pub(crate) fn forgotten(tree: &Tree, table: &[Row]) -> BTreeSet<String> {
    let modules: Vec<Vec<String>> = tree.0.iter().map(|file| module_of(&file.path)).collect();
    // An engine or a runtime of its own must not hide in the row of the trait.
    let own_row = |module: &&[String]| module.len() == 1 || module.len() == 2 && has_folder(tree, module);
    let needed = modules.iter().flat_map(|module| [1, 2].map(|n| &module[..n.min(module.len())]));
    let needed: BTreeSet<String> =
        needed.filter(|module| !module.is_empty()).filter(own_row).map(|module| module.join("/")).collect();
    let rows: BTreeSet<String> = table.iter().flat_map(|row| row.of.clone()).collect();
    let missing = needed.difference(&rows).map(|module| format!("{module}: has no row"));
    let exists = |row: &&String| !modules.iter().any(|module| module.join("/").starts_with(row.as_str()));
    let stale = rows.iter().filter(exists).map(|row| format!("{row}: has a row, and is not there"));
    missing.chain(stale).collect()
}

/// Files that no module names: they are not compiled, and nobody notices.
pub(crate) fn undeclared(tree: &Tree) -> Vec<String> {
    let code: Vec<(String, String)> =
        tree.0.iter().map(|file| (folder_of_modules(&file.path), super::source::code(&file.text))).collect();
    let elsewhere = |path: &str| {
        let named = format!("#[path = \"{}\"]", path.rsplit('/').next().unwrap_or_default());
        tree.0.iter().any(|file| file.text.contains(&named))
    };
    let declared = |path: &str| {
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let Some((folder, name)) = stem.rsplit_once('/') else { return false };
        code.iter().any(|(at, text)| at == folder && declares(text, name))
    };
    let root = |path: &str| matches!(path, "src/lib.rs" | "src/main.rs");
    tree.0
        .iter()
        .map(|file| file.path.clone())
        .filter(|path| !root(path) && !declared(path) && !elsewhere(path))
        .collect()
}

fn declares(code: &str, name: &str) -> bool {
    let words: Vec<&str> = code.split_whitespace().collect();
    let named = |next: &str| next.strip_suffix(';') == Some(name);
    words.windows(2).any(|pair| pair[0] == "mod" && named(pair[1]))
}

/// Folders in which each folder is something of its own.
fn has_folder(tree: &Tree, module: &[String]) -> bool {
    let many = matches!(module[0].as_str(), "engine" | "runtime");
    let folder = format!("src/{}/", module.join("/"));
    many && tree.0.iter().any(|file| file.path.starts_with(&folder))
}

/// `src/engine/any/hold.rs` → engine, any, hold; the crate itself is `lib`, the program `main`.
fn module_of(path: &str) -> Vec<String> {
    let stem = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    stem.split('/').map(str::to_owned).collect()
}

/// The row that a path falls under: the longest one.
fn unit(path: &[String], table: &[Row]) -> Option<String> {
    (1..=path.len().min(2))
        .rev()
        .map(|n| path[..n].join("/"))
        .find(|name| table.iter().any(|row| row.of.contains(name)))
}

/// From the root of the crate; `None` where it leads to the root itself.
fn resolve(here: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at = if path[0] == "crate" || here[0] == "lib" { Vec::new() } else { here.to_vec() };
    for part in path {
        match part.as_str() {
            "crate" => {}
            "super" => drop(at.pop()),
            name => at.push(name.to_owned()),
        }
    }
    (!at.is_empty()).then_some(at)
}

/// Every path that begins with `crate` or `super`, groups spelt out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(tokens[at].as_str(), "crate" | "super");
        let inside = at > 0 && tokens[at - 1] == "::";
        if begins && !inside && tokens.get(at + 1).is_some_and(|next| next == "::") {
            at = expand(&tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// One path from `at` on, behind `before`; returns where it ends.
fn expand(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let from = at;
                    at = expand(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ",") || at == from);
                }
                return at + 1;
            }
            Some(word) if word.chars().all(is_word) => path.push(word.to_owned()),
            _ => {
                found.push(path);
                return at;
            }
        }
        at += 1;
        if tokens.get(at).is_some_and(|token| token == "::") {
            at += 1;
            continue;
        }
        if tokens.get(at).is_some_and(|token| token == "as") {
            at += 2;
        }
        found.push(path);
        return at;
    }
}

fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = String::new();
    for c in code.chars() {
        if is_word(c) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        match c {
            ':' if tokens.last().is_some_and(|last| last == ":") => *tokens.last_mut().unwrap() = "::".into(),
            c if c.is_whitespace() => {}
            c => tokens.push(c.into()),
        }
    }
    tokens
}

/// A page with a table, for the checks of the checks.
const PAGE: &str = "# Map\n\n## Who may use whom\n\n| module | may use | why |\n|---|---|---|\n\
    | `main` | everything | |\n| `story`, `facts` | `engine` `wait` | |\n| `engine` | `wait` `engine/a` | |\n\
    | `engine/a` | `engine` | |\n| `wait` | – | |\n\nText with `other` words.\n| `no` | `row` |\n";

#[test]
fn the_table_is_read_from_the_page() {
    let rows: Vec<(Vec<String>, Vec<String>, bool)> =
        table(PAGE).into_iter().map(|row| (row.of, row.may_use, row.everything)).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[1].0, ["story", "facts"]);
    assert_eq!(rows[1].1, ["engine", "wait"]);
    assert!(rows[0].2 && !rows[1].2);
}

#[test]
fn a_use_against_the_table_is_found() {
    let bad = |path: &str, text: &str| offences(&Tree::of(&[(path, text)]), &table(PAGE)).into_iter().next();
    assert_eq!(bad("src/story.rs", "use crate::engine::Server; fn f() { crate::wait::until() }"), None);
    let offence = bad("src/story.rs", "use crate::engine::a::Thing;");
    assert_eq!(offence.unwrap(), "src/story.rs: uses engine::a::Thing, which `story` may not");
    for text in [
        "use crate::{wait, story::{X, Y}};",
        "use crate::{\n    wait::{A as B, C},\n    facts,\n};",
        "fn f() -> crate::story::X {}",
        "pub(crate) use super::story::X;",
        "use super::{story, wait};",
    ] {
        assert!(bad("src/engine/mod.rs", text).is_some() || bad("src/wait.rs", text).is_some(), "{text}");
    }
    assert!(bad("src/engine/a/deep/x.rs", "use super::super::super::super::wait;").is_some());
    assert_eq!(bad("src/engine/a/deep/x.rs", "use super::super::super::Server; use super::y;"), None);
    assert_eq!(bad("src/main.rs", "use crate::story; use crate::engine::a;"), None);
    assert!(bad("src/new.rs", "").unwrap().contains("no row"));
}

#[test]
fn what_is_forgotten_is_found() {
    let whole = [("src/main.rs", ""), ("src/story.rs", ""), ("src/facts.rs", ""), ("src/engine/mod.rs", "")];
    let whole = [&whole[..], &[("src/engine/a/mod.rs", ""), ("src/engine/wire.rs", ""), ("src/wait.rs", "")]].concat();
    assert_eq!(forgotten(&Tree::of(&whole), &table(PAGE)), BTreeSet::new());
    let more = [&whole[..], &[("src/engine/b/mod.rs", ""), ("src/late/x.rs", "")]].concat();
    let found: Vec<String> = forgotten(&Tree::of(&more), &table(PAGE)).into_iter().collect();
    assert_eq!(found, ["engine/b: has no row", "late: has no row"]);
    let found: Vec<String> = forgotten(&Tree::of(&whole[..6]), &table(PAGE)).into_iter().collect();
    assert_eq!(found, ["wait: has a row, and is not there"]);
}

#[test]
fn a_file_that_no_module_names_is_found() {
    let tree = Tree::of(&[
        ("src/lib.rs", "pub mod a;\n// mod lost;\n"),
        ("src/a/mod.rs", "mod b;"),
        ("src/a/b.rs", "pub(super) mod c;"),
        ("src/a/b/c.rs", ""),
        ("src/lost.rs", ""),
        ("src/a/gone.rs", ""),
    ]);
    assert_eq!(undeclared(&tree), ["src/lost.rs", "src/a/gone.rs"]);
}
