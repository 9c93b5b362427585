//! The report for machines.

use serde_json::{Value, json};

use super::content::{Budget, Learnt, Reproduce, grouped};
use crate::ci::SweepOutcome;
use crate::display::{self, FailureGroup};

/// Runs that are listed, the best first.
const TOP_RUNS: usize = 5;

/// Returns everything that the report says. Names and meanings stay as they are; new ones may come.
pub(crate) fn json(outcome: &SweepOutcome, learnt: &Learnt, reproduce: &Reproduce) -> Value {
    let budget = Budget::of(outcome);
    let mut analysis = display::json::analysis(&learnt.analysis);
    let failure = |group: &FailureGroup| {
        json!({
            "kind": group.kind, "blame": group.blame, "message": group.example, "evidence": group.evidence,
            "runs": group.runs, "output_tail": group.tail,
        })
    };
    json!({
        "generator": "sweep",
        "report": 1,
        "sweep": display::json::sweep(&outcome.sweep),
        "space": learnt.axes(),
        "budget": {
            "runs": outcome.total(),
            "attempts": budget.attempts,
            "training_s": budget.spent.as_secs_f64(),
            "elapsed_s": outcome.duration.as_secs_f64(),
            "machines": budget.machines,
        },
        "best": outcome.best().map(display::json::run),
        "top": outcome.ranking().iter().take(TOP_RUNS).map(|(run, _)| display::json::run(run)).collect::<Vec<_>>(),
        "recommendation": analysis["recommendation"].take(),
        "comparison": learnt.comparison,
        "importance": analysis["effects"].take(),
        "failures": grouped(outcome).iter().map(failure).collect::<Vec<_>>(),
        "failing": analysis["failing"].take(),
        "code": learnt.versions.iter().map(display::json::code).collect::<Vec<_>>(),
        "agreements": analysis["agreements"].take(),
        "reproduce": {"best": reproduce.best, "sweep": reproduce.sweep},
        "yaml": sweep_code::redacted(&learnt.yaml),
    })
}
