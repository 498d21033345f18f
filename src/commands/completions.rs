//! `completions`

use clap::CommandFactory as _;

use crate::cli::{Cli, Completions};
use crate::tell::out;

pub(super) fn print(args: &Completions) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "switchover", &mut script);
    out::data(&String::from_utf8_lossy(&script));
    0
}
