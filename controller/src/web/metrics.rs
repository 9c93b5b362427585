//! The figures of `/metrics`, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;

use tonic::Code;

use crate::engine::{HOLD_BUCKETS_MS, WriterHolds};
use crate::store::Totals;

/// Writes all figures.
pub(super) fn text(
    totals: &Totals,
    (commits, queries): (u64, u64),
    holds: &WriterHolds,
    calls: &[(&'static str, i32, u64)],
    started_ms: i64,
) -> String {
    let mut out = String::new();
    family(
        &mut out,
        "sweep_build_info",
        "gauge",
        "The version of the controller.",
    );
    sample(
        &mut out,
        "sweep_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    family(
        &mut out,
        "sweep_start_time_seconds",
        "gauge",
        "When the controller started, in seconds since 1970.",
    );
    sample(&mut out, "sweep_start_time_seconds", &[], started_ms / 1000);

    let mut by_state = BTreeMap::from(
        ["running", "paused", "finished", "stopped", "cancelled"].map(|state| (state, 0_u64)),
    );
    by_state.extend(
        totals
            .sweeps
            .iter()
            .map(|(state, number)| (state.as_str(), *number)),
    );
    family(&mut out, "sweep_sweeps", "gauge", "Sweeps by state.");
    for (state, number) in by_state {
        sample(&mut out, "sweep_sweeps", &[("state", state)], number);
    }

    family(
        &mut out,
        "sweep_runs",
        "gauge",
        "Runs of all sweeps by state; assigned runs count as running.",
    );
    let runs = |state: &str| totals.runs.get(state).copied().unwrap_or(0);
    for state in [
        "queued",
        "running",
        "finished",
        "stopped",
        "failed",
        "cancelled",
    ] {
        let number = if state == "running" {
            runs("assigned") + runs("running")
        } else {
            runs(state)
        };
        sample(&mut out, "sweep_runs", &[("state", state)], number);
    }

    family(
        &mut out,
        "sweep_agents",
        "gauge",
        "Agents whose lease has not ended.",
    );
    sample(&mut out, "sweep_agents", &[], totals.agents);
    family(
        &mut out,
        "sweep_agent_slots",
        "gauge",
        "Attempts that all agents together can execute at once.",
    );
    sample(&mut out, "sweep_agent_slots", &[], totals.slots);
    family(
        &mut out,
        "sweep_commits_total",
        "counter",
        "Commits since the controller started.",
    );
    sample(&mut out, "sweep_commits_total", &[], commits);
    family(
        &mut out,
        "sweep_queries_total",
        "counter",
        "Reads of the database for pages and calls since the controller started.",
    );
    sample(&mut out, "sweep_queries_total", &[], queries);
    writer_holds(&mut out, holds);
    family(
        &mut out,
        "sweep_rpcs_total",
        "counter",
        "Calls answered since the controller started, by method and gRPC code.",
    );
    for (method, code, number) in calls {
        let code = format!("{:?}", Code::from_i32(*code));
        sample(
            &mut out,
            "sweep_rpcs_total",
            &[("method", method), ("code", &code)],
            number,
        );
    }
    out
}

fn writer_holds(out: &mut String, holds: &WriterHolds) {
    let (counts, sum) = holds.cumulative();
    family(
        out,
        "sweep_writer_hold_seconds",
        "histogram",
        "How long requests held the writer, while all others waited.",
    );
    for (bound_ms, number) in HOLD_BUCKETS_MS.iter().zip(&counts) {
        let bound = (*bound_ms as f64 / 1e3).to_string();
        sample(
            out,
            "sweep_writer_hold_seconds_bucket",
            &[("le", &bound)],
            number,
        );
    }
    let all = counts.last().copied().unwrap_or(0);
    sample(
        out,
        "sweep_writer_hold_seconds_bucket",
        &[("le", "+Inf")],
        all,
    );
    sample(out, "sweep_writer_hold_seconds_sum", &[], sum);
    sample(out, "sweep_writer_hold_seconds_count", &[], all);
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<_> = labels
        .iter()
        .map(|(label, text)| format!("{label}=\"{}\"", quoted(text)))
        .collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    };
    let _ = writeln!(out, "{name}{labels} {value}");
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_totals_and_labels_are_quoted() {
        let totals = Totals {
            sweeps: BTreeMap::from([("odd\"\n".to_owned(), 2)]),
            runs: BTreeMap::from([
                ("queued".to_owned(), 2),
                ("failed".to_owned(), 4),
                ("assigned".to_owned(), 1),
                ("running".to_owned(), 2),
            ]),
            agents: 1,
            slots: 8,
        };
        let text = text(
            &totals,
            (7, 9),
            &WriterHolds::default(),
            &[("/sweep.v1.X/Y", 16, 3)],
            5000,
        );
        for line in [
            "sweep_sweeps{state=\"odd\\\"\\n\"} 2",
            "sweep_sweeps{state=\"running\"} 0",
            "sweep_runs{state=\"queued\"} 2",
            "sweep_runs{state=\"failed\"} 4",
            "sweep_runs{state=\"running\"} 3",
            "sweep_agent_slots 8",
            "sweep_writer_hold_seconds_bucket{le=\"0.1\"} 0",
            "sweep_writer_hold_seconds_count 0",
            "sweep_commits_total 7",
            "sweep_queries_total 9",
            "sweep_start_time_seconds 5",
            "sweep_rpcs_total{method=\"/sweep.v1.X/Y\",code=\"Unauthenticated\"} 3",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no line {line} in\n{text}"
            );
        }
    }
}
