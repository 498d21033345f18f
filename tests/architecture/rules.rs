//! The smaller rules, each a function from a tree to what offends it.

use super::source::{File, Tree, lines_with};

/// As many lines a file may have.
pub(crate) const LINES: usize = 400;

/// Files that are too long for their good, or are exceptions that nobody needs any more.
pub(crate) fn too_long(tree: &Tree, exceptions: &[(&str, &str)]) -> Vec<String> {
    let long = |file: &&File| file.text.lines().count() > LINES;
    let excepted = |path: &str| exceptions.iter().any(|(exception, _)| *exception == path);
    let offending = tree.0.iter().filter(long).filter(|file| !excepted(&file.path));
    let mut found: Vec<String> =
        offending.map(|file| format!("{}: {} lines, {LINES} allowed", file.path, file.text.lines().count())).collect();
    for (path, reason) in exceptions {
        if !tree.0.iter().filter(long).any(|file| file.path == *path) {
            found.push(format!("{path}: is excepted and need not be"));
        }
        if reason.split_whitespace().count() < 4 {
            found.push(format!("{path}: is excepted without a reason"));
        }
    }
    found
}

/// A word of code that may stand in some places only.
pub(crate) fn words_elsewhere(shipped: &Tree, words: &[&str], allowed: &[&str]) -> Vec<String> {
    let elsewhere = shipped.0.iter().filter(|file| !allowed.iter().any(|place| file.path.starts_with(place)));
    elsewhere.flat_map(|file| words.iter().flat_map(|word| at(file, &lines_with(&file.text, word), word))).collect()
}

/// Who waits, waits in `wait`: with a condition, a limit and a reason.
pub(crate) const SLEEPERS: &[&str] =
    &["sleep", "sleep_until", "sleep_ms", "interval", "interval_at", "park_timeout", "nanosleep"];

/// Crates that speak with one engine's servers.
pub(crate) const DRIVERS: &[&str] = &["tokio_postgres", "postgres_protocol", "mysql_async", "mysql_common"];

const ENGINES: &[&str] = &["postgres", "mysql", "mariadb", "pg_"];

/// Files whose text, comments and strings included, names an engine.
pub(crate) fn engines_named(tree: &Tree, places: &[&str]) -> Vec<String> {
    let there = tree.0.iter().filter(|file| places.iter().any(|place| file.path.starts_with(place)));
    let names = |line: &str| ENGINES.iter().any(|engine| line.to_lowercase().contains(engine));
    there.flat_map(|file| at(file, &lines_that(&file.text, names), "an engine's name")).collect()
}

/// Names that say nothing of what is inside.
const EMPTY: &[&str] = &["util", "utils", "common", "helpers", "manager", "managers", "misc", "stuff"];

pub(crate) fn empty_names(tree: &Tree, shipped: &Tree) -> Vec<String> {
    let empty = |name: &str| words_of(name).iter().any(|word| EMPTY.contains(&word.as_str()));
    let parts = |path: &str| path.trim_end_matches(".rs").split('/').map(str::to_owned).collect::<Vec<_>>();
    let paths = tree.0.iter().filter(|file| parts(&file.path).iter().any(|part| empty(part)));
    let mut found: Vec<String> = paths.map(|file| format!("{}: its name says nothing", file.path)).collect();
    for file in &shipped.0 {
        for (n, line) in file.text.lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !super::source::is_word(c)).collect();
            let declares = |pair: &&[&str]| matches!(pair[0], "mod" | "struct" | "enum" | "trait") && empty(pair[1]);
            let bad = words.windows(2).filter(declares).map(|pair| pair[1]);
            found.extend(bad.map(|name| format!("{}:{}: `{name}` says nothing", file.path, n + 1)));
        }
    }
    found
}

/// `SomeName`, `some_name` and `some-name` → some, name.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            last.extend(c.to_lowercase());
        }
    }
    words
}

pub(crate) fn unwraps(shipped: &Tree) -> Vec<String> {
    let unwraps = |line: &str| line.replace(' ', "").contains(".unwrap()");
    shipped.0.iter().flat_map(|file| at(file, &lines_that(&file.text, unwraps), ".unwrap()")).collect()
}

/// What users read must not know where it was written, nor how. `here`: this machine's own paths.
pub(crate) fn not_for_users(pages: &Tree, here: &[&str]) -> Vec<String> {
    // Put together here, so that the search does not find itself.
    let places = ["/work/", "/root/", "/home/", "/workspace/", "crates.io", "npmjs.", "pypi.", "rubygems."];
    let making = ["the lead", "NOTE-FROM", "worktree", "design.md", "style.md", "language model", "assistant"];
    let words = places.iter().chain(&making).chain(here).copied();
    let found = |file: &File, word: &str| at(file, &lines_that(&file.text, |line| line.contains(word)), word);
    words.flat_map(|word| pages.0.iter().flat_map(move |file| found(file, word))).collect()
}

/// The doc comments of a file: of `cli.rs` that is the manual.
pub(crate) fn doc_comments(file: &File) -> File {
    let said = |line: &str| line.trim_start().starts_with("///") || line.trim_start().starts_with("//!");
    let text: Vec<&str> = file.text.lines().map(|line| if said(line) { line } else { "" }).collect();
    File { path: file.path.clone(), text: text.join("\n") }
}

fn lines_that(text: &str, holds: impl Fn(&str) -> bool) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| holds(line)).map(|(n, _)| n + 1).collect()
}

fn at(file: &File, lines: &[usize], what: &str) -> Vec<String> {
    lines.iter().map(|line| format!("{}:{line}: {what}", file.path)).collect()
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let long = "x\n".repeat(LINES + 1);
    let tree = Tree::of(&[("src/a.rs", &long), ("src/b.rs", &long[2..])]);
    assert_eq!(too_long(&tree, &[]), ["src/a.rs: 401 lines, 400 allowed"]);
    assert_eq!(too_long(&tree, &[("src/a.rs", "it is one long table")]), Vec::<String>::new());
    assert_eq!(too_long(&tree, &[("src/a.rs", "because")]), ["src/a.rs: is excepted without a reason"]);
    let stale = too_long(&tree, &[("src/a.rs", "it is one long table"), ("src/b.rs", "it was once too long")]);
    assert_eq!(stale, ["src/b.rs: is excepted and need not be"]);
}

#[test]
fn a_sleeper_outside_its_place_is_found() {
    let tree = Tree::of(&[
        ("src/wait.rs", "tokio::time::sleep(x)"),
        ("src/b.rs", "// sleep\nasync fn f() { tokio::time::sleep(x).await }\nlet x = \"pg_sleep(1)\";"),
        ("src/c.rs", "use std::thread::sleep as doze;"),
        ("src/d.rs", "fn ensure_asleep() {}\n#[cfg(test)]\nmod tests { fn f() { sleep() } }"),
    ]);
    let found = words_elsewhere(&tree.shipped(), SLEEPERS, &["src/wait.rs"]);
    assert_eq!(found, ["src/b.rs:2: sleep", "src/c.rs:1: sleep"]);
}

#[test]
fn a_driver_outside_its_folder_is_found() {
    let tree = Tree::of(&[
        ("src/runtime/docker/mod.rs", "use bollard::Docker;"),
        ("src/runtime/mod.rs", "/// Not bollard\nfn f(x: bollard::Docker) {}"),
    ]);
    let found = words_elsewhere(&tree.shipped(), &["bollard"], &["src/runtime/docker/"]);
    assert_eq!(found, ["src/runtime/mod.rs:2: bollard"]);
}

#[test]
fn an_engine_that_is_named_is_found() {
    let tree = Tree::of(&[
        ("src/switchover.rs", "// like PostgreSQL\nlet x = \"mariadb\";"),
        ("src/engine/mod.rs", "mod postgres;"),
        ("src/clients/x.rs", "pgbouncer"),
    ]);
    let found = engines_named(&tree, &["src/switchover.rs", "src/clients/"]);
    assert_eq!(found, ["src/switchover.rs:1: an engine's name", "src/switchover.rs:2: an engine's name"]);
}

#[test]
fn an_empty_name_is_found() {
    let tree = Tree::of(&[
        ("src/utils.rs", ""),
        ("src/a/string_helpers.rs", ""),
        ("src/b.rs", "struct VolumeManager;\n// struct Common;\nmod common {}\nstruct Uncommon;\nfn helper() {}"),
        ("src/runtime/docker/helper.rs", "struct Helper;"),
    ]);
    assert_eq!(
        empty_names(&tree, &tree.shipped()),
        [
            "src/utils.rs: its name says nothing",
            "src/a/string_helpers.rs: its name says nothing",
            "src/b.rs:1: `VolumeManager` says nothing",
            "src/b.rs:3: `common` says nothing",
        ]
    );
}

#[test]
fn an_unwrap_outside_tests_is_found() {
    let tree = Tree::of(&[(
        "src/a.rs",
        "x.unwrap();\n// y.unwrap()\nx.unwrap_or(1);\n#[test]\n#[cfg(test)]\nfn t() { z.unwrap() }",
    )]);
    assert_eq!(unwraps(&tree.shipped()), ["src/a.rs:1: .unwrap()"]);
}

#[test]
fn what_is_not_for_users_is_found() {
    let tree = Tree::of(&[
        ("README.md", "Type `cd /work/x`.\nGood.\nSee /srv/me/here."),
        ("docs/a.md", "as design.md says"),
        ("docs/b.md", "from https://crates.io/"),
    ]);
    let found = not_for_users(&tree, &["/srv/me/"]);
    assert_eq!(
        found,
        ["README.md:1: /work/", "docs/b.md:1: crates.io", "docs/a.md:1: design.md", "README.md:3: /srv/me/"]
    );
    let manual = doc_comments(&File { path: "src/cli.rs".into(), text: "//! a\nlet x = 1;\n    /// b".into() });
    assert_eq!(manual.text, "//! a\n\n    /// b");
}
