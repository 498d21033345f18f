//! Prints on a thread of its own, so that a terminal that is stopped or a pipe nobody reads never holds up a run.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::{Event, Printer};

/// Long enough for any output that flows; short enough for the window when it does not.
const PATIENCE: Duration = Duration::from_millis(5);

/// How long the end waits for a reader that takes nothing: a run that nobody listens to must end all the same.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// With so many not printed yet, what a later one supersedes is left out: a reader may be stuck for hours.
const CROWDED: usize = 1000;

pub struct Aside {
    /// Gone when it is time to end.
    events: Option<Sender<Event>>,
    printed: Receiver<()>,
    /// Events handed over and not yet printed, as far as we know.
    behind: usize,
}

impl Aside {
    /// The printer is made on its own thread.
    pub fn new(make: impl FnOnce() -> Box<dyn Printer> + Send + 'static) -> Self {
        let (events, mail) = channel::<Event>();
        let (done, printed) = channel();
        // Not joined: it may be stuck for ever in a write that nobody takes.
        std::thread::spawn(move || {
            let mut hands = make();
            for event in mail {
                hands.print(&event);
                if done.send(()).is_err() {
                    break;
                }
            }
        });
        Aside { events: Some(events), printed, behind: 0 }
    }
}

impl Printer for Aside {
    /// Waits for a moment, so that what is said is out before what is done next; never waits for a printer that is
    /// stuck already.
    fn print(&mut self, event: &Event) {
        while self.printed.try_recv().is_ok() {
            self.behind -= 1;
        }
        if self.behind > CROWDED && matches!(event, Event::Progress { .. } | Event::Waiting { .. }) {
            return;
        }
        let stuck = self.behind > 0;
        if self.events.as_ref().is_some_and(|events| events.send(event.clone()).is_ok()) {
            self.behind += 1;
        }
        if !stuck {
            self.catch_up(PATIENCE);
        }
    }

    fn flush(&mut self) {
        self.catch_up(Duration::from_secs(1));
    }
}

impl Aside {
    fn catch_up(&mut self, patience: Duration) {
        let end = Instant::now() + patience;
        while self.behind > 0 {
            match self.printed.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(()) => self.behind -= 1,
                Err(_) => break,
            }
        }
    }
}

impl Drop for Aside {
    /// Waits as long as something is printed, then no longer.
    fn drop(&mut self) {
        self.events = None;
        // The thread lets go of its end when all is printed and the printer has put away what it drew.
        while self.printed.recv_timeout(LAST_PATIENCE).is_ok() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Slow {
        said: Arc<Mutex<Vec<String>>>,
        gate: Arc<Mutex<()>>,
    }
    impl Printer for Slow {
        fn print(&mut self, event: &Event) {
            let _open = self.gate.lock().unwrap();
            if let Event::Warning { what, .. } = event {
                self.said.lock().unwrap().push(what.clone());
            }
        }
    }
    fn warning(what: &str) -> Event {
        Event::Warning { step: None, what: what.into() }
    }

    #[test]
    fn a_printer_that_is_stuck_costs_a_moment_once_and_loses_nothing() {
        let (said, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(())));
        let slow = Slow { said: Arc::clone(&said), gate: Arc::clone(&gate) };
        let mut aside = Aside::new(move || Box::new(slow));
        let shut = gate.lock().unwrap();
        let started = Instant::now();
        for n in 0..100 {
            aside.print(&warning(&n.to_string()));
        }
        assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
        drop(shut);
        drop(aside);
        let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(*said.lock().unwrap(), all);
    }

    #[test]
    fn a_reader_that_takes_nothing_does_not_keep_the_run_from_ending_nor_fill_its_memory() {
        let gate = Arc::new(Mutex::new(()));
        let slow = Slow { said: Arc::default(), gate: Arc::clone(&gate) };
        let mut aside = Aside::new(move || Box::new(slow));
        let _shut = gate.lock().unwrap();
        for n in 0..CROWDED * 2 {
            aside.print(&Event::Waiting { step: None, what: "V2".into(), why: n.to_string() });
        }
        assert_eq!(aside.behind, CROWDED + 1);
        aside.print(&warning("is never left out"));
        assert_eq!(aside.behind, CROWDED + 2);
        let started = Instant::now();
        drop(aside);
        assert!(started.elapsed() < LAST_PATIENCE * 2, "{:?}", started.elapsed());
    }
}
