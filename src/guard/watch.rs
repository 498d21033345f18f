//! The guard's side: watches the tool, and says when it is its turn.

use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, getppid, pidfd_open, pidfd_send_signal, setsid};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::{ARMED, Brief, STARTED, Word};
use crate::process::state_of;
use crate::trouble::Trouble;
use crate::wait::{self, Deadline, Limit};

/// What a tool has at least that lives when the cap is over.
const GRACE: Duration = Duration::from_secs(5);

/// Between two looks at such a tool.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is nothing to do.
    Dismissed,
    /// The tool is gone, and it is known to be: it is the guard's turn.
    Gone,
}

/// A tool that is watched.
pub struct Watch {
    pub brief: Brief,
    tool: OwnedFd,
    /// Told once, when the tool has ended.
    gone: oneshot::Receiver<()>,
    words: Lines<BufReader<pipe::Receiver>>,
}

impl Watch {
    /// Leaves the tool's session, so that what kills the tool's process group spares the guard, and reads its brief.
    pub async fn begin() -> Result<Watch, Trouble> {
        setsid().map_err(|e| Trouble::failed("cannot have a session of my own").because(e))?;
        let not_ours = |e| Trouble::usage("`guard` is started by the tool itself").because(e);
        let pipe = std::io::stdin().as_fd().try_clone_to_owned().map_err(not_ours)?;
        let mut words = BufReader::new(pipe::Receiver::from_owned_fd(pipe).map_err(not_ours)?).lines();
        let first = words.next_line().await.map_err(|e| Trouble::failed("no brief").because(e))?;
        let brief: Brief = serde_json::from_str(&first.unwrap_or_default())
            // The parser's own words could repeat a password.
            .map_err(|_| Trouble::usage("`guard` is started by the tool itself"))?;
        let cannot = |e| Trouble::failed("cannot watch the tool").because(e);
        let tool = watched(brief.tool).map_err(cannot)?;
        let gone = end_of(tool.try_clone().map_err(cannot)?);
        answer(STARTED);
        Ok(Watch { brief, tool, gone, words })
    }

    /// Ends when it is the guard's turn, or nobody's. A tool that is frozen when the cap is over has lost its turn. One
    /// that runs is turning back, which may take longer than the cap leaves (V1 serves by then: its own switch has
    /// seen to that), or goes forward: it has as much time again, and beyond the point of no return, which `line` asks
    /// about, once more.
    pub async fn end(mut self, line: impl Fn() -> bool) -> Result<Verdict, Trouble> {
        let grace = self.brief.limits.cutover.0.max(GRACE);
        let mut cap: Option<Deadline> = None;
        // When to look at a tool that lives, and until when it may, once the cap is over.
        let (mut look, mut end) = (None, None);
        let mut listening = true;
        let mut extended = false;
        loop {
            tokio::select! {
                biased;
                word = self.words.next_line(), if listening => match word.ok().flatten().and_then(|word| parse(&word)) {
                    Some(Word::Dismiss) => return Ok(Verdict::Dismissed),
                    Some(Word::Arm(deadline)) => {
                        (cap, look, end, extended) = (Some(deadline), Some(deadline), None, false);
                        answer(ARMED);
                    }
                    // It is about to be gone, or it makes no sense: either way its end is what counts.
                    None => listening = false,
                },
                gone = &mut self.gone => {
                    gone.map_err(|_| cannot_see())?;
                    let needed = cap.is_some() && !self.was_dismissed().await;
                    return Ok(if needed { Verdict::Gone } else { Verdict::Dismissed });
                }
                () = over(look) => {
                    let until = *end.get_or_insert_with(|| Deadline::after(grace));
                    if until.is_over() && !extended && line() {
                        (extended, end) = (true, Some(Deadline::after(grace)));
                    } else if until.is_over() || is_frozen(self.brief.tool) {
                        return self.kill().await;
                    }
                    look = Some(Deadline::after(BETWEEN_LOOKS));
                }
            }
        }
    }

    /// Its end may be seen before what it said last, which counts.
    async fn was_dismissed(&mut self) -> bool {
        let limit = Limit { name: "the guard's patience", value: Duration::from_secs(1) };
        let rest = wait::within(limit, "what the tool said last", async {
            while let Ok(Some(word)) = self.words.next_line().await {
                if parse(&word) == Some(Word::Dismiss) {
                    return Ok(true);
                }
            }
            Ok(false)
        });
        rest.await.unwrap_or(false)
    }

    /// Also ends a tool that is frozen. Nothing is touched before it is seen gone.
    async fn kill(self) -> Result<Verdict, Trouble> {
        match pidfd_send_signal(&self.tool, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => return Err(Trouble::failed("cannot end the tool; nothing was touched").because(e)),
        }
        self.gone.await.map_err(|_| cannot_see())?;
        Ok(Verdict::Gone)
    }
}

/// A few bytes into an empty pipe: this never waits.
fn answer(word: &str) {
    let mut stdout = std::io::stdout().lock();
    // A tool that is gone hears nothing, and is noticed by its end.
    let _gone = writeln!(stdout, "{word}").and_then(|()| stdout.flush());
}

fn cannot_see() -> Trouble {
    Trouble::failed("the tool's end cannot be seen; nothing was touched")
}

/// The tool is our parent: that it still is, after we have hold of it, shows that its number was not used again.
fn watched(tool: i32) -> std::io::Result<OwnedFd> {
    let pid = Pid::from_raw(tool).ok_or_else(|| std::io::Error::other("no process"))?;
    let held = pidfd_open(pid, PidfdFlags::empty())?;
    if getppid() != Some(pid) {
        return Err(std::io::Error::other("it is gone already"));
    }
    Ok(held)
}

/// Tells once the process has ended, all its threads. A thread of ours waits for it: it costs nothing until then.
fn end_of(process: OwnedFd) -> oneshot::Receiver<()> {
    let (told, gone) = oneshot::channel();
    std::thread::spawn(move || {
        loop {
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
                Ok(_) => break told.send(()),
                Err(Errno::INTR) => {}
                // Dropping the sender says that it cannot be seen.
                Err(_) => break Ok(()),
            }
        }
    });
    gone
}

/// Stopped by a signal, or by who traces it. Only asked of a process that is not known to have ended; that it ends
/// meanwhile and its number is used again is told by the file descriptor we act through.
fn is_frozen(tool: i32) -> bool {
    matches!(state_of(tool.cast_unsigned()).as_deref(), Some("T" | "t"))
}

async fn over(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => deadline.passed().await,
        None => std::future::pending().await,
    }
}

fn parse(word: &str) -> Option<Word> {
    serde_json::from_str(word).ok()
}
