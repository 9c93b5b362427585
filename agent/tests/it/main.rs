//! The agent against a controller that is made of paper, with real programs.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot continue has failed"
)]
#![cfg(target_os = "linux")]

mod away;
mod ends;
mod fake;
mod gpus;
mod harness;
mod orders;
mod reports;
mod shim;
