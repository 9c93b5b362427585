//! Any output of a program: its first byte says how it is cut into pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((piece, output)) = bytes.split_first() {
        sweep_agent::fuzzing::intake(output, usize::from(*piece));
    }
});
