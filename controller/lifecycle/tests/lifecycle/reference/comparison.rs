//! Compares the naive account with the state.

use std::collections::BTreeMap;

use super::{Attempt, Reference, Run, RunId};
use sweep_lifecycle::command::Command;
use sweep_lifecycle::state::{AgentId, AttemptRef, State, SweepId};

impl Reference {
    pub(super) fn held(&self, agent: &AgentId) -> Vec<AttemptRef> {
        let live = |run: &Run| {
            run.attempts
                .last()
                .is_some_and(|newest| newest.agent == *agent && newest.state.is_live())
        };
        let name = |((sweep, number), run): (&RunId, &Run)| AttemptRef {
            sweep: sweep.clone(),
            run: *number,
            attempt: run.attempts.len() as u32,
        };
        self.runs
            .iter()
            .filter(|(_, run)| live(run))
            .map(name)
            .collect()
    }

    pub(super) fn compare(&self, command: &Command, state: &State) {
        let real = state.sweeps.iter().flat_map(|(sweep, known)| {
            known
                .runs
                .iter()
                .map(move |(number, run)| ((sweep.clone(), number), run))
        });
        let real: BTreeMap<RunId, String> = real
            .map(|(id, run)| {
                let owner = run
                    .attempts
                    .last()
                    .filter(|newest| newest.state.is_live())
                    .map(|newest| &newest.agent);
                let used = [
                    run.retries.counts.lost,
                    run.retries.counts.machine,
                    run.retries.counts.crashed,
                ];
                (
                    id,
                    format!("{} {owner:?} {} {used:?}", run.state, run.attempts.len()),
                )
            })
            .collect();
        let ours = self.runs.iter().map(|(id, run)| {
            let owner = run
                .attempts
                .last()
                .filter(|newest| newest.state.is_live())
                .map(|newest| &newest.agent);
            let used = ["lost", "machine", "crashed"]
                .map(|cause| run.used.get(cause).copied().unwrap_or_default());
            (
                id.clone(),
                format!("{} {owner:?} {} {used:?}", run.state, run.attempts.len()),
            )
        });
        assert_eq!(real, ours.collect(), "after {command:?}");
    }

    pub(super) fn run(&mut self, sweep: &SweepId, run: u64) -> &mut Run {
        self.runs
            .get_mut(&(sweep.clone(), run))
            .expect("what is answered speaks of runs that are there")
    }

    pub(super) fn attempt(&mut self, name: &AttemptRef) -> &mut Attempt {
        self.run(&name.sweep, name.run)
            .attempts
            .get_mut(name.attempt as usize - 1)
            .expect("and of attempts")
    }
}
