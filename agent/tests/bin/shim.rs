//! Nothing but a shim.

use std::process::ExitCode;

fn main() -> ExitCode {
    sweep_agent::shim(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
