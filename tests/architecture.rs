//! The rules of `ARCHITECTURE.md`, kept by a machine. Every check is seen to fail on a small bad sample, beside it.

#![allow(
    clippy::pedantic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it sees"
)]

#[path = "architecture/imports.rs"]
mod imports;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use source::Tree;

/// Files that may be longer, and why that is better than cutting them.
const LONG: &[(&str, &str)] =
    &[("tests/runtime_docker.rs", "one test an act, each read against the engine's own command line")];

/// What knows no engine: these must read the same with a new one.
const ENGINE_FREE: &[&str] = &[
    "src/switchover.rs",
    "src/switchback.rs",
    "src/retire.rs",
    "src/verify.rs",
    "src/run.rs",
    "src/facts.rs",
    "src/saga",
    "src/clients",
    "src/commands",
    "src/guard",
];

/// Speaks with what stands in front of one engine's servers, in that engine's protocol.
const PROXY_OF_ONE_ENGINE: &str = "src/clients/pgbouncer/";

fn sources() -> Tree {
    Tree::read(&["src"], &[".rs"])
}

fn page(path: &str) -> String {
    Tree::read(&[path], &[""]).0.into_iter().map(|file| file.text).collect()
}

fn none(offences: impl IntoIterator<Item = String>, rule: &str) {
    let offences: Vec<String> = offences.into_iter().collect();
    assert!(offences.is_empty(), "{rule}:\n  {}\n", offences.join("\n  "));
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let table = imports::table(&page("ARCHITECTURE.md"));
    none(imports::offences(&sources().shipped(), &table), "uses against the table in ARCHITECTURE.md");
}

#[test]
fn no_file_is_forgotten() {
    let (tree, page) = (sources(), page("ARCHITECTURE.md"));
    none(imports::forgotten(&tree, &imports::table(&page)), "the table in ARCHITECTURE.md and the tree differ");
    none(imports::undeclared(&tree), "files that no module names");
    let top = |path: &str| path.split('/').take(2).collect::<Vec<_>>().join("/");
    let unmapped = tree.0.iter().map(|file| top(&file.path)).filter(|path| !on_map(&page, path));
    none(unmapped, "not on the map in ARCHITECTURE.md");
}

/// On the map by itself, or by what is inside.
fn on_map(page: &str, path: &str) -> bool {
    let map = page.lines().filter(|line| line.starts_with("src/"));
    let words = map.flat_map(|line| line.split_whitespace().take_while(|word| word.starts_with("src/")));
    words.map(|word| word.trim_end_matches('/')).any(|word| word == path || word.starts_with(&format!("{path}/")))
}

#[test]
fn what_is_not_on_the_map_is_noticed() {
    let page = "src/plan.rs src/plan/  what src/lost is not\nsrc/runtime/mod.rs  the trait\n";
    assert!(["src/plan.rs", "src/plan", "src/runtime"].iter().all(|path| on_map(page, path)));
    assert!(!on_map(page, "src/lost") && !on_map(page, "src/run"));
}

#[test]
fn files_are_short() {
    none(rules::too_long(&Tree::read(&["src", "tests"], &[".rs"]), LONG), "a file that long hides something");
}

#[test]
fn only_wait_sleeps() {
    let offences = rules::words_elsewhere(&sources().shipped(), rules::SLEEPERS, &["src/wait.rs"]);
    none(offences, "only src/wait.rs sleeps");
}

#[test]
fn drivers_stay_in_their_folders() {
    let shipped = sources().shipped();
    none(rules::words_elsewhere(&shipped, &["bollard"], &["src/runtime/docker/"]), "bollard outside its folder");
    // Scenarios speak SQL as clients do: black box.
    let places = ["src/engine/", "src/scenario/", PROXY_OF_ONE_ENGINE];
    let offences = rules::words_elsewhere(&shipped, rules::DRIVERS, &places);
    none(offences, "an engine's driver outside engines");
}

#[test]
fn the_story_knows_no_engine() {
    let mut tree = sources().shipped_with_words();
    tree.0.retain(|file| !file.path.starts_with(PROXY_OF_ONE_ENGINE));
    none(rules::engines_named(&tree, ENGINE_FREE), "an engine's name");
}

#[test]
fn names_say_something() {
    let tree = sources();
    none(rules::empty_names(&tree, &tree.shipped()), "names that say nothing");
}

#[test]
fn nothing_is_unwrapped() {
    none(rules::unwraps(&sources().shipped()), "unwrap() outside tests");
}

#[test]
fn what_users_read_is_for_users() {
    let mut pages =
        Tree::read(&["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs", "scenarios"], &[".md", ".yml", ".yaml"]);
    pages.0.extend(Tree::read(&["dev", "docker-compose.yml", "Cargo.toml", "deny.toml"], &[""]).0);
    let help = Tree::read(&["src/cli.rs", "src/scenario", "src/commands"], &[".rs"]);
    pages.0.extend(help.0.iter().map(rules::doc_comments));
    let folder = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    none(rules::not_for_users(&pages, &[&folder]), "what users read names this machine, or how the project is made");
}
