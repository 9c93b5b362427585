//! The outcome of a sweep, and what it means to a CI system.

use std::collections::BTreeMap;
use std::time::Duration;

use sweep_proto::format;
use sweep_proto::v1::{Attempt, Run, Sweep};

/// The outcome of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct SweepOutcome {
    /// The sweep as the controller last said it.
    pub(crate) sweep: Sweep,
    /// All its runs.
    pub(crate) runs: Vec<Run>,
    /// From the start of the command to its end.
    pub(crate) duration: Duration,
    /// Why the command ended.
    pub(crate) end: SweepRunEnd,
}

/// Why `sweep run` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SweepRunEnd {
    /// The sweep was over, or `--count` was reached.
    Done,
    /// `--timeout` passed first.
    TimedOut,
    /// The controller paused the sweep, since every agent fails.
    Stalled,
    /// A person or the machine interrupted it.
    Interrupted,
}

/// The verdict for a CI system; the worst that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CiVerdict {
    /// All is well.
    Passed,
    /// The gate says no.
    GateFailed,
    /// No run has finished or was stopped early.
    NothingSucceeded,
    /// Run after run failed, until the sweep was paused.
    Stalled,
    /// `--timeout` passed first.
    TimedOut,
    /// A person or the machine interrupted it.
    Interrupted,
}

impl CiVerdict {
    /// Returns the exit code of `sweep run`; 2 (bad input) never gets this far.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::GateFailed => 1,
            Self::NothingSucceeded | Self::Stalled => 3,
            Self::TimedOut => 4,
            Self::Interrupted => 130,
        }
    }

    /// Says it in words.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::GateFailed => "the gate failed",
            Self::NothingSucceeded => "no run succeeded",
            Self::Stalled => "run after run failed",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted",
        }
    }
}

impl SweepOutcome {
    /// Returns the verdict. An interrupt weighs most, then the time limit, then that nothing succeeded, then the gate.
    pub(crate) fn verdict(&self, has_gate_failed: bool) -> CiVerdict {
        match self.end {
            SweepRunEnd::Interrupted => CiVerdict::Interrupted,
            SweepRunEnd::TimedOut => CiVerdict::TimedOut,
            SweepRunEnd::Done | SweepRunEnd::Stalled
                if self.sweep.finished + self.sweep.stopped == 0 =>
            {
                CiVerdict::NothingSucceeded
            }
            SweepRunEnd::Stalled => CiVerdict::Stalled,
            SweepRunEnd::Done if has_gate_failed => CiVerdict::GateFailed,
            SweepRunEnd::Done => CiVerdict::Passed,
        }
    }

    /// Returns the best run, if any run has a value.
    pub(crate) fn best(&self) -> Option<&Run> {
        let number = self.sweep.best_run?;
        self.runs.iter().find(|run| run.run == number)
    }

    /// Returns how many runs there are, in any state.
    pub(crate) fn total(&self) -> u64 {
        let Sweep {
            queued,
            running,
            finished,
            stopped,
            failed,
            cancelled,
            ..
        } = &self.sweep;
        queued + running + finished + stopped + failed + cancelled
    }

    /// Returns the metrics of a run: the last value of each, but the objective by the sweep's own rule.
    pub(super) fn metrics<'a>(&'a self, run: &'a Run) -> BTreeMap<&'a str, f64> {
        let reported = last_attempt(run)
            .into_iter()
            .flat_map(|attempt| &attempt.metrics);
        let mut metrics: BTreeMap<&str, f64> = reported
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        if let (Some(value), false) = (run.value, self.sweep.metric.is_empty()) {
            metrics.insert(&self.sweep.metric, value);
        }
        metrics
    }

    /// Returns what people call the sweep: its name, or else its id.
    pub(crate) fn title(&self) -> &str {
        if self.sweep.name.is_empty() {
            &self.sweep.id
        } else {
            &self.sweep.name
        }
    }

    /// Returns the runs that have a value, the best first; equal ones in the order of their numbers.
    pub(super) fn ranking(&self) -> Vec<(&Run, f64)> {
        let mut ranked: Vec<(&Run, f64)> = self
            .runs
            .iter()
            .filter_map(|run| Some((run, run.value?)))
            .collect();
        let sign = if self.sweep.goal == "maximize" {
            -1.0
        } else {
            1.0
        };
        ranked.sort_by(|a, b| {
            (sign * a.1)
                .total_cmp(&(sign * b.1))
                .then(a.0.run.cmp(&b.0.run))
        });
        ranked
    }
}

/// Returns the newest attempt of a run.
pub(super) fn last_attempt(run: &Run) -> Option<&Attempt> {
    run.attempts.iter().max_by_key(|attempt| attempt.attempt)
}

/// Returns the time a run took, from the start of its first attempt to its end.
pub(super) fn run_duration(run: &Run) -> Option<Duration> {
    let started = run
        .attempts
        .iter()
        .map(|attempt| attempt.started_ms)
        .filter(|ms| *ms > 0)
        .min()?;
    let ended = run.attempts.iter().map(|attempt| attempt.ended_ms).max()?;
    u64::try_from(ended - started)
        .ok()
        .filter(|_| ended > 0)
        .map(Duration::from_millis)
}

/// Returns the parameters of a run with their values as JSON; empty where the text is no JSON object.
pub(super) fn params(run: &Run) -> Vec<(String, String)> {
    let parsed: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&run.params_json).unwrap_or_default();
    parsed
        .into_iter()
        .map(|(name, value)| (name, param_text(&value)))
        .collect()
}

pub(super) fn param_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) if number.is_f64() => number
            .as_f64()
            .map_or_else(|| number.to_string(), number_text),
        serde_json::Value::Object(object) if object.len() == 1 && object.contains_key("$float") => {
            param_text(&object["$float"])
        }
        other => other.to_string(),
    }
}

/// Writes a number with up to six significant digits.
pub(super) fn number_text(value: f64) -> String {
    format::significant(value, 6)
}

#[cfg(test)]
pub(crate) mod tests {
    use sweep_proto::v1::Failure;

    use super::*;

    /// A run that ended after two seconds.
    pub(crate) fn run(number: u64, state: &str, params: &str, value: Option<f64>) -> Run {
        let metrics = value
            .map(|value| ("val_loss".to_owned(), value + 0.01))
            .into_iter();
        let attempt = Attempt {
            attempt: 1,
            state: state.to_owned(),
            started_ms: 1_000,
            ended_ms: 3_000,
            metrics: metrics.chain([("val/accuracy".to_owned(), 0.9)]).collect(),
            ..Attempt::default()
        };
        Run {
            sweep_id: "abcd1234".to_owned(),
            run: number,
            state: state.to_owned(),
            params_json: params.to_owned(),
            value,
            attempts: vec![attempt],
            ..Run::default()
        }
    }

    /// Four runs: two finished, one stopped early, one that crashed with hostile output.
    pub(crate) fn outcome() -> SweepOutcome {
        let mut stopped = run(3, "stopped", r#"{"lr":0.5,"opt":"sgd"}"#, Some(0.9));
        stopped.reason = "hyperband: 0.9 at iteration 3 is worse than the best third".to_owned();
        let mut failed = run(4, "failed", r#"{"lr":0.7,"opt":"a|`b`<i>"}"#, None);
        failed.attempts[0].failure = Some(Failure {
            kind: "crashed".to_owned(),
            blame: "configuration".to_owned(),
            message: "exit code 1".to_owned(),
            exit_code: Some(1),
            output_tail: "step 1\n\u{1b}[31mValueError: bad </failure> & ``` \u{0}\u{ffff}]]>\n"
                .to_owned(),
            evidence: String::new(),
            ..Failure::default()
        });
        SweepOutcome {
            sweep: Sweep {
                id: "abcd1234".to_owned(),
                name: "digits".to_owned(),
                state: "finished".to_owned(),
                method: "bayes".to_owned(),
                metric: "val_loss".to_owned(),
                goal: "minimize".to_owned(),
                planned: 4,
                finished: 2,
                stopped: 1,
                failed: 1,
                best_run: Some(2),
                best_value: Some(0.25),
                ..Sweep::default()
            },
            runs: vec![
                run(1, "finished", r#"{"lr":0.1,"opt":"adam"}"#, Some(0.5)),
                run(
                    2,
                    "finished",
                    r#"{"lr":0.0123456789,"opt":"adam"}"#,
                    Some(0.25),
                ),
                stopped,
                failed,
            ],
            duration: Duration::from_secs(200),
            end: SweepRunEnd::Done,
        }
    }

    #[test]
    fn the_worst_that_applies_is_the_verdict() {
        let mut outcome = outcome();
        assert_eq!(outcome.verdict(false).exit_code(), 0);
        assert_eq!(outcome.verdict(false).exit_code(), 0);
        assert_eq!(outcome.verdict(true).exit_code(), 1);
        (outcome.sweep.finished, outcome.sweep.stopped) = (0, 0);
        assert_eq!(outcome.verdict(true).exit_code(), 3);
        outcome.end = SweepRunEnd::TimedOut;
        assert_eq!(outcome.verdict(true).exit_code(), 4);
        outcome.end = SweepRunEnd::Interrupted;
        assert_eq!(outcome.verdict(true).exit_code(), 130);
    }

    #[test]
    fn stopped_runs_count_as_successes() {
        let mut outcome = outcome();
        outcome.sweep.finished = 0;
        assert_eq!(outcome.verdict(false), CiVerdict::Passed);
    }

    #[test]
    fn the_objective_goes_by_the_rule_of_the_sweep() {
        let outcome = outcome();
        let best = outcome.best().expect("there is one");
        assert_eq!(
            outcome.metrics(best)["val_loss"],
            0.25,
            "not the last reported value, 0.26"
        );
        assert_eq!(outcome.metrics(best)["val/accuracy"], 0.9);
    }

    #[test]
    fn the_ranking_follows_the_goal() {
        let numbers = |outcome: &SweepOutcome| {
            outcome
                .ranking()
                .iter()
                .map(|(run, _)| run.run)
                .collect::<Vec<_>>()
        };
        let mut outcome = outcome();
        assert_eq!(numbers(&outcome), [2, 1, 3]);
        outcome.sweep.goal = "maximize".to_owned();
        assert_eq!(numbers(&outcome), [3, 1, 2]);
    }
}
