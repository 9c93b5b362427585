//! The figures of `/metrics`, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;

use tonic::Code;

use crate::store::{AgentRow, SweepCounts, SweepRow};

/// Writes all figures.
pub(super) fn text(
    sweeps: &[(SweepRow, SweepCounts)],
    agents: &[AgentRow],
    commits: u64,
    calls: &[(&'static str, i32, u64)],
    started_ms: i64,
) -> String {
    let mut out = String::new();
    family(&mut out, "sweep_build_info", "gauge", "The version of the controller.");
    sample(&mut out, "sweep_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    family(&mut out, "sweep_start_time_seconds", "gauge", "When the controller started, in seconds since 1970.");
    sample(&mut out, "sweep_start_time_seconds", &[], started_ms / 1000);

    let mut by_state = BTreeMap::from(["running", "paused", "finished", "stopped", "cancelled"].map(|state| (state, 0_u64)));
    for (row, _) in sweeps {
        *by_state.entry(row.state.as_str()).or_default() += 1;
    }
    family(&mut out, "sweep_sweeps", "gauge", "Sweeps by state.");
    for (state, number) in by_state {
        sample(&mut out, "sweep_sweeps", &[("state", state)], number);
    }

    family(&mut out, "sweep_runs", "gauge", "Runs of all sweeps by state; assigned runs count as running.");
    let total = |number: fn(&SweepCounts) -> u64| sweeps.iter().map(|(_, counts)| number(counts)).sum::<u64>();
    sample(&mut out, "sweep_runs", &[("state", "queued")], total(|counts| counts.queued));
    sample(&mut out, "sweep_runs", &[("state", "running")], total(|counts| counts.running));
    sample(&mut out, "sweep_runs", &[("state", "finished")], total(|counts| counts.finished));
    sample(&mut out, "sweep_runs", &[("state", "stopped")], total(|counts| counts.stopped));
    sample(&mut out, "sweep_runs", &[("state", "failed")], total(|counts| counts.failed));
    sample(&mut out, "sweep_runs", &[("state", "cancelled")], total(|counts| counts.cancelled));

    let alive = agents.iter().filter(|agent| agent.alive);
    family(&mut out, "sweep_agents", "gauge", "Agents whose lease has not ended.");
    sample(&mut out, "sweep_agents", &[], alive.clone().count());
    family(&mut out, "sweep_agent_slots", "gauge", "Attempts that all agents together can execute at once.");
    sample(&mut out, "sweep_agent_slots", &[], alive.map(|agent| u64::from(agent.slots)).sum::<u64>());
    family(&mut out, "sweep_commits_total", "counter", "Commits since the controller started.");
    sample(&mut out, "sweep_commits_total", &[], commits);
    family(&mut out, "sweep_rpcs_total", "counter", "Calls answered since the controller started, by method and gRPC code.");
    for (method, code, number) in calls {
        let code = format!("{:?}", Code::from_i32(*code));
        sample(&mut out, "sweep_rpcs_total", &[("method", method), ("code", &code)], number);
    }
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
    let labels: Vec<_> = labels.iter().map(|(label, text)| format!("{label}=\"{}\"", quoted(text))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(out, "{name}{labels} {value}");
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_sweeps_and_labels_are_quoted() {
        let row = SweepRow {
            id: "abcdefgh".into(),
            name: String::new(),
            state: "odd\"\n".into(),
            reason: String::new(),
            method: "grid".into(),
            metric: String::new(),
            goal: "minimize".into(),
            planned: 0,
            created_ms: 0,
            updated_ms: 0,
            yaml: String::new(),
            stalled: false,
            revisions: Vec::new(),
            codes: Vec::new(),
            code_steps: Vec::new(),
            pinned: String::new(),
        };
        let counts = SweepCounts { queued: 1, failed: 2, ..SweepCounts::default() };
        let text = text(&[(row.clone(), counts.clone()), (row, counts)], &[], 7, &[("/sweep.v1.X/Y", 16, 3)], 5000);
        for line in [
            "sweep_sweeps{state=\"odd\\\"\\n\"} 2",
            "sweep_sweeps{state=\"running\"} 0",
            "sweep_runs{state=\"queued\"} 2",
            "sweep_runs{state=\"failed\"} 4",
            "sweep_commits_total 7",
            "sweep_start_time_seconds 5",
            "sweep_rpcs_total{method=\"/sweep.v1.X/Y\",code=\"Unauthenticated\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "no line {line} in\n{text}");
        }
    }
}
