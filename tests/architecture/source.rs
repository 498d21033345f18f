//! The tree as text: what is code, what is only said, and what is there for tests alone.

use std::path::Path;

pub(crate) struct File {
    /// From the root of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) struct Tree(pub(crate) Vec<File>);

impl Tree {
    /// Every file below these folders (or these files themselves) whose name ends so, sorted.
    pub(crate) fn read(places: &[&str], endings: &[&str]) -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for place in places {
            collect(root, &root.join(place), endings, &mut files);
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Tree(files)
    }

    /// A small bad tree, to see a check fail.
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Tree(files.iter().map(file).collect())
    }

    /// What ends up in the binary: comments and the contents of strings blanked, tests left out.
    pub(crate) fn shipped(&self) -> Tree {
        self.without_tests(code)
    }

    /// The same with comments and strings as they are.
    pub(crate) fn shipped_with_words(&self) -> Tree {
        self.without_tests(str::to_owned)
    }

    fn without_tests(&self, seen: impl Fn(&str) -> String) -> Tree {
        let for_tests = |file: &File| modules_for_tests(&file.path, &file.text);
        let tests: Vec<String> = self.0.iter().flat_map(for_tests).collect();
        let kept = self.0.iter().filter(|file| !tests.iter().any(|test| belongs(&file.path, test)));
        Tree(kept.map(|file| File { path: file.path.clone(), text: without_tests(&file.text, &seen) }).collect())
    }
}

fn collect(root: &Path, at: &Path, endings: &[&str], files: &mut Vec<File>) {
    if at.is_dir() {
        for entry in std::fs::read_dir(at).unwrap() {
            collect(root, &entry.unwrap().path(), endings, files);
        }
    } else if at.is_file() && endings.iter().any(|ending| at.to_string_lossy().ends_with(ending)) {
        let path = at.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        // What is no text says nothing.
        files.push(File { path, text: std::fs::read_to_string(at).unwrap_or_default() });
    }
}

/// The folder in which the modules of a file are looked for.
pub(crate) fn folder_of_modules(path: &str) -> String {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder.to_owned(),
        _ => stem.to_owned(),
    }
}

/// Modules that are compiled for tests only, as paths without an ending.
fn modules_for_tests(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("#[cfg(test)]\n") {
        let item: Vec<&str> = text[at..].lines().skip(1).take_while(|line| !line.trim().is_empty()).take(2).collect();
        let elsewhere = item[0].trim().strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix(".rs\"]"));
        let words = item.iter().flat_map(|line| line.split_whitespace()).skip_while(|word| *word != "mod");
        match (elsewhere, words.skip(1).find_map(|name| name.strip_suffix(';'))) {
            (Some(name), Some(_)) => found.push(format!("{}/{name}", path.rsplit_once('/').map_or("", |(at, _)| at))),
            (None, Some(name)) => found.push(format!("{}/{name}", folder_of_modules(path))),
            (_, None) => {}
        }
    }
    found
}

fn belongs(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Drops every item behind `#[cfg(test)]`; its lines stay, empty, so that numbers of lines stay true.
fn without_tests(text: &str, seen: &impl Fn(&str) -> String) -> String {
    let code: Vec<char> = code(text).chars().collect();
    let mut seen: Vec<char> = seen(text).chars().collect();
    let mark: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut at = 0;
    while at + mark.len() <= code.len() {
        if code[at..].starts_with(&mark) {
            let end = at + end_of_item(&code[at..]);
            seen[at..end].iter_mut().filter(|c| **c != '\n').for_each(|c| *c = ' ');
            at = end;
        } else {
            at += 1;
        }
    }
    seen.into_iter().collect()
}

fn end_of_item(code: &[char]) -> usize {
    let mut depth = 0_i32;
    for (at, c) in code.iter().enumerate() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// The text with comments and the contents of strings and characters blanked; lines stay lines.
pub(crate) fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if chars.get(at + 1) == Some(&'/') => end_of_line(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => end_of_comment(&chars, at),
            '"' => end_of_string(&chars, at),
            'r' if !follows_word(&chars, at) && hashes(&chars, at + 1).is_some() => end_of_raw(&chars, at),
            '\'' => end_of_char(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out.into_iter().collect()
}

fn follows_word(chars: &[char], at: usize) -> bool {
    // `br"…"` is a raw string too.
    at > 0 && is_word(chars[at - 1]) && !(chars[at - 1] == 'b' && (at < 2 || !is_word(chars[at - 2])))
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| at + n)
}

fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') if depth == 1 => return at + 2,
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// How many `#` stand before the quote of a raw string, if it is one.
fn hashes(chars: &[char], at: usize) -> Option<usize> {
    let count = chars.get(at..)?.iter().take_while(|c| **c == '#').count();
    (chars.get(at + count) == Some(&'"')).then_some(count)
}

fn end_of_raw(chars: &[char], at: usize) -> usize {
    let count = hashes(chars, at + 1).unwrap_or_default();
    let mut from = at + count + 2;
    while from < chars.len() {
        if chars[from] == '"' && chars[from + 1..].iter().take(count).filter(|c| **c == '#').count() == count {
            return from + 1 + count;
        }
        from += 1;
    }
    chars.len()
}

/// A character, or a lifetime, of which nothing is blanked.
fn end_of_char(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => chars[at + 3..].iter().position(|c| *c == '\'').map_or(chars.len(), |n| at + 4 + n),
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Lines on which a word stands by itself, counted from 1.
pub(crate) fn lines_with(text: &str, word: &str) -> Vec<usize> {
    text.lines().enumerate().filter(|(_, line)| has_word(line, word)).map(|(n, _)| n + 1).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        // A field of that name is read.
        let field = before == Some('.') && after != Some('(');
        !field && !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn only_code_is_left() {
    let text = "a(\"sleep \\\" // no\"); // sleep\n/* sleep /* x */ sleep */ b('\"', '\\'', 'x); c::<'a>(r#\"sleep \"q\" \"#, br\"s\");\n";
    let left: Vec<String> = code(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(left.join(" "), "a( ); b( , , 'x); c::<'a>( , b );");
    assert_eq!(code("a\n// b\nc").lines().count(), 3);
}

#[test]
fn tests_are_left_out() {
    let tree = Tree::of(&[
        (
            "src/a.rs",
            "fn a() {}\n#[cfg(test)]\nmod tests { fn t() { x.unwrap() } }\nfn b() {}\n#[cfg(test)]\nuse x::{y};\n",
        ),
        ("src/b/mod.rs", "#[cfg(test)]\npub(crate) mod fakes;\nmod real;\n"),
        ("src/b/fakes.rs", "bad"),
        ("src/b/fakes/more.rs", "bad"),
        ("src/b/real.rs", "good\n    #[cfg(test)]\n#[path = \"elsewhere.rs\"]\nmod tests;\n"),
        ("src/b/elsewhere.rs", "bad"),
    ]);
    let shipped = tree.shipped();
    let paths: Vec<&str> = shipped.0.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["src/a.rs", "src/b/mod.rs", "src/b/real.rs"]);
    assert!(!shipped.0[0].text.contains("unwrap") && shipped.0[0].text.contains("fn b"));
    assert!(!shipped.0[1].text.contains("fakes") && shipped.0[1].text.contains("real"));
}

#[test]
fn words_stand_by_themselves() {
    assert_eq!(lines_with("bollard_x\n use bollard::Docker;\nxbollard", "bollard"), [2]);
}
