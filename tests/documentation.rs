//! `docs/steps.md` is made from the story itself. This fails when the page is stale; `UPDATE_DOCS=1` writes it anew.

#![allow(clippy::unwrap_used, reason = "a test fails where its own footing breaks")]

use std::fmt::Write as _;
use std::path::Path;

use switchover::facts::Fact;
use switchover::saga::{Line, Undo};
use switchover::switchover::{Run, SWITCHOVER};

const PAGE: &str = "docs/steps.md";

#[test]
fn the_page_of_steps_is_the_story() {
    let made = page(SWITCHOVER, &read("src/switchover.rs"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(root().join(PAGE), &made).unwrap();
    }
    let there = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(
        there == made,
        "{PAGE} is stale; this writes it anew:\n\n  UPDATE_DOCS=1 cargo test --test documentation\n"
    );
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap().to_owned();
        for link in links(&text) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !root().join(&folder).join(file).exists() {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "links to nothing:\n  {}", dead.join("\n  "));
}

#[test]
fn every_step_that_a_page_names_exists() {
    let ids: Vec<&str> = SWITCHOVER.iter().filter_map(Line::id).collect();
    let what_if = read("docs/point-of-no-return.md");
    // In its table of steps the first cell of a row is a step.
    let rows = what_if.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split('`').next());
    let unknown: Vec<&str> = rows.filter(|id| !ids.contains(id)).collect();
    assert!(unknown.is_empty(), "no such steps: {unknown:?}");
}

#[test]
fn every_record_of_the_journal_is_explained() {
    let page = read("docs/journal.md");
    let records = [("src/saga/journal.rs", "pub enum Event<"), ("src/facts.rs", "pub enum Fact ")];
    let names: Vec<String> = records.iter().flat_map(|(file, head)| variants(&read(file), head)).collect();
    assert!(names.len() > 15, "{names:?}");
    let missing = names.iter().filter(|name| !page.contains(&format!("\n| `{name}` |")));
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0], "not in docs/journal.md");
}

#[test]
fn a_record_without_a_word_would_be_noticed() {
    let source = "/// X\npub enum Event<F> {\n    /// Y\n    Opened { format: u32 },\n    PassedIt,\n    Done {\n        a: u8,\n    },\n}\nenum B { C }";
    assert_eq!(variants(source, "pub enum Event<"), ["opened", "passed-it", "done"]);
}

/// The variants of an enum as they are written, from lines of its body that begin with a capital.
fn variants(source: &str, head: &str) -> Vec<String> {
    let body = source.lines().skip_while(|line| !line.starts_with(head)).skip(1).take_while(|line| *line != "}");
    let named = body.filter_map(|line| line.strip_prefix("    ")).filter(|line| line.starts_with(char::is_uppercase));
    named.map(|line| kebab(line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())).collect()
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

#[test]
fn a_stale_page_would_be_noticed() {
    let source = read("src/switchover.rs");
    let page = |source: &str| self::page(SWITCHOVER, source);
    assert_ne!(page(&source), page(&source.replace("/// V2 accepts clients;", "/// V2 lets clients in;")));
    assert_eq!(links("a [b](c.md#d) `[x](y)` [e](f)\n```\n[no](no.md)\n```\n"), ["c.md#d", "f"]);
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn pages() -> Vec<String> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()));
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned);
    let is_page = |page: &String| Path::new(page).extension().is_some_and(|kind| kind == "md");
    top.into_iter().chain(docs).filter(|page| is_page(page) && root().join(page).exists()).collect()
}

/// What stands in brackets behind brackets, outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

fn page(story: &[Line<Run, Fact>], source: &str) -> String {
    let mut page = String::from(
        "<!-- Made from src/switchover.rs by tests/documentation.rs: UPDATE_DOCS=1 cargo test --test documentation -->\n\n\
         # The steps\n\n\
         One table in `src/switchover.rs` is the whole story: planning, running, resuming, turning back and progress walk\n\
         it, and this page is made from it. `status`, the journal and `--output json` call the steps by the same ids.\n\n\
         Above the point of no return a failure turns back, last step first, to the nearest resting point above it: there\n\
         everything holds by itself, without the tool. `abort` goes all the way back. Below the point of no return a run\n\
         only goes forward; `resume` goes on with it. A `switchback` walks the rows from `ready` on with the sides\n\
         exchanged. [What the line means](point-of-no-return.md).\n\n\
         | step | does | true afterwards | turning back |\n|---|---|---|---|\n",
    );
    for line in story {
        let row = match line {
            Line::Step { id, title, undo, .. } => {
                let (act, back) = functions(source, id);
                let undo = match undo {
                    Undo::Nothing => "–".to_owned(),
                    Undo::By(_) => doc(source, &back).unwrap_or_else(|| in_words(&back)),
                };
                let fact = doc(source, &act).unwrap_or_else(|| panic!("`{act}` does not say what is true afterwards"));
                format!("| `{id}` | {title} | {fact} | {undo} |")
            }
            Line::Resting(name) => format!("| | *resting point `{name}`* | | |"),
            Line::Window => "| | *the window: clients are affected from here on* | | |".to_owned(),
            Line::PointOfNoReturn => "| | **═ point of no return ═** | | |".to_owned(),
        };
        page.push_str(&row);
        page.push('\n');
    }
    page.push_str("\n```mermaid\n");
    page.push_str(&chart(story));
    page.push_str("```\n");
    page
}

/// The names of a row's act and undo, from its line in the source.
fn functions(source: &str, id: &str) -> (String, String) {
    let named = format!("Line::step(\"{id}\",");
    let line = source.lines().find(|line| line.trim_start().starts_with(&named)).unwrap_or_default();
    let name = |mark: &str| {
        let rest = line.split_once(mark).map(|(_, rest)| rest).unwrap_or_default();
        rest.split(')').next().unwrap_or_default().to_owned()
    };
    (name("act!("), name("by!("))
}

/// The comment above a function, without what is for readers of the source alone.
fn doc(source: &str, function: &str) -> Option<String> {
    let lines: Vec<&str> = source.lines().collect();
    let head = format!("async fn {function}(");
    let at = lines.iter().position(|line| line.trim_start().starts_with(&head)).unwrap_or_default();
    let above = lines[..at].iter().rev().map_while(|line| line.trim().strip_prefix("///")).map(str::trim);
    let mut said: Vec<&str> = above.collect();
    said.reverse();
    let said = said.join(" ");
    let kept: String = said.split_inclusive(". ").filter(|sentence| !sentence.contains('§')).collect();
    let kept = kept.trim().replace('|', "\\|");
    (!kept.is_empty()).then_some(kept)
}

/// `put_v1_back` → put V1 back
fn in_words(function: &str) -> String {
    function.replace('_', " ").replace("v1", "V1").replace("v2", "V2")
}

/// A box for the steps between two lines of the story, and where a failure in it goes back to.
fn chart(story: &[Line<Run, Fact>]) -> String {
    let mut chart = String::from("flowchart TD\n  start([nothing of it is there])\n");
    let (mut before, mut resting, mut part) = ("start".to_owned(), Some("start".to_owned()), 0);
    let mut open = false;
    // Behind the boxes: a node belongs to the box in which it is first named.
    let mut edges = String::new();
    for (at, line) in story.iter().enumerate() {
        if let (Line::Step { .. }, false) = (line, open) {
            (open, part) = (true, part + 1);
            let title = match (at.checked_sub(1).map(|at| &story[at]), &resting) {
                (Some(Line::Window), _) => "the window: clients wait",
                (_, Some(_)) => "V1 serves",
                (_, None) => "only forward",
            };
            let _ = writeln!(chart, "  subgraph part{part} [\"{title}\"]");
        }
        if let (false, true) = (matches!(line, Line::Step { .. }), open) {
            open = false;
            chart.push_str("  end\n");
            if let Some(resting) = &resting {
                let _ = writeln!(edges, "  part{part} -. a failure .-> {resting}");
            }
        }
        let here = match line {
            Line::Step { id, title, .. } => {
                let _ = writeln!(chart, "    {}[\"<b>{id}</b><br/>{title}\"]", node(id));
                node(id)
            }
            Line::Resting(name) => {
                let _ = writeln!(chart, "  rest_{name}([\"resting point <b>{name}</b>\"])");
                resting = Some(format!("rest_{name}"));
                format!("rest_{name}")
            }
            Line::Window => continue,
            Line::PointOfNoReturn => {
                chart.push_str("  line{{\"point of no return\"}}\n");
                resting = None;
                "line".to_owned()
            }
        };
        let _ = writeln!(edges, "  {before} --> {here}");
        before = here;
    }
    chart.push_str(if open { "  end\n" } else { "" });
    let _ = writeln!(edges, "  {before} --> done([clients are on V2])");
    chart + &edges
}

/// Names that Mermaid takes.
fn node(id: &str) -> String {
    format!("s_{}", id.replace('-', "_"))
}
