//! Who watches the watchman: handovers that lose rows or keep two sides writable, and a fault that hits nothing.
//! The runner must say so. The stand-in for the tool is a script beside the scenarios.
#![expect(clippy::unwrap_used, reason = "a test may end here")]

use std::path::Path;
use std::process::{Command, Stdio};

fn verdict_on(scenario: &str) -> (Option<i32>, String) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken_handover");
    let records = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_switchover"))
        .args(["scenario", "run", "--binary"])
        .args([here.join("switchover"), here.join(scenario), "--artefacts".into(), records.path().to_owned()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told.into_owned())
}

fn must_complain(scenario: &str, complaints: &[&str]) {
    let (code, told) = verdict_on(scenario);
    assert_eq!(code, Some(1), "{told}");
    for complaint in complaints {
        assert!(told.contains(complaint), "`{complaint}` is not said:\n{told}");
    }
}

#[test]
fn rows_that_a_dump_does_not_have_are_lost() {
    must_complain("lose", &["FAILED", "lost: ", "not 0 ("]);
}

#[test]
fn two_writable_sides_under_one_name_are_stale() {
    must_complain("both", &["FAILED", "stale: ", "when clients were on"]);
}

#[test]
fn a_fault_that_hits_nothing_proves_nothing() {
    must_complain("missed", &["it was never killed at after:fence"]);
}
