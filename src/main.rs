use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(switchover::commands::main())
}
