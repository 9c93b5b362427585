//! The command line of sweep.

#[cfg_attr(not(test), expect(dead_code, reason = "`sweep run` is not written yet"))]
mod ci;

fn main() {}
