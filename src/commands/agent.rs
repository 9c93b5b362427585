//! `sweep agent`: works on a sweep.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use sweep_agent::{AgentError, AgentOptions, AgentSummary, Interrupt, Nvidia};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::client::ControllerArgs;
use crate::display::live;
use crate::failure::Failure;
use crate::places;

/// Works on a sweep: takes configurations, runs the training program, reports
///
/// The program needs no library: its parameters come as arguments, its metrics are read from its output (JSON lines), from regular expressions in the
/// sweep file, from the file named by $SWEEP_METRICS, or from what it logs to W&B. Start as many agents on as many machines as you like.
///
/// The agent leaves by itself when the sweep is done.
#[derive(Debug, Args)]
#[command(after_help = "Signals:
  first Ctrl-C    take no more runs, let the running ones end
  second Ctrl-C   end the running ones gracefully and give their runs back
  third Ctrl-C    kill them
  SIGTERM         the machine is taken away: as the second Ctrl-C

Exit status:
  0    the sweep is done, or the agent was asked to leave; and something succeeded or nothing failed
  1    the agent could not work
  2    bad input: a flag, or no such sweep
  3    runs failed and none succeeded

Examples:
  sweep agent ab12cd34
  sweep agent ab12cd34 --gpus-per-run 2
  sweep agent ab12cd34 --controller http://gpu-head:7433 --token swp_…")]
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

    #[command(flatten)]
    controller: ControllerArgs,
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

    /// The time from SIGTERM to SIGKILL when a program is to end: `30s`, `2m`
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) grace: Duration,
}

impl PlaceArgs {
    /// Returns the options of an agent at this place.
    pub(crate) fn options(&self, controller: &ControllerArgs, sweep: String) -> Result<AgentOptions> {
        let workdir = self.workdir.clone().map_or_else(std::env::current_dir, Ok)?;
        let workdir = workdir.canonicalize().map_err(|error| Failure::input(format!("--workdir {}: {error}", workdir.display())))?;
        if !workdir.is_dir() {
            return Err(Failure::input(format!("--workdir {} is no directory", workdir.display())).into());
        }
        let runs_dir = match &self.runs_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => places::state_dir()?,
        };
        Ok(AgentOptions {
            controller: controller.endpoint()?,
            token: controller.token.clone().filter(|token| !token.is_empty()),
            sweep,
            count: None,
            slots: None,
            gpus_per_run: self.gpus_per_run,
            workdir,
            runs_dir,
            grace: self.grace,
            shim: places::own_program()?,
            captures: true,
            ends_alone: false,
            driver: Arc::<Nvidia>::default(),
        })
    }
}

/// Parses a number of at least 1.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number >= 1).ok_or_else(|| "a whole number of at least 1 is wanted".to_owned())
}

/// Parses a time: `500ms`, `90s`, `30m`, `2h`, `1d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || "a time is wanted: 90s, 30m, 2h".to_owned();
    let split = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
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
    let mut options = args.place.options(&args.controller, args.sweep.clone())?;
    options.count = args.count;
    options.slots = args.slots;
    let (sender, interrupts) = mpsc::channel(8);
    forward_signals(sender)?;
    let (notices, mut received) = mpsc::unbounded_channel();
    let printer = tokio::spawn(async move {
        while let Some(notice) = received.recv().await {
            eprintln!("{}", live::notice(&notice));
        }
    });
    let summary = sweep_agent::run(options, interrupts, notices).await.map_err(|error| explain(&error, &args.controller));
    // The agent has dropped its end, so the printer ends once all is printed.
    let _ = printer.await;
    let summary = summary?;
    eprintln!("{}", sentence(&summary));
    let succeeded = summary.finished + summary.stopped;
    Ok(if succeeded == 0 && summary.failed > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn sentence(summary: &AgentSummary) -> String {
    let AgentSummary { finished, stopped, failed, other, ended_because } = summary;
    let mut counts = vec![format!("{finished} finished")];
    for (count, word) in [(stopped, "stopped early"), (failed, "failed"), (other, "given back or cancelled")] {
        if *count > 0 {
            counts.push(format!("{count} {word}"));
        }
    }
    format!("The agent leaves: {ended_because}. Its runs: {}", counts.join(", "))
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
            Failure::input(text).hint(hint).into()
        }
        AgentError::Unauthorized(_) => Failure::new(text)
            .hint("give the token with --token or $SWEEP_TOKEN; it is in <data-dir>/token on the controller's machine")
            .into(),
        AgentError::Unreachable { .. } => Failure::new(text)
            .hint("an agent starts no controller: name the right one with --controller http://host:7433 or $SWEEP_CONTROLLER")
            .into(),
        AgentError::Slots(_) => Failure::input(text).into(),
        AgentError::File { .. } => Failure::new(text).into(),
    }
}

/// Turns signals into interrupts, and says each time what happens and what the next one does.
pub(crate) fn forward_signals(sender: mpsc::Sender<Interrupt>) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A login shell that closes takes no training with it.
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        let mut presses = 0;
        loop {
            let what = tokio::select! {
                _ = interrupt.recv() => { presses += 1; on_ctrl_c(presses) }
                _ = terminate.recv() => { eprintln!("SIGTERM: ending the running programs and giving their runs back"); Interrupt::Preempt }
                _ = hangup.recv() => continue,
            };
            if sender.send(what).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn on_ctrl_c(presses: u32) -> Interrupt {
    match presses {
        1 => {
            eprintln!("\nTaking no more runs; letting the running ones end. Ctrl-C again ends them gracefully.");
            Interrupt::Drain
        }
        2 => {
            eprintln!("\nEnding the running programs and giving their runs back. Ctrl-C again kills them.");
            Interrupt::Stop
        }
        _ => {
            eprintln!("\nKilling.");
            Interrupt::Kill
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
