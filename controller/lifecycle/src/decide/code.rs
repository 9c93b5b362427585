//! Versions of the code: which there are, which one a sweep is pinned to, and what people say of them.

use super::draft::Draft;
use super::rerun::{self, Again};
use super::sweep::created;
use crate::command::{CodeMove, Decision, Pin, Push, Refusal, Reply};
use crate::event::Event;
use crate::observe::SweepProgress;
use crate::spec::SweepSpec;
use crate::state::{
    AgentId, AttemptRef, CodeAbout, CodeMark, CodeVersion, RunNumber, State, StopKind, SweepId,
    SweepState,
};
use crate::versions;

/// Outputs of programs that are named beside a version.
const OUTPUTS_MAX: usize = 50;

// The first description of a version stays: later ones have the same files, perhaps on another branch.
pub(super) fn describe(
    state: &State,
    agent: &AgentId,
    sweep: &SweepId,
    version: &str,
    about: &CodeAbout,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let Some(describing) = state
        .agents
        .get(agent)
        .filter(|known| known.sweep == *sweep)
    else {
        return Err(Refusal::UnknownAgent(agent.0.clone()));
    };
    // What an agent has itself is of no concern where it executes something else.
    let executed = draft.sweep.code.pinned.is_none()
        || describing.info.asks
        || draft.sweep.code.number(version).is_some();
    if executed {
        note(&mut draft, Some(agent), version, about);
    }
    Ok(draft.reply(Reply::Done))
}

fn note(draft: &mut Draft<'_>, agent: Option<&AgentId>, version: &str, about: &CodeAbout) {
    let known = draft
        .sweep
        .code
        .versions
        .iter()
        .find(|code| code.version == version)
        .map(|code| &code.about);
    let about = match known {
        Some(known) if *known != CodeAbout::default() => with_outputs(known, &about.outputs),
        _ => about.clone(),
    };
    if known != Some(&about) {
        let (version, agent) = (version.to_owned(), agent.cloned());
        draft.push(Event::CodeSeen {
            sweep: draft.id.clone(),
            version,
            agent,
            about: Box::new(about),
        });
    }
}

// Programs write more while the code stays what it is.
fn with_outputs(known: &CodeAbout, outputs: &[String]) -> CodeAbout {
    let new = outputs
        .iter()
        .filter(|output| !known.outputs.contains(output));
    let outputs = known
        .outputs
        .iter()
        .chain(new)
        .take(OUTPUTS_MAX)
        .cloned()
        .collect();
    CodeAbout {
        outputs,
        ..known.clone()
    }
}

// Notes a version that has not been seen before; an empty one is none.
pub(super) fn see(draft: &mut Draft<'_>, agent: Option<&AgentId>, version: &str) {
    if version.is_empty() || draft.sweep.code.number(version).is_some() || draft.sees(version) {
        return;
    }
    let (sweep, version, agent) = (draft.id.clone(), version.to_owned(), agent.cloned());
    draft.push(Event::CodeSeen {
        sweep,
        version,
        agent,
        about: Box::default(),
    });
}

// One decision: there is no moment at which the sweep is there and its code is not.
pub(super) fn create(
    state: &State,
    sweep: &SweepId,
    spec: &SweepSpec,
    (source, seed): (&str, u64),
    code: &Pin,
) -> Result<Decision, Refusal> {
    if state.sweeps.contains_key(sweep) {
        return Err(Refusal::Exists(format!("sweep {sweep}")));
    }
    let Decision { mut events, reply } = created(sweep, spec, source, seed);
    let (version, about) = (code.version.clone(), Box::new(code.about.clone()));
    events.push(Event::CodeSeen {
        sweep: sweep.clone(),
        version: version.clone(),
        agent: None,
        about,
    });
    events.push(Event::CodePinned {
        sweep: sweep.clone(),
        version,
    });
    Ok(Decision { events, reply })
}

pub(super) fn pin(
    state: &State,
    sweep: &SweepId,
    code: &Pin,
    push: Push,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    if draft.sweep.code.pinned.is_none() && !push.pin {
        return Err(Refusal::WrongState(format!(
            "sweep {sweep} tracks what its agents have on their disks, so there is nothing to push: they execute changed code with their next \
             runs; --pin pins the sweep to this code instead"
        )));
    }
    let moved = draft.sweep.code.pinned.as_deref() != Some(&code.version);
    note(&mut draft, None, &code.version, &code.about);
    // The same files, and another folder of them to run in.
    let known = draft
        .sweep
        .code
        .versions
        .iter()
        .find(|known| known.version == code.version);
    if known.is_some_and(|known| {
        known.about.prefix != code.about.prefix && known.about != CodeAbout::default()
    }) {
        let (version, about) = (code.version.clone(), Box::new(code.about.clone()));
        draft.push(Event::CodeSeen {
            sweep: sweep.clone(),
            version,
            agent: None,
            about,
        });
    }
    if moved {
        draft.push(Event::CodePinned {
            sweep: sweep.clone(),
            version: code.version.clone(),
        });
    }
    let stopped = if push.stop_running {
        make_way(&mut draft, &code.version)
    } else {
        Vec::new()
    };
    let Again { again, skipped } = rerun::points(&mut draft, push.rerun, Some(&code.version))?;
    let new = u32::try_from(draft.sweep.code.versions.len() + 1).unwrap_or(u32::MAX);
    let number = draft.sweep.code.number(&code.version).unwrap_or(new);
    Ok(draft.reply(Reply::Pinned(CodeMove {
        number,
        moved,
        stopped,
        again,
        skipped,
    })))
}

// Programs that execute runs themselves are not reached; and what was asked to end for another reason will.
fn make_way(draft: &mut Draft<'_>, version: &str) -> Vec<RunNumber> {
    let (state, sweep) = (draft.state, draft.sweep);
    let runs_other = |number: &RunNumber| {
        let run = sweep.runs.get(*number)?;
        let owner = run
            .attempts
            .last()
            .filter(|owner| owner.state.is_live() && owner.stop.is_none())?;
        let asks = state
            .agents
            .get(&owner.agent)
            .is_some_and(|agent| agent.info.asks);
        (!asks && run.code_version != version).then(|| AttemptRef {
            sweep: draft.id.clone(),
            run: *number,
            attempt: run.newest(),
        })
    };
    let owners: Vec<_> = sweep.index.live.iter().filter_map(runs_other).collect();
    let stopped = owners.iter().map(|owner| owner.run).collect();
    for owner in owners {
        draft.request_stop(
            owner,
            StopKind::Requeue,
            format!("it makes way for code version {version:.8}: its run begins again with that"),
        );
    }
    stopped
}

pub(super) fn mark(
    state: &State,
    sweep: &SweepId,
    version: &str,
    mark: Option<&CodeMark>,
) -> Result<Decision, Refusal> {
    let mut draft = Draft::of(state, sweep)?;
    let codes = &draft.sweep.code.versions;
    let known = codes
        .iter()
        .find(|code| code.version == version)
        .ok_or_else(|| unknown(sweep, version))?;
    if let Some(CodeMark::SameAs(other)) = mark {
        if !codes.iter().any(|code| code.version == *other) {
            return Err(unknown(sweep, other));
        }
        if versions::canonical(codes, other) == version {
            let reason = if other == version {
                "a version is the same as itself anyway"
            } else {
                "that one is said to be the same as this"
            };
            return Err(Refusal::WrongState(format!(
                "version {version:.8} is not marked as the same as {other:.8}: {reason}"
            )));
        }
    }
    if known.mark.as_ref() == mark {
        return Ok(draft.reply(Reply::Done));
    }
    let marked = |code: &CodeVersion| {
        let new = if code.version == version {
            mark.cloned()
        } else {
            code.mark.clone()
        };
        CodeVersion {
            mark: new,
            ..code.clone()
        }
    };
    let codes: Vec<_> = codes.iter().map(marked).collect();
    draft.push(Event::CodeMarked {
        sweep: sweep.clone(),
        version: version.to_owned(),
        mark: mark.cloned(),
    });
    // What counts again may be all that the sweep was to find.
    let progress = SweepProgress {
        best: versions::best(draft.sweep, &codes),
        ..draft.progress()
    };
    let idle = progress.queued == 0 && progress.live == 0;
    if let Some(reason) = progress
        .limit(&draft.sweep.spec)
        .filter(|_| idle && draft.sweep.state == SweepState::Running)
    {
        draft.change_sweep(SweepState::Finished, reason);
    }
    Ok(draft.reply(Reply::Done))
}

fn unknown(sweep: &SweepId, version: &str) -> Refusal {
    Refusal::WrongState(format!(
        "sweep {sweep} has no code version `{version}`; `sweep code {sweep}` lists them"
    ))
}
