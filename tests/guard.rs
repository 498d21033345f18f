//! The guard, with real processes: this program is tool, guard and test.
//!
//! A tool begins by taking a lock, as of a journal; a guard whose turn it is takes it too, and leaves a note of what it
//! did. What the note says, and when, is what the tests ask.

#![allow(clippy::unwrap_used, reason = "a test fails where its own footing breaks")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use rustix::process::{Pid, Signal, getsid, kill_process, kill_process_group, test_kill_process};
use switchover::config::Limits;
use switchover::config::quantity::Span;
use switchover::guard::{Brief, Guard as _, GuardProcess, Verdict, Watch};
use switchover::wait::Deadline;

/// Nothing here takes longer, but for a cap.
const SOON: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["guard", dir] => perform(guard(Path::new(dir))),
        ["tool", dir, cap] => perform(tool(Path::new(dir), Duration::from_millis(cap.parse().unwrap()))),
        _ => {
            let trials = TESTS.iter().map(|(name, test)| {
                Trial::test(*name, || {
                    test();
                    Ok(())
                })
            });
            libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
        }
    }
}

const TESTS: &[(&str, fn())] = &[
    ("a_tool_that_is_killed_is_followed_at_once", killed),
    ("killing_the_tools_process_group_spares_the_guard", group_killed),
    ("a_tool_that_ends_without_a_word_is_followed", ends_without_a_word),
    ("a_tool_that_lives_within_the_cap_is_left_alone", lives_within_the_cap),
    ("a_tool_that_was_frozen_and_woke_in_time_is_left_alone", woke_in_time),
    ("a_tool_that_is_frozen_at_the_cap_is_ended_first", frozen_past_the_cap),
    ("a_tool_that_freezes_while_it_turns_back_is_ended_first", freezes_after_the_cap),
    ("a_tool_that_is_turning_back_at_the_cap_is_let_finish", turning_back),
    ("a_tool_that_never_finishes_is_ended", never_finishes),
    ("a_tool_that_goes_forward_beyond_the_line_has_more_time", beyond_the_line),
    ("a_new_cap_takes_the_place_of_the_old_one", armed_again),
    ("one_that_is_dismissed_does_nothing_and_is_gone", dismissed),
    ("what_the_tool_said_last_counts_though_it_died_at_once", dismissed_and_killed),
    ("one_that_was_never_armed_does_nothing", never_armed),
    ("a_number_that_is_another_processes_now_is_not_watched", reused_number),
    ("what_the_guard_says_is_in_a_log_for_its_owner_alone", log),
];

// ── the roles ───────────────────────────────────────────────────────────────────────────────────────────────────

fn perform(role: impl Future<Output = Result<(), switchover::trouble::Trouble>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match runtime.block_on(role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            switchover::tell::out::note(&format!("{}\n", trouble.one_line()));
            ExitCode::FAILURE
        }
    }
}

async fn guard(dir: &Path) -> Result<(), switchover::trouble::Trouble> {
    std::fs::write(dir.join("guard.pid"), std::process::id().to_string()).unwrap();
    let watch = Watch::begin().await?;
    let line = dir.join("line");
    let done = match watch.end(|| line.exists()).await? {
        Verdict::Dismissed => "dismissed",
        Verdict::Gone => {
            // The tool is gone, and so is its lock.
            let lock = File::open(dir.join("lock")).unwrap();
            if lock.try_lock().is_ok() { "acted" } else { "acted too early" }
        }
    };
    std::fs::write(dir.join("note.new"), done).unwrap();
    std::fs::rename(dir.join("note.new"), dir.join("note")).unwrap();
    Ok(())
}

/// Does what it is told, a line at a time.
async fn tool(dir: &Path, cap: Duration) -> Result<(), switchover::trouble::Trouble> {
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let brief = Brief {
        tool: std::process::id().cast_signed(),
        limits: Limits { cutover: Span(cap), ..Limits::default() },
        user: None,
        password: Some("hunter2".into()),
    };
    let mut guard = GuardProcess::new(vec!["guard".into(), dir.into()], brief, dir.join("guard.log"));
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        match order.as_str() {
            "start" => guard.ensure_started().await?,
            "arm" => guard.ensure_armed(Deadline::after(cap)).await?,
            "arm longer" => guard.ensure_armed(Deadline::after(cap * 20)).await?,
            "dismiss" => guard.ensure_dismissed().await?,
            _ => break,
        }
        let mut stdout = std::io::stdout();
        writeln!(stdout, "did {order}").unwrap();
        stdout.flush().unwrap();
    }
    Ok(())
}

// ── the tests' hand on them ─────────────────────────────────────────────────────────────────────────────────────

struct Tool {
    dir: tempfile::TempDir,
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Tool {
    /// As a terminal starts it: leader of its own process group.
    fn with_cap(cap: Duration) -> Tool {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("tool")
            .arg(dir.path())
            .arg(cap.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Tool { dir, process, answers }
    }

    fn armed(cap: Duration) -> Tool {
        let mut tool = Tool::with_cap(cap);
        tool.does("arm");
        tool
    }

    fn does(&mut self, order: &str) {
        self.told(order);
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("did {order}\n"));
    }

    fn told(&mut self, order: &str) {
        writeln!(self.process.stdin.as_ref().unwrap(), "{order}").unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    fn guard(&self) -> Pid {
        let text = std::fs::read_to_string(self.dir.path().join("guard.pid")).unwrap();
        Pid::from_raw(text.parse().unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn note(&self) -> Option<String> {
        std::fs::read_to_string(self.dir.path().join("note")).ok()
    }

    /// What the guard did, which it must have done within this time.
    fn note_within(&self, limit: Duration) -> String {
        within(limit, "the guard's note", || self.note())
    }

    fn has_ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().unwrap()
    }

    fn ended(&mut self) -> ExitStatus {
        within(SOON, "the tool's end", || self.process.try_wait().unwrap())
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let path = self.dir.path().join("guard.pid");
        let guard = std::fs::read_to_string(path).ok().and_then(|text| Pid::from_raw(text.parse().ok()?));
        // What a failed test has left; a guard that was seen to have done its work is gone by itself.
        if let Some(guard) = guard.filter(|_| self.note().is_none()) {
            let _ = kill_process(guard, Signal::KILL);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        pause(Duration::from_millis(5));
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that looks from outside has nothing to wait on")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

const NEVER: Duration = Duration::from_secs(600);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

// ── the tests ───────────────────────────────────────────────────────────────────────────────────────────────────

fn killed() {
    let tool = Tool::armed(NEVER);
    tool.signal(Signal::KILL);
    assert_eq!(tool.note_within(SOON), "acted");
}

fn group_killed() {
    let tool = Tool::armed(NEVER);
    assert_eq!(getsid(Some(tool.guard())).unwrap(), tool.guard(), "a session of its own");
    kill_process_group(tool.pid(), Signal::KILL).unwrap();
    assert_eq!(tool.note_within(SOON), "acted");
}

fn ends_without_a_word() {
    let mut tool = Tool::armed(NEVER);
    tool.told("end");
    assert!(tool.ended().success());
    assert_eq!(tool.note_within(SOON), "acted");
}

fn lives_within_the_cap() {
    let mut tool = Tool::armed(ms(1500));
    pause(ms(1000));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.does("dismiss");
    assert_eq!(tool.note_within(SOON), "dismissed");
}

fn woke_in_time() {
    let mut tool = Tool::armed(ms(1500));
    tool.signal(Signal::STOP);
    pause(ms(700));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.signal(Signal::CONT);
    tool.does("dismiss");
    assert_eq!(tool.note_within(SOON), "dismissed");
}

fn frozen_past_the_cap() {
    let began = Instant::now();
    let mut tool = Tool::armed(ms(1000));
    tool.signal(Signal::STOP);
    // The lock is free when the guard acts: the tool was seen gone before.
    assert_eq!(tool.note_within(SOON), "acted");
    assert!(began.elapsed() >= ms(1000), "within the cap: {:?}", began.elapsed());
    assert_eq!(tool.ended().signal(), Some(Signal::KILL.as_raw()));
}

fn freezes_after_the_cap() {
    let mut tool = Tool::armed(ms(300));
    pause(ms(800));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.signal(Signal::STOP);
    assert_eq!(tool.note_within(ms(2500)), "acted");
    assert_eq!(tool.ended().signal(), Some(Signal::KILL.as_raw()));
}

fn turning_back() {
    let mut tool = Tool::armed(ms(300));
    pause(ms(3500));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.does("dismiss");
    assert_eq!(tool.note_within(SOON), "dismissed");
}

fn never_finishes() {
    let began = Instant::now();
    let mut tool = Tool::armed(ms(300));
    assert_eq!(tool.note_within(ms(12_000)), "acted");
    assert!(began.elapsed() >= ms(5300), "{:?}", began.elapsed());
    assert_eq!(tool.ended().signal(), Some(Signal::KILL.as_raw()));
}

fn beyond_the_line() {
    let mut tool = Tool::armed(ms(300));
    std::fs::write(tool.dir.path().join("line"), "").unwrap();
    pause(ms(6500));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.does("dismiss");
    assert_eq!(tool.note_within(SOON), "dismissed");
}

fn armed_again() {
    let mut tool = Tool::armed(ms(500));
    tool.does("arm longer");
    tool.signal(Signal::STOP);
    pause(ms(1500));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.signal(Signal::KILL);
    assert_eq!(tool.note_within(SOON), "acted");
}

fn dismissed() {
    let mut tool = Tool::armed(NEVER);
    let guard = tool.guard();
    tool.does("dismiss");
    // It was waited for: gone, and no zombie either.
    assert!(test_kill_process(guard).is_err());
    assert_eq!(tool.note().as_deref(), Some("dismissed"));
    assert_eq!(tool.has_ended(), None);
    // And another window.
    tool.does("arm");
    assert_ne!(tool.guard(), guard);
    tool.does("dismiss");
}

/// The guard finds both at once: the tool's last word, and its end.
fn dismissed_and_killed() {
    for _ in 0..20 {
        let mut tool = Tool::armed(NEVER);
        kill_process(tool.guard(), Signal::STOP).unwrap();
        tool.told("dismiss");
        pause(ms(50));
        tool.signal(Signal::KILL);
        assert_eq!(tool.ended().signal(), Some(Signal::KILL.as_raw()));
        kill_process(tool.guard(), Signal::CONT).unwrap();
        assert_eq!(tool.note_within(SOON), "dismissed");
    }
}

fn never_armed() {
    let mut tool = Tool::with_cap(ms(200));
    tool.does("start");
    pause(ms(600));
    assert_eq!((tool.note(), tool.has_ended()), (None, None));
    tool.signal(Signal::KILL);
    assert_eq!(tool.note_within(SOON), "dismissed");
}

/// The tool has died before its guard had hold of it, and its number is somebody else's by now.
fn reused_number() {
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut guard = Command::new(std::env::current_exe().unwrap())
        .arg("guard")
        .arg(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let brief = Brief {
        tool: stranger.id().cast_signed(),
        limits: Limits { cutover: Span(ms(1)), ..Limits::default() },
        user: None,
        password: None,
    };
    writeln!(guard.stdin.take().unwrap(), "{}", serde_json::to_string(&brief).unwrap()).unwrap();
    let ended = within(SOON, "the guard's end", || guard.try_wait().unwrap());
    let mut said = String::new();
    guard.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!ended.success() && said.contains("cannot watch the tool"), "{said}");
    assert!(!dir.path().join("note").exists(), "it acted");
    assert_eq!(stranger.try_wait().unwrap(), None, "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

fn log() {
    use std::os::unix::fs::PermissionsExt as _;
    let tool = Tool::armed(NEVER);
    let log: PathBuf = tool.dir.path().join("guard.log");
    assert_eq!(log.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Nor does a list of processes show a password.
    let words = std::fs::read(format!("/proc/{}/cmdline", tool.guard().as_raw_nonzero())).unwrap();
    assert!(!String::from_utf8_lossy(&words).contains("hunter2"));
}
