//! Signals as something the driver can look at and wait for.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::trouble::Trouble;

/// How often the person asked us to stop: once means turn back (below the line: finish), twice means stop at the
/// next record. Cheap to clone.
#[derive(Clone)]
pub struct Interrupt(Arc<watch::Sender<u32>>);

impl Default for Interrupt {
    fn default() -> Self {
        Interrupt(Arc::new(watch::Sender::new(0)))
    }
}

impl Interrupt {
    /// An interrupt that counts SIGINT and SIGTERM from now on.
    pub fn on_signals() -> Result<Self, Trouble> {
        let interrupt = Self::default();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let mut signals = signal(kind).map_err(|e| Trouble::failed("cannot listen for signals").because(e))?;
            let mine = interrupt.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    mine.ask();
                }
            });
        }
        Ok(interrupt)
    }

    pub fn ask(&self) {
        self.0.send_modify(|asked| *asked += 1);
    }

    pub fn asked(&self) -> u32 {
        *self.0.borrow()
    }

    /// Ends once it was asked to stop.
    pub async fn wait(&self) {
        // The sender lives as long as we do, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|asked| *asked > 0).await;
    }
}
