//! The batch job or container that this process runs in: what it says of how to begin and how to end.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// From SIGTERM to SIGKILL where nothing says otherwise.
const GRACE: Duration = Duration::from_secs(20);
const GRACE_MIN: Duration = Duration::from_secs(1);
/// How much of the scheduler's time is left for the agent to give its runs back.
const MARGIN: Duration = Duration::from_secs(5);
/// How long Slurm may take to say how it is configured.
const SCONTROL_TIME_MAX: Duration = Duration::from_secs(3);
/// How long an agent waits for its controller in a job: both may be started at once.
const WAIT: Duration = Duration::from_secs(600);

/// Returns the time from SIGTERM to SIGKILL of programs: less than that of the scheduler.
pub(crate) async fn grace() -> Duration {
    if is_set("SLURM_JOB_ID") {
        grace_within(kill_wait().await)
    } else {
        GRACE
    }
}

/// Returns how long an agent waits for a controller that is not there yet.
pub(crate) fn wait() -> Duration {
    if is_set("SLURM_JOB_ID") || is_set("KUBERNETES_SERVICE_HOST") {
        WAIT
    } else {
        Duration::ZERO
    }
}

/// Returns whether programs outlive an agent that is killed. In a batch job, and in a container whose first process is the agent, no other agent would come
/// to take them over.
pub(crate) fn detaches() -> bool {
    !is_set("SLURM_JOB_ID") && std::process::id() != 1
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn grace_within(kill_wait: Option<Duration>) -> Duration {
    kill_wait.map_or(GRACE, |wait| {
        wait.saturating_sub(MARGIN).clamp(GRACE_MIN, GRACE)
    })
}

/// Returns the time from SIGTERM to SIGKILL of Slurm, if it can be asked.
async fn kill_wait() -> Option<Duration> {
    let mut scontrol = Command::new("scontrol");
    scontrol
        .args(["show", "config"])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let asked = tokio::time::timeout(SCONTROL_TIME_MAX, scontrol.output()).await;
    let output = asked
        .ok()?
        .inspect_err(|error| tracing::debug!(%error, "scontrol cannot be started"))
        .ok()?;
    parse_kill_wait(&String::from_utf8_lossy(&output.stdout))
}

/// `KillWait                = 30 sec`
fn parse_kill_wait(config: &str) -> Option<Duration> {
    let value = config.lines().find_map(|line| {
        line.trim()
            .strip_prefix("KillWait")?
            .trim_start()
            .strip_prefix('=')
    })?;
    value
        .split_whitespace()
        .next()?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grace_stays_below_that_of_slurm() {
        let grace = |seconds| grace_within(Some(Duration::from_secs(seconds)));
        assert_eq!(grace(30), Duration::from_secs(20));
        assert_eq!(grace(12), Duration::from_secs(7));
        assert_eq!(grace(3), Duration::from_secs(1));
        assert_eq!(grace_within(None), Duration::from_secs(20));
    }

    #[test]
    fn kill_wait_is_read_from_the_configuration() {
        let config = "JobSubmitPlugins        = (null)\nKillOnBadExit           = 0\nKillWait                = 30 sec\nLaunchParameters        =\n";
        assert_eq!(parse_kill_wait(config), Some(Duration::from_secs(30)));
        for config in [
            "",
            "KillWait",
            "KillWait = soon",
            "UnkillableStepTimeout = 60 sec",
        ] {
            assert_eq!(parse_kill_wait(config), None, "{config}");
        }
    }
}
