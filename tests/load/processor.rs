//! Processor time of a process. The benchmark in `benches/controller` includes this file, too.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// `/proc` counts processor time in these on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Returns the processor time that all threads of a process have used, those that have ended included. `self` is this process.
pub(crate) fn processor_time(process: &str) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .context("only Linux tells what a process has used")?;
    // The second field is the name, in brackets, and may hold anything; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let (Some(user), Some(system)) = (fields.get(11), fields.get(12)) else {
        bail!("/proc/…/stat has too few fields: {stat}")
    };
    Ok(TICK * (user.parse::<u32>()? + system.parse::<u32>()?))
}
