//! The one place that writes to the terminal: data to standard output, everything else to standard error.
//!
//! Colour is decoration: it is left out where nobody would see it. A reader that has gone away (`| head`) is no error,
//! least of all in the middle of a run.

use std::io::{IsTerminal as _, Write as _};

use owo_colors::OwoColorize as _;

/// What the user asked for: a program would read this.
pub fn data(text: &str) {
    let mut stdout = anstream::stdout().lock();
    let _gone = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// What is said to a person meanwhile.
pub fn note(text: &str) {
    let mut stderr = anstream::stderr().lock();
    let _gone = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Asks a question and waits for one line. `None`: nobody is there.
pub fn ask(question: &str) -> Option<String> {
    note(question);
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line) {
        Ok(read) if read > 0 => Some(line.trim().to_owned()),
        _ => None,
    }
}

/// Whether a person can be asked.
pub fn has_person() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether progress can be drawn.
pub fn can_draw() -> bool {
    std::io::stderr().is_terminal()
}

pub fn red(text: &str) -> String {
    text.red().bold().to_string()
}
pub fn yellow(text: &str) -> String {
    text.yellow().bold().to_string()
}
pub fn green(text: &str) -> String {
    text.green().bold().to_string()
}
pub fn cyan(text: &str) -> String {
    text.cyan().to_string()
}
pub fn dim(text: &str) -> String {
    text.dimmed().to_string()
}
