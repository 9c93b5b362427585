//! `sweep agent`: works on a sweep.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use sweep_agent::{
    AgentError, AgentOptions, AgentSummary, Departure, Nvidia, SETTLING_TIME, TokenSource,
};
use tokio::sync::mpsc;

use crate::client::ControllerArgs;
use crate::display::live;
use crate::failure::CommandError;
use crate::signals::{self, PreemptSignal, say};
use crate::{batch_job, places};

/// Runs failed and none succeeded.
const ALL_FAILED: u8 = 3;
/// The controller does not have the sweep any more.
const SWEEP_GONE: u8 = 4;
/// No controller answered.
const UNREACHABLE: u8 = 5;
/// The agent was in quarantine when it was told to leave.
const QUARANTINED: u8 = 6;
/// The machine was taken away: 128 + SIGTERM.
const PREEMPTED: u8 = 143;

/// Executes runs of a sweep on this machine and reports their metrics
///
/// The program needs no library: its parameters come as arguments, its metrics are read from its output (JSON lines), from regular expressions in the
/// sweep file, from the file named by $SWEEP_METRICS, or from what it logs to W&B. Start as many agents on as many machines as you like.
///
/// The agent leaves by itself when the sweep is done.
#[derive(Debug, Args)]
#[command(after_help = "Signals:
  first Ctrl-C       take no more runs, let the running ones end
  second Ctrl-C      end the running ones gracefully and give their runs back
  third Ctrl-C       kill them
  SIGTERM            the machine is taken away: as the second Ctrl-C
  SIGUSR1, SIGUSR2   passed on to the running programs that handle them
  SIGALRM, SIGXCPU, SIGHUP   ignored
  --preempt-signal   names one that means what SIGTERM means

Exit status:
  0    the sweep is over, or the agent was interrupted; and something succeeded or nothing failed
  1    the agent could not work
  2    bad input: a flag, or no such sweep
  3    runs failed and none succeeded
  4    the sweep is gone from its controller
  5    no controller answered (within --wait)
  6    in quarantine when told to leave: runs that fail on this machine succeed elsewhere
  143  the machine was taken away (SIGTERM or --preempt-signal), the runs were given back

Examples:
  sweep agent ab12cd34
  sweep agent ab12cd34 --gpus-per-run 2
  SWEEP_TOKEN=swp_… sweep agent ab12cd34 --controller http://gpu-head:7433")]
pub(crate) struct AgentArgs {
    /// The sweep: its id, the beginning of its id, or its name
    #[arg(value_name = "SWEEP")]
    sweep: String,

    /// Leave after this many runs have ended
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    #[command(flatten)]
    place: PlaceArgs,

    /// Runs at once; by default one for each GPU (or group of GPUs), one where there are none
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    slots: Option<usize>,

    /// A signal that means what SIGTERM means, the machine is taken away: TERM, USR1, USR2, HUP, ALRM or XCPU
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", value_parser = PreemptSignal::parse)]
    preempt_signal: PreemptSignal,

    /// Whether programs outlive an agent that is killed, for the next agent to take over; by default `no` in a Slurm job and where the agent is
    /// the first process of a container, `yes` elsewhere
    #[arg(long, value_name = "yes|no")]
    detach: Option<Detach>,

    /// How long to wait for a controller that is not there yet; by default 10m under Slurm and Kubernetes, 0 elsewhere
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,

    #[command(flatten)]
    controller: ControllerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Detach {
    Yes,
    No,
}

/// Where and how programs run.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArgs {
    /// GPUs of each run, named to it in $CUDA_VISIBLE_DEVICES; 1 by default where there are any
    #[arg(long, value_name = "K", value_parser = at_least_one)]
    pub(crate) gpus_per_run: Option<usize>,

    /// Where programs run; by default the current directory
    #[arg(long, value_name = "DIR")]
    pub(crate) workdir: Option<PathBuf>,

    /// Where run folders are made; by default $XDG_STATE_HOME/sweep
    #[arg(long, value_name = "DIR")]
    pub(crate) runs_dir: Option<PathBuf>,

    /// The time from SIGTERM to SIGKILL when a program is to end: `30s`, `2m`; by default 20s, less where Slurm's KillWait is short
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) grace: Option<Duration>,
}

impl PlaceArgs {
    /// Returns the options of an agent at this place.
    pub(crate) async fn options(
        &self,
        controller: &ControllerArgs,
        sweep: String,
    ) -> Result<AgentOptions> {
        let workdir = self
            .workdir
            .clone()
            .map_or_else(std::env::current_dir, Ok)?;
        let workdir = workdir.canonicalize().map_err(|error| {
            CommandError::input(format!("--workdir {}: {error}", workdir.display()))
        })?;
        if !workdir.is_dir() {
            return Err(CommandError::input(format!(
                "--workdir {} is not a directory",
                workdir.display()
            ))
            .into());
        }
        let runs_dir = match &self.runs_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => places::state_dir()?,
        };
        let grace = match self.grace {
            Some(grace) => grace,
            None => batch_job::grace().await,
        };
        Ok(AgentOptions {
            controller: controller.controller()?,
            token: token_source(controller)?,
            sweep,
            count: None,
            slots: None,
            gpus_per_run: self.gpus_per_run,
            workdir,
            runs_dir,
            state_dir: places::state_dir()?,
            grace,
            settle: SETTLING_TIME,
            wait: Duration::ZERO,
            shim: places::own_program()?,
            captures: true,
            ends_alone: false,
            driver: Arc::<Nvidia>::default(),
        })
    }
}

/// Finds the token again whenever the controller refuses the one before: its file may hold another one.
fn token_source(controller: &ControllerArgs) -> Result<TokenSource> {
    controller.access()?;
    let controller = controller.clone();
    Ok(TokenSource::new(move || controller.access().ok()?.token))
}

/// Parses a number of at least 1.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= 1)
        .ok_or_else(|| "a whole number of at least 1 is wanted".to_owned())
}

/// Parses a time: `500ms`, `90s`, `30m`, `2h`, `1d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a time is wanted: 90s, 30m, 2h".to_owned();
    let split = text
        .find(|char: char| !char.is_ascii_digit() && char != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| wanted())?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(wanted()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wanted())
}

pub(crate) async fn run(args: &AgentArgs) -> Result<ExitCode> {
    let (sender, interrupts) = mpsc::channel(8);
    signals::forward(sender, args.preempt_signal)?;
    let mut options = args
        .place
        .options(&args.controller, args.sweep.clone())
        .await?;
    options.count = args.count;
    options.slots = args.slots;
    options.wait = args.wait.unwrap_or_else(batch_job::wait);
    options.ends_alone = !args
        .detach
        .map_or_else(batch_job::detaches, |detach| detach == Detach::Yes);
    let (notices, mut received) = mpsc::unbounded_channel();
    let printer = tokio::spawn(async move {
        while let Some(notice) = received.recv().await {
            say(&live::notice(&notice));
        }
    });
    let summary = sweep_agent::run(options, interrupts, notices).await;
    // The agent has dropped its end, so the printer ends once all is printed.
    let _ = printer.await;
    let summary = match summary {
        Err(AgentError::SweepOver(reason)) => {
            say(&format!("The agent leaves: {reason}"));
            return Ok(ExitCode::SUCCESS);
        }
        summary => summary.map_err(|error| explain(&error, &args.controller))?,
    };
    say(&sentence(&summary));
    Ok(ExitCode::from(exit_status(&summary)))
}

/// Returns an exit status that a scheduler can act on; the help text lists them.
fn exit_status(summary: &AgentSummary) -> u8 {
    let succeeded = summary.finished + summary.stopped;
    match summary.departure {
        Departure::Drained | Departure::Stopped | Departure::Preempted
            if !summary.quarantine.is_empty() =>
        {
            QUARANTINED
        }
        Departure::Preempted => PREEMPTED,
        _ if succeeded == 0 && summary.failed > 0 => ALL_FAILED,
        _ => 0,
    }
}

fn sentence(summary: &AgentSummary) -> String {
    let AgentSummary {
        finished,
        stopped,
        failed,
        other,
        ended_because,
        departure: _,
        quarantine,
    } = summary;
    let mut counts = vec![format!("{finished} finished")];
    for (count, word) in [
        (stopped, "stopped early"),
        (failed, "failed"),
        (other, "requeued or cancelled"),
    ] {
        if *count > 0 {
            counts.push(format!("{count} {word}"));
        }
    }
    let quarantine = if quarantine.is_empty() {
        String::new()
    } else {
        format!(". It was in quarantine: {quarantine}")
    };
    format!(
        "The agent leaves: {ended_because}. Its runs: {}{quarantine}",
        counts.join(", ")
    )
}

/// Turns an agent's error into one that says what to do.
pub(crate) fn explain(error: &AgentError, controller: &ControllerArgs) -> anyhow::Error {
    let text = error.to_string();
    match error {
        AgentError::Refused(_) => {
            let hint = format!(
                "asked the controller at {}; --controller http://host:7433 or $SWEEP_CONTROLLER names another, `sweep ls` lists its sweeps",
                controller.address()
            );
            CommandError::input(text).hint(hint).into()
        }
        AgentError::SweepGone(_) => CommandError::new(text)
            .code(SWEEP_GONE)
            .hint("`sweep ls` lists the sweeps that the controller has; was it restored from a backup that is older than this one?")
            .into(),
        AgentError::Unauthorized(_) => CommandError::new(text)
            .hint("set $SWEEP_TOKEN or --token-file to the token in <data-dir>/token on the controller's machine")
            .into(),
        AgentError::Unreachable { .. } => CommandError::new(text)
            .hint("an agent starts no controller: name the right one with --controller http://host:7433 or $SWEEP_CONTROLLER")
            .code(UNREACHABLE)
            .into(),
        AgentError::SweepOver(_) => CommandError::new(text).into(),
        AgentError::Slots(_) => CommandError::input(text).into(),
        AgentError::File { .. } => CommandError::new(text).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_says_what_a_scheduler_can_do() {
        let left = |departure| AgentSummary {
            departure,
            ..AgentSummary::default()
        };
        let bad = |departure| AgentSummary {
            quarantine: "5 runs in a row".to_owned(),
            failed: 5,
            ..left(departure)
        };
        assert_eq!(exit_status(&left(Departure::Done)), 0);
        assert_eq!(exit_status(&left(Departure::Stopped)), 0);
        assert_eq!(
            exit_status(&AgentSummary {
                failed: 1,
                ..left(Departure::Done)
            }),
            3
        );
        assert_eq!(
            exit_status(&AgentSummary {
                failed: 1,
                ..left(Departure::Preempted)
            }),
            143
        );
        assert_eq!(
            (
                exit_status(&bad(Departure::Done)),
                exit_status(&bad(Departure::Drained))
            ),
            (3, 6)
        );
        assert_eq!(
            exit_status(&bad(Departure::Preempted)),
            6,
            "a machine that fails is not worth coming back to"
        );
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "soon", "s", "5 weeks", "-1s", "1e999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
