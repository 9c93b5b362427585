//! Classifies the failure of a program that ended by itself, and attributes it.

use std::collections::BTreeMap;

use super::excerpt::{OutputExcerpt, shorten};
use super::missing_metric::no_metric;
use super::outcome::AttemptFailure;
use crate::process::exit::{Exit, signal_name};

pub(super) const SIGKILL: i32 = 9;
/// A shell reports that a signal ended what it ran by this and the signal's number.
const SHELL_SIGNAL: i32 = 128;
/// How a shell reports that what it ran was ended by SIGKILL.
pub(super) const SHELL_SIGKILL: i32 = SHELL_SIGNAL + SIGKILL;
/// SIGHUP, SIGINT, SIGKILL, SIGTERM.
const SENT_BY_OTHERS: [i32; 4] = [1, 2, SIGKILL, 15];
/// Returns whether a program ended by a signal that programs do not send themselves, or passes on
/// the signal of its child.
pub(super) fn is_sent_by_others(exit: Exit) -> bool {
    match exit {
        Exit::Signal(signal) => SENT_BY_OTHERS.contains(&signal),
        Exit::Code(code) => SENT_BY_OTHERS
            .iter()
            .any(|signal| code == SHELL_SIGNAL + signal),
    }
}

/// The evidence for the attribution of a failure.
pub(super) struct FailureEvidence<'a> {
    pub(super) exit: Exit,
    /// Empty where the sweep has none.
    pub(super) objective: &'a str,
    /// The last value of each metric.
    pub(super) last: &'a BTreeMap<String, f64>,
    pub(super) objective_was_finite: bool,
    pub(super) output: &'a OutputExcerpt,
    /// The sign that the machine ran out of memory.
    pub(super) memory: Option<&'a str>,
}

/// The kind of a failure and its attribution.
struct Judgement {
    kind: &'static str,
    blame: &'static str,
    message: String,
    evidence: String,
}

impl Judgement {
    fn configuration(kind: &'static str, message: String) -> Self {
        Self {
            kind,
            blame: "configuration",
            message,
            evidence: String::new(),
        }
    }
}

/// Returns why a program that ended by itself has failed, `None` if it has not.
pub(super) fn judge(evidence: &FailureEvidence<'_>) -> Option<AttemptFailure> {
    let Judgement {
        kind,
        blame,
        message,
        evidence: rests_on,
    } = match evidence.exit {
        Exit::Code(0) => judge_success(evidence)?,
        exit => judge_crash(evidence, exit),
    };
    Some(AttemptFailure {
        evidence: rests_on,
        ..failure(kind, blame, message, Some(evidence.exit), evidence.output)
    })
}

/// Makes a failure with the end of the output.
pub(super) fn failure(
    kind: &'static str,
    blame: &'static str,
    message: String,
    exit: Option<Exit>,
    output: &OutputExcerpt,
) -> AttemptFailure {
    let (exit_code, signal) = match exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    AttemptFailure {
        kind,
        blame,
        message,
        exit_code,
        signal,
        output_tail: output.tail(),
        evidence: String::new(),
    }
}

/// Returns the failure of an attempt whose last output could not be written: metrics that it
/// printed may be missing.
pub(super) fn unwritten(exit: Option<Exit>, output: &OutputExcerpt) -> AttemptFailure {
    let message =
        "the end of its output could not be written; is the disk with its folder full?".to_owned();
    failure("output", "machine", message, exit, output)
}

fn judge_success(evidence: &FailureEvidence<'_>) -> Option<Judgement> {
    let objective = evidence.objective;
    if objective.is_empty() {
        return None;
    }
    match evidence.last.get(objective) {
        None => Some(Judgement::configuration(
            "no_metric",
            no_metric(objective, evidence.last, evidence.output),
        )),
        Some(value) if !evidence.objective_was_finite => {
            let message = format!(
                "exit status 0, but `{objective}` was never a finite number: its last value is {value}"
            );
            Some(Judgement::configuration("nan_objective", message))
        }
        Some(_) => None,
    }
}

fn judge_crash(evidence: &FailureEvidence<'_>, exit: Exit) -> Judgement {
    let how = match exit {
        Exit::Code(code) => format!("exit status {code}"),
        Exit::Signal(signal) => format!("ended by {}", signal_name(signal)),
    };
    let killed = matches!(exit, Exit::Signal(SIGKILL) | Exit::Code(SHELL_SIGKILL));
    if let Some(memory) = evidence.memory.filter(|_| killed) {
        let message = format!("{how}: the machine ran out of memory and killed it");
        return Judgement {
            evidence: memory.to_owned(),
            ..Judgement::configuration("out_of_memory", message)
        };
    }
    if let Some(judgement) = judge_output(evidence, exit, &how) {
        return judgement;
    }
    if let Some(value) = evidence
        .last
        .get(evidence.objective)
        .filter(|value| !value.is_finite())
    {
        let message = format!(
            "{how}, and the last value of `{}` is {value}",
            evidence.objective
        );
        return Judgement::configuration("nan_objective", message);
    }
    let cause = evidence
        .output
        .cause()
        .map(|line| format!(": {}", line.trim()))
        .unwrap_or_default();
    match exit {
        Exit::Code(_) => Judgement::configuration("crashed", format!("{how}{cause}")),
        // Programs do not send themselves these.
        Exit::Signal(signal) if SENT_BY_OTHERS.contains(&signal) => {
            let message = format!("{how}, sent from elsewhere{cause}");
            Judgement {
                kind: "signal",
                blame: "external",
                message,
                evidence: String::new(),
            }
        }
        Exit::Signal(_) => Judgement::configuration("signal", format!("{how}{cause}")),
    }
}

/// Judges a crash by the output: a call of W&B's library, a refused command line, or a known text.
fn judge_output(evidence: &FailureEvidence<'_>, exit: Exit, how: &str) -> Option<Judgement> {
    if let (Exit::Code(_), Some(call)) = (exit, evidence.output.failed_call()) {
        let message = format!("{how}: {}", shorten(&call.text, 1000));
        return Some(Judgement {
            kind: call.kind,
            blame: call.blame,
            message,
            evidence: String::new(),
        });
    }
    if let (Exit::Code(_), Some(error)) = (
        exit,
        evidence.output.usage_error(exit, evidence.last.is_empty()),
    ) {
        let message = format!(
            "{how}, the program refuses its command line: {}",
            shorten(error, 400)
        );
        return Some(Judgement {
            kind: "usage",
            blame: "command_line",
            message,
            evidence: String::new(),
        });
    }
    let (sign, line) = evidence.output.sign()?;
    let message = match sign.kind {
        "cuda_out_of_memory" => format!("{how}, out of GPU memory: {line}"),
        "out_of_memory" => format!("{how}, out of memory: {line}"),
        _ => format!("{how}: {line}"),
    };
    let kind = match exit {
        _ if !sign.kind.is_empty() => sign.kind,
        Exit::Code(_) => "crashed",
        Exit::Signal(_) => "signal",
    };
    Some(Judgement {
        kind,
        blame: sign.blame,
        message,
        evidence: line.to_owned(),
    })
}
