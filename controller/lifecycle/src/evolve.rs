//! Events into state: total, and the only place that changes it. One file for each part of the state.
//!
//! An event that speaks of something unknown changes nothing: decisions never make one, and a replay must not fail.

mod agents;
mod attempts;
mod code;
mod index;
mod runs;
mod sweeps;

pub(crate) use self::sweeps::grid_size;
use crate::event::{Event, Recorded};
use crate::state::{ControllerIdentity, State, Sweep, SweepId};

/// Folds one event into the state.
#[expect(clippy::too_many_lines, reason = "one arm for each kind of event")]
pub fn evolve(state: &mut State, recorded: &Recorded) {
    let (at, epoch) = (recorded.at, state.identity.epoch);
    if let Some(sweep) = recorded.event.sweep() {
        change_sweep(state, sweep, |sweep| sweep.updated = at);
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
            let created = sweeps::new_sweep(spec, source, *seed, at);
            state.sweeps.insert(sweep.clone(), created);
        }
        Event::SweepEdited {
            sweep,
            spec,
            source,
            restores,
            changes,
            effect,
        } => change_sweep(state, sweep, |sweep| {
            let revision = sweeps::EditedFile {
                spec,
                source,
                restores: *restores,
                changes,
                effect: *effect,
            };
            sweeps::edit(sweep, revision, at);
        }),
        Event::SweepStateChanged {
            sweep,
            state: to,
            reason,
        } => change_sweep(state, sweep, |sweep| sweeps::enter(sweep, *to, reason)),
        Event::SweepStalled { sweep, reason } => {
            change_sweep(state, sweep, |sweep| sweeps::stall(sweep, reason));
        }
        Event::SpaceExhausted { sweep } => {
            change_sweep(state, sweep, |sweep| sweep.exhausted = true);
        }
        Event::CodeSeen {
            sweep,
            version,
            agent,
            about,
        } => change_sweep(state, sweep, |sweep| {
            code::see(sweep, version, agent.as_ref(), about, at);
        }),
        Event::CodePinned { sweep, version } => {
            change_sweep(state, sweep, |sweep| code::pin(sweep, version, at));
        }
        Event::CodeMarked {
            sweep,
            version,
            mark,
        } => change_sweep(state, sweep, |sweep| {
            code::mark(sweep, version, mark.as_ref(), at);
        }),
        Event::EnvironmentSeen {
            sweep,
            agent,
            digest,
            about,
        } => agents::see_environment(state, sweep, agent, digest, about.as_deref()),
        Event::AgentRegistered { agent, sweep, info } => {
            agents::register(state, agent, sweep, info, at);
        }
        Event::AgentLeaving { agent, reason } => agents::leave(state, agent, reason),
        Event::AgentRemoved { agent, .. } => agents::remove(state, agent, at),
        Event::AgentQuarantined {
            agent,
            reason,
            probes,
        } => agents::quarantine(state, agent, reason, *probes, at),
        Event::AgentProbed { agent } => agents::probe(state, agent),
        Event::AgentReadmitted { agent, .. } => agents::readmit(state, agent, at),
        Event::RunCreated {
            sweep,
            run,
            config,
            why,
            history,
            repeats,
            again,
        } => change_sweep(state, sweep, |sweep| {
            let first = repeats.unwrap_or(*run);
            let new = runs::new_run(sweep, first, config, why, *history, at);
            runs::create(sweep, *run, new, again);
        }),
        Event::AttemptAssigned {
            attempt,
            agent,
            code_version,
            pinned,
            origin,
        } => {
            let code = (code_version.as_str(), *pinned);
            attempts::assign(state, attempt, agent, code, origin.as_ref(), at);
        }
        Event::RunImported {
            sweep,
            run,
            config,
            state: to,
            value,
            reason,
            code_version,
        } => change_sweep(state, sweep, |sweep| {
            let imported = runs::ImportedOutcome {
                state: *to,
                value: *value,
                reason,
                code_version,
            };
            runs::import(sweep, *run, config, &imported, at);
        }),
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
            attempts::change_in(state, attempt, |stopped| {
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
            attempts::change_in(state, attempt, |orphaned| {
                orphaned.orphan.clone_from(words);
            });
        }
        Event::RunAnnotated {
            sweep,
            run,
            annotation,
        } => runs::change_in(state, sweep, *run, |run| {
            run.annotation.clone_from(annotation);
        }),
        Event::RunAbsolved { sweep, run, agent } => {
            runs::change_in(state, sweep, *run, |run| run.retries.absolve(agent.clone()));
        }
        Event::RunRequeued {
            sweep,
            run,
            reason,
            counts,
            avoid,
        } => change_sweep(state, sweep, |sweep| {
            runs::requeue(sweep, *run, reason, *counts, avoid.as_ref());
        }),
        Event::RunEnded {
            sweep,
            run,
            state: to,
            value,
            reason,
            blamed,
            withdrawn,
        } => change_sweep(state, sweep, |sweep| {
            let ended = runs::RunEnd {
                state: *to,
                value: *value,
                reason,
                blamed: *blamed,
                withdrawn: *withdrawn,
            };
            runs::end(sweep, *run, &ended, (at, epoch));
        }),
        Event::QueuedRunsCancelled {
            sweep,
            runs,
            reason,
            withdrawn,
        } => change_sweep(state, sweep, |sweep| {
            runs::cancel_queued(sweep, runs, (reason, *withdrawn), (at, epoch));
        }),
        Event::SweepArchived { sweep, archived } => {
            change_sweep(state, sweep, |sweep| sweep.archived = *archived);
        }
        Event::RunsPruned {
            sweep,
            runs,
            values,
            attempts,
        } => change_sweep(state, sweep, |sweep| {
            runs::prune(sweep, runs, values, attempts);
        }),
        Event::SweepDeleted { sweep } => {
            state.sweeps.remove(sweep);
            state.agents.retain(|_, agent| agent.sweep != *sweep);
        }
    }
}

fn change_sweep(state: &mut State, sweep: &SweepId, change: impl FnOnce(&mut Sweep)) {
    if let Some(sweep) = state.sweeps.get_mut(sweep) {
        change(sweep);
    }
}
