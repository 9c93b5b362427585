//! Events into state: total, and the only place that changes it.
//!
//! An event that speaks of something unknown changes nothing: decisions never make one, and a replay must not fail.

mod attempts;
mod indices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sweep_search::space::{Config, Taken};
use sweep_search::suggest::Method;
use sweep_search::why::{Kind, Why};

use self::indices::{change_agent, list, rank, reach, withdraw};
use crate::event::{Event, Recorded, RetryCause};
use crate::revise;
use crate::spec::SweepSpec;
use crate::state::{
    Agent, AgentId, AgentInfo, Annotation, AttemptSummary, CodeAct, CodeStep, CodeVersion,
    ControllerIdentity, Crew, Health, Retries, Revision, RevisionEffect, Run, RunNumber, RunRanges,
    RunState, Runs, State, Sweep, SweepId, SweepState, Timestamp, known_point,
};
use crate::versions;

/// Folds one event into the state.
pub fn evolve(state: &mut State, recorded: &Recorded) {
    let (at, epoch) = (recorded.at, state.identity.epoch);
    if let Some(sweep) = recorded
        .event
        .sweep()
        .and_then(|sweep| state.sweeps.get_mut(sweep))
    {
        sweep.updated = at;
    }
    match &recorded.event {
        Event::EpochBegan {
            controller,
            epoch,
            restored,
        } => {
            state.identity = ControllerIdentity {
                controller: controller.clone(),
                epoch: *epoch,
                is_settling: *restored,
            };
        }
        Event::EpochSettled { .. } => state.identity.is_settling = false,
        Event::SweepCreated {
            sweep,
            spec,
            source,
            seed,
        } => {
            state
                .sweeps
                .insert(sweep.clone(), new_sweep(spec, source, *seed, at));
        }
        Event::SweepEdited {
            sweep,
            spec,
            source,
            restores,
            changes,
            effect,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            let space = sweep.space_version() + u32::from(sweep.spec.space != spec.space);
            let (spec, source) = (Arc::new(spec.as_ref().clone()), source.as_str().into());
            let (restores, changes, effect) = (*restores, changes.clone(), *effect);
            let changes_rows =
                sweep.spec.space != spec.space || revise::changes_evaluation(&sweep.spec, &spec);
            edit(
                sweep,
                Revision {
                    spec,
                    source,
                    space,
                    restores,
                    changes,
                    effect,
                    changes_rows,
                    since: at,
                },
            );
        }
        Event::SweepStateChanged {
            sweep,
            state: to,
            reason,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            if *to == SweepState::Running {
                sweep.unread.clear();
            }
            sweep.state = *to;
            sweep.stalled = false;
            sweep.reason.clone_from(reason);
        }
        Event::SweepStalled { sweep, reason } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep.state = SweepState::Paused;
            sweep.stalled = true;
            sweep.reason.clone_from(reason);
        }
        Event::SpaceExhausted { sweep } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep.exhausted = true;
        }
        Event::CodeSeen {
            sweep,
            version,
            agent,
            about,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            match sweep.codes.iter_mut().find(|code| code.version == *version) {
                Some(known) => known.about.clone_from(about),
                None => {
                    let (version, about, agent) =
                        (version.clone(), about.as_ref().clone(), agent.clone());
                    sweep.codes.push(CodeVersion {
                        version,
                        about,
                        agent,
                        since: at,
                        mark: None,
                    });
                    sweep.history += 1;
                }
            }
        }
        Event::CodePinned { sweep, version } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep.pinned = Some(version.clone());
            sweep.code_steps.push(CodeStep {
                version: version.clone(),
                act: CodeAct::Pinned,
                since: at,
            });
            sweep.history += 1;
        }
        Event::CodeMarked {
            sweep,
            version,
            mark,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            let Some(code) = sweep.codes.iter_mut().find(|code| code.version == *version) else {
                return;
            };
            code.mark.clone_from(mark);
            let act = mark.clone().map_or(CodeAct::Unmarked, CodeAct::Marked);
            sweep.code_steps.push(CodeStep {
                version: version.clone(),
                act,
                since: at,
            });
            sweep.history += 1;
            sweep.best = versions::best(sweep, &sweep.codes);
        }
        Event::EnvironmentSeen {
            sweep,
            agent,
            digest,
            about,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            if let Some(about) = about
                .as_ref()
                .filter(|_| sweep.environment_number(digest).is_none())
            {
                sweep.environments.push(about.as_ref().clone());
            }
            let Some(agent) = state.agents.get_mut(agent) else {
                return;
            };
            agent.environment = sweep.environment_number(digest).unwrap_or(0);
        }
        Event::AgentRegistered { agent, sweep, info } => register(state, agent, sweep, info, at),
        Event::AgentLeaving { agent, reason } => {
            let Some(agent) = state.agents.get_mut(agent) else {
                return;
            };
            agent.leaving = Some(reason.clone());
        }
        Event::AgentRemoved { agent, .. } => {
            change_agent(state, agent, |agent| {
                agent.alive = false;
                agent.left = Some(at);
                agent.release(at);
            });
        }
        Event::AgentQuarantined {
            agent,
            reason,
            probes,
        } => {
            let Some(agent) = state.agents.get_mut(agent) else {
                return;
            };
            agent.health = Health::Quarantined {
                reason: reason.clone(),
                probes: *probes,
            };
            // What has left is in no quarantine until it is back.
            if agent.alive {
                agent.isolate(at);
            }
        }
        Event::AgentProbed { agent } => {
            let Some(agent) = state.agents.get_mut(agent) else {
                return;
            };
            if let Health::Quarantined { reason, probes } = std::mem::take(&mut agent.health) {
                agent.health = Health::Probing { reason, probes };
            }
        }
        Event::AgentReadmitted { agent, .. } => {
            let Some(agent) = state.agents.get_mut(agent) else {
                return;
            };
            agent.health = Health::Ok;
            agent.streak.clear();
            agent.release(at);
        }
        Event::RunCreated {
            sweep,
            run,
            config,
            why,
            history,
            repeats,
            again,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            let new = Run {
                again: again.clone(),
                revision: sweep.revision(),
                ..new_run(repeats.unwrap_or(*run), config, why, *history, at)
            };
            sweep.reruns += u64::from(new.is_rerun());
            sweep.add_point(new.point(), !again.is_empty());
            sweep.runs.insert(*run, new);
            sweep.queued.insert(*run);
            sweep.history += 1;
        }
        Event::AttemptAssigned {
            attempt,
            agent,
            code_version,
            pinned,
            origin,
        } => {
            attempts::assign(
                state,
                attempt,
                agent,
                (code_version, *pinned),
                origin.as_ref(),
                at,
            );
        }
        Event::RunImported {
            sweep,
            run,
            config,
            state: to,
            value,
            reason,
            code_version,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            let why = Why::new(Kind::External, "imported");
            let new = new_run(*run, config, &why, sweep.history, at);
            let imported = Run {
                state: *to,
                reason: reason.clone(),
                value: *value,
                blamed: *to == RunState::Failed,
                imported: true,
                code_version: code_version.clone(),
                revision: sweep.revision(),
                ended: Some(at),
                ..new
            };
            sweep.add_point(config.key(), false);
            sweep.runs.insert(*run, imported);
            sweep.imported += 1;
            sweep.history += 1;
            rank(sweep, *run);
        }
        Event::AttemptStarted {
            attempt,
            command,
            code_version,
        } => attempts::start(state, attempt, command, code_version, at),
        Event::MetricsReported {
            attempt,
            first_seq,
            points,
            stale,
        } => attempts::report(state, attempt, *first_seq, points, *stale),
        Event::StopRequested { attempt, request } => {
            let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
                return;
            };
            attempts::change(sweep, attempt, |stopped| {
                stopped.stop = Some(request.clone());
            });
        }
        Event::AttemptEnded {
            attempt,
            state: to,
            failure,
        } => attempts::end(state, attempt, *to, failure.as_ref(), at),
        Event::AttemptResumed { attempt } => attempts::resume(state, attempt),
        Event::ResultOrphaned { attempt, words } => {
            let Some(sweep) = state.sweeps.get_mut(&attempt.sweep) else {
                return;
            };
            attempts::change(sweep, attempt, |orphaned| orphaned.orphan.clone_from(words));
        }
        Event::RunAnnotated {
            sweep,
            run,
            annotation,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep
                .runs
                .change(*run, |run| run.annotation.clone_from(annotation));
        }
        Event::RunAbsolved { sweep, run, agent } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep.runs.change(*run, |absolved| {
                absolved.retries = Retries::default();
                absolved.avoid.insert(agent.clone());
            });
        }
        Event::RunRequeued {
            sweep,
            run,
            reason,
            counts,
            avoid,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            requeue(sweep, *run, reason, *counts, avoid.as_ref());
        }
        Event::RunEnded {
            sweep,
            run,
            state: to,
            value,
            reason,
            blamed,
            withdrawn,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            let ended = sweep.runs.change(*run, |ended| {
                ended.reason.clone_from(reason);
                ended.value = *value;
                ended.blamed = *blamed;
                (ended.ended, ended.ended_epoch) = (Some(at), epoch);
                ended.state = *to;
            });
            if ended.is_none() {
                return;
            }
            list(sweep, *run, *to);
            sweep.history += 1;
            withdraw(sweep, *run, *withdrawn);
            rank(sweep, *run);
        }
        Event::QueuedRunsCancelled {
            sweep,
            runs,
            reason,
            withdrawn,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            cancel_queued(sweep, runs, (reason, *withdrawn), (at, epoch));
        }
        Event::SweepArchived { sweep, archived } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            sweep.archived = *archived;
        }
        Event::RunsPruned {
            sweep,
            runs,
            values,
            attempts,
        } => {
            let Some(sweep) = state.sweeps.get_mut(sweep) else {
                return;
            };
            prune(sweep, runs, values, attempts);
        }
        Event::SweepDeleted { sweep } => {
            state.sweeps.remove(sweep);
            state.agents.retain(|_, agent| agent.sweep != *sweep);
        }
    }
}

fn cancel_queued(
    sweep: &mut Sweep,
    runs: &RunRanges,
    (reason, withdrawn): (&str, bool),
    (at, epoch): (Timestamp, u32),
) {
    for number in runs.numbers() {
        let placed = sweep
            .runs
            .get(number)
            .zip(sweep.runs.point_of(number))
            .filter(|_| withdrawn);
        let point = placed.and_then(|(run, own)| {
            Some((
                known_point(&sweep.revisions, &run, own)?,
                !run.again.is_empty(),
            ))
        });
        let cancelled = sweep.runs.change(number, |run| {
            reason.clone_into(&mut run.reason);
            (run.state, run.value, run.blamed) = (RunState::Cancelled, None, false);
            (run.withdrawn, run.ended, run.ended_epoch) = (withdrawn, Some(at), epoch);
            run.first != number
        });
        let Some(is_repeat) = cancelled else { continue };
        sweep.queued.remove(&number);
        sweep.history += 1;
        if let Some((point, is_again)) = point {
            sweep.remove_point(point, is_again);
        }
        // A point without repeats has no value now, and had none before.
        if is_repeat || sweep.runs.first_of(number + 1) == Some(number) {
            rank(sweep, number);
        }
    }
}

// The same state follows from a log from which the reports of these runs have been deleted.
fn prune(
    sweep: &mut Sweep,
    runs: &RunRanges,
    values: &[(RunNumber, f64)],
    attempts: &[AttemptSummary],
) {
    let values: BTreeMap<_, _> = values.iter().copied().collect();
    for number in runs.numbers() {
        sweep.runs.change(number, |run| {
            run.pruned = true;
            run.value = values.get(&number).copied();
        });
    }
    let metric = sweep
        .spec
        .objective
        .as_ref()
        .map(|objective| objective.metric.clone())
        .unwrap_or_default();
    for summary in attempts {
        attempts::change(sweep, &summary.attempt, |pruned| {
            pruned.keep_summary(summary);
        });
        // A replay may have seen no report of it.
        if summary.metrics.contains_key(&metric) {
            sweep.is_objective_read = true;
            sweep.unread.clear();
        }
    }
    for number in runs.numbers() {
        rank(sweep, number);
    }
}

// What was suggested, and what the search had found out about the end of the space, was of the space before.
fn edit(sweep: &mut Sweep, revision: Revision) {
    let before = std::mem::replace(&mut sweep.spec, Arc::clone(&revision.spec));
    sweep.source = Arc::clone(&revision.source);
    sweep.revisions.push(revision);
    let spec = Arc::clone(&sweep.spec);
    sweep.runs.set_seals(seals(&spec));
    sweep.grid_size = grid_size(&spec);
    if revise::revalues(&before, &spec) {
        for number in sweep.runs.numbers().collect::<Vec<_>>() {
            sweep
                .runs
                .change(number, |run| revise::revalue(run, &before, &spec));
        }
    }
    let metric = |spec: &SweepSpec| {
        spec.objective
            .as_ref()
            .map(|objective| objective.metric.clone())
    };
    if let Some(metric) = metric(&spec).filter(|now| metric(&before).as_ref() != Some(now)) {
        let has_it = |run: &Run| {
            run.attempts
                .iter()
                .any(|attempt| attempt.metrics.contains_key(&metric))
        };
        sweep.is_objective_read = sweep.runs.iter().any(|(_, run)| has_it(&run));
    }
    sweep.unread.clear();
    sweep.exhausted = false;
    sweep.rebuild_points();
    sweep.best = versions::best(sweep, &sweep.codes);
    let live: Vec<_> = sweep.live.iter().copied().collect();
    live.into_iter().for_each(|number| reach(sweep, number));
    sweep.history += 1;
    sweep.edited = sweep.history;
}

fn new_sweep(spec: &SweepSpec, source: &str, seed: u64, at: Timestamp) -> Sweep {
    let (spec, source): (_, Arc<str>) = (Arc::new(spec.clone()), source.into());
    let first = Revision {
        spec: Arc::clone(&spec),
        source: Arc::clone(&source),
        space: 1,
        restores: None,
        changes: Vec::new(),
        effect: RevisionEffect::default(),
        changes_rows: false,
        since: at,
    };
    Sweep {
        seed,
        grid_size: grid_size(&spec),
        state: SweepState::Running,
        reason: String::new(),
        stalled: false,
        assignments: 0,
        is_objective_read: false,
        unread: Vec::new(),
        exhausted: false,
        runs: Runs::new(seals(&spec)),
        spec,
        source,
        revisions: vec![first],
        edited: 0,
        queued: BTreeSet::new(),
        live: BTreeSet::new(),
        best: None,
        reached: BTreeMap::new(),
        codes: Vec::new(),
        code_steps: Vec::new(),
        pinned: None,
        environments: Vec::new(),
        imported: 0,
        again: 0,
        reruns: 0,
        taken: Taken::new(),
        shared: BTreeMap::new(),
        crew: Crew::default(),
        archived: false,
        history: 0,
        created: at,
        updated: at,
    }
}

// Early termination and the models look at all runs again and again.
fn seals(spec: &SweepSpec) -> bool {
    spec.early_terminate.is_none() && spec.method != Method::Bayes
}

pub(crate) fn grid_size(spec: &SweepSpec) -> Option<u64> {
    (spec.method == Method::Grid)
        .then(|| spec.space.size())
        .flatten()
        .map(|size| u64::try_from(size).unwrap_or(u64::MAX))
}

fn new_run(first: RunNumber, config: &Config, why: &Why, history: u64, at: Timestamp) -> Run {
    Run {
        config: config.clone(),
        why: why.clone(),
        history,
        state: RunState::Queued,
        reason: String::new(),
        attempts: Vec::new(),
        value: None,
        blamed: false,
        first,
        imported: false,
        code_version: String::new(),
        again: String::new(),
        revision: 1,
        withdrawn: false,
        pruned: false,
        annotation: Annotation::default(),
        retries: Retries::default(),
        avoid: BTreeSet::new(),
        created: at,
        ended: None,
        ended_epoch: 0,
    }
}

fn register(state: &mut State, agent: &AgentId, sweep: &SweepId, info: &AgentInfo, at: Timestamp) {
    let epoch = state.identity.epoch;
    // An agent that comes back for another sweep begins a new record: that of the other sweep may be deleted.
    if state
        .agents
        .get(agent)
        .is_some_and(|known| known.sweep == *sweep)
    {
        change_agent(state, agent, |known| {
            known.epoch = epoch;
            known.info = info.clone();
            (known.alive, known.leaving, known.registered, known.left) = (true, None, at, None);
            if known.health != Health::Ok {
                known.isolate(at);
            }
        });
        return;
    }
    let registered = Agent {
        sweep: sweep.clone(),
        info: info.clone(),
        alive: true,
        leaving: None,
        holds: BTreeSet::new(),
        health: Health::Ok,
        stays: Vec::new(),
        succeeded: 0,
        failed: 0,
        streak: Vec::new(),
        code: 0,
        environment: 0,
        epoch,
        registered: at,
        left: None,
    };
    if let Some(sweep) = state.sweeps.get_mut(sweep) {
        sweep.crew.add(&registered);
    }
    state.agents.insert(agent.clone(), registered);
}

fn requeue(
    sweep: &mut Sweep,
    number: RunNumber,
    reason: &str,
    counts: Option<RetryCause>,
    avoid: Option<&AgentId>,
) {
    let requeued = sweep.runs.change(number, |run| {
        let had_ended = run.state.is_terminal();
        run.state = RunState::Queued;
        run.pruned = false;
        run.reason = reason.to_owned();
        run.value = None;
        run.blamed = false;
        run.ended = None;
        match counts {
            Some(RetryCause::Lost) => run.retries.lost += 1,
            Some(RetryCause::Machine) => run.retries.machine += 1,
            Some(RetryCause::Crashed) => run.retries.crashed += 1,
            Some(RetryCause::Asked) => {
                run.retries = Retries::default();
                run.avoid.clear();
            }
            Some(RetryCause::Absolved) => run.retries = Retries::default(),
            None => {}
        }
        run.avoid.extend(avoid.cloned());
        had_ended
    });
    let Some(had_ended) = requeued else { return };
    sweep.history += u64::from(had_ended);
    list(sweep, number, RunState::Queued);
    // One that an edit had withdrawn, and another has brought back.
    withdraw(sweep, number, false);
    rank(sweep, number);
}
