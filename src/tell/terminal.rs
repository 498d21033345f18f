//! A live line at the bottom of a terminal, and above it what is true by now.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Event, Printer, out, text};

pub struct Terminal {
    /// The live line of the running step.
    live: Option<ProgressBar>,
    title: String,
}

impl Terminal {
    pub fn new() -> Self {
        Terminal { live: None, title: String::new() }
    }

    fn begin(&mut self, title: &str) {
        self.end();
        title.clone_into(&mut self.title);
        let live = ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}")).with_message(title.to_owned());
        live.enable_steady_tick(Duration::from_millis(120));
        self.live = Some(live);
    }

    fn end(&mut self) {
        if let Some(live) = self.live.take() {
            live.finish_and_clear();
        }
    }

    /// A line that stays.
    fn say(&self, line: &str) {
        match &self.live {
            Some(bar) => bar.suspend(|| out::note(&format!("{line}\n"))),
            None => out::note(&format!("{line}\n")),
        }
    }

    fn draw(&self, done: u64, total: Option<u64>, said: &str) {
        let Some(live) = &self.live else { return };
        let message = format!("{}: {said}", self.title);
        match total {
            Some(total) if total > 0 => {
                live.set_style(style("{spinner} [{bar:24}] {wide_msg}").progress_chars("=> "));
                live.set_length(total);
                live.set_position(done.min(total));
            }
            _ => live.set_style(style("{spinner} {wide_msg}")),
        }
        live.set_message(message);
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Printer for Terminal {
    fn print(&mut self, event: &Event) {
        match event {
            Event::StepBegun { title, .. } => self.begin(title),
            Event::StepDone { step, fact, ms } => {
                self.end();
                self.say(&format!(
                    "{} {fact} {}",
                    out::green(&format!("{step:<11}")),
                    out::dim(&format!("({})", text::ms(*ms)))
                ));
            }
            Event::StepUndone { step, .. } => {
                self.end();
                self.say(&format!("{} undone", out::yellow(&format!("{step:<11}"))));
            }
            Event::Progress { what, done, total, rate, unit, .. } => {
                self.draw(*done, *total, &format!("{what} {}", text::progress(*done, *total, *rate, *unit)));
            }
            Event::Waiting { what, why, .. } => {
                self.draw(0, None, &format!("waiting for {what}: {why}"));
            }
            Event::Warning { what, .. } => self.say(&format!("{} {what}", out::yellow("warning:"))),
            Event::Result(_) => self.end(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.end();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
