//! Prints on a thread of its own, so that a terminal that is stopped or a pipe nobody reads never holds up a run.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Event, Printer};

/// Long enough for any output that flows; short enough for the window when it does not.
const PATIENCE: Duration = Duration::from_millis(5);

pub struct Aside {
    /// Gone when it is time to end.
    events: Option<Sender<Event>>,
    printed: Receiver<()>,
    /// Events handed over and not yet printed, as far as we know.
    behind: usize,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// The printer is made on its own thread.
    pub fn new(make: impl FnOnce() -> Box<dyn Printer> + Send + 'static) -> Self {
        let (events, mail) = channel::<Event>();
        let (done, printed) = channel();
        let thread = std::thread::spawn(move || {
            let mut hands = make();
            for event in mail {
                hands.print(&event);
                if done.send(()).is_err() {
                    break;
                }
            }
        });
        Aside { events: Some(events), printed, behind: 0, thread: Some(thread) }
    }
}

impl Printer for Aside {
    /// Waits for a moment, so that what is said is out before what is done next; never waits for a printer that is
    /// stuck already.
    fn print(&mut self, event: &Event) {
        while self.printed.try_recv().is_ok() {
            self.behind -= 1;
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
    fn drop(&mut self) {
        self.events = None;
        if let Some(thread) = self.thread.take() {
            // A printer that panicked has nothing left to say.
            let _ = thread.join();
        }
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
}
