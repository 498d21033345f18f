//! What the kernel says of a process of this machine.

/// When it started, in ticks since the machine did: with this a number that is used again is told from the first one. `None`:
/// there is no such process.
pub fn started_at(pid: u32) -> Option<String> {
    said(pid, 19)
}

/// What it is doing, as in `R` or `T`. `None`: there is no such process.
pub fn state_of(pid: u32) -> Option<String> {
    said(pid, 0)
}

/// A word behind its name, which stands in brackets and may hold anything.
fn said(pid: u32, word: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(word).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_has_a_start() {
        let ours = started_at(std::process::id()).unwrap();
        assert!(ours.parse::<u64>().unwrap() > 0);
        assert!(state_of(std::process::id()).is_some());
        assert_eq!((started_at(u32::MAX), state_of(u32::MAX)), (None, None));
    }
}
