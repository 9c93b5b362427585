//! A sweep's file becomes another one while it runs.

use std::sync::Arc;

use sweep_search::space::Path;

use super::draft::Draft;
use crate::command::{Decision, Refusal, Reply};
use crate::event::Event;
use crate::observe::SweepProgress;
use crate::revise::{Outlook, outlook};
use crate::spec::{SweepSpec, changes};
use crate::state::{Revision, RevisionEffect, State, Sweep, SweepId, SweepState, Timestamp};

pub(super) fn edit(
    state: &State,
    sweep: &SweepId,
    spec: &SweepSpec,
    source: &str,
    base: Option<u32>,
) -> Result<Decision, Refusal> {
    let draft = Draft::of(state, sweep)?;
    refuse_base(&draft, base)?;
    if let Some(seed) = spec.seed.filter(|seed| *seed != draft.sweep.seed) {
        let known = draft.sweep.seed;
        return Err(Refusal::WrongState(format!(
            "`seed: {seed}`: sweep {sweep} keeps its seed, which is {known}; leave the key out"
        )));
    }
    if spec.code.mode != draft.sweep.spec.code.mode {
        let hint = format!("`sweep code push {sweep} --pin` pins a sweep that tracks");
        return Err(Refusal::WrongState(format!(
            "`code.mode` cannot be edited; {hint}"
        )));
    }
    let mut spec = spec.clone();
    // It may have been given when the sweep was created, beside the file.
    spec.name = spec.name.or_else(|| draft.sweep.spec.name.clone());
    resolve(&mut spec, draft.sweep)?;
    revise(draft, spec, source, None)
}

/// Goes back behind the last edit that has not been undone yet.
pub(super) fn undo(state: &State, sweep: &SweepId, base: Option<u32>) -> Result<Decision, Refusal> {
    let draft = Draft::of(state, sweep)?;
    refuse_base(&draft, base)?;
    let revisions = &draft.sweep.revisions;
    let origin = |mut number: u32| {
        while let Some(restored) = at(revisions, number).and_then(|revision| revision.restores) {
            number = restored;
        }
        number
    };
    let restored = origin(origin(draft.sweep.revision()) - 1);
    let Some(revision) = at(revisions, restored) else {
        return Err(Refusal::WrongState(format!(
            "sweep {sweep} is as it was created: there is no edit to undo"
        )));
    };
    let (spec, source) = (revision.spec.as_ref().clone(), Arc::clone(&revision.source));
    revise(draft, spec, &source, Some(restored))
}

fn at(revisions: &[Revision], number: u32) -> Option<&Revision> {
    revisions.get((number as usize).checked_sub(1)?)
}

fn refuse_base(draft: &Draft<'_>, base: Option<u32>) -> Result<(), Refusal> {
    let newest = draft.sweep.revision();
    match base.filter(|base| *base != newest) {
        Some(base) => {
            let id = draft.id;
            Err(Refusal::WrongState(format!(
                "sweep {id} was edited meanwhile: it is at revision {newest}, not {base}; look at it again"
            )))
        }
        None => Ok(()),
    }
}

// People write a name or a dotted path; here is known which parameter that was. What was renamed by an earlier edit has its name by now.
fn resolve(spec: &mut SweepSpec, sweep: &Sweep) -> Result<(), Refusal> {
    let before = &sweep.spec.space;
    let known = |text: &str| {
        before
            .parameters()
            .iter()
            .map(|parameter| &parameter.path)
            .find(|path| path.to_string() == text)
    };
    let mut renamed = std::mem::take(&mut spec.origins.renamed);
    renamed.retain(|path, _| before.get(path).is_none());
    for (path, earlier) in renamed {
        let Some(found) = known(&earlier.to_string()) else {
            let there: Vec<_> = before
                .parameters()
                .iter()
                .map(|parameter| format!("`{}`", parameter.path))
                .collect();
            let there = there.join(", ");
            return Err(Refusal::WrongState(format!(
                "`{path}` is renamed from `{earlier}`, but there was no such parameter: there were {there}"
            )));
        };
        if spec.space.get(found).is_some() {
            return Err(Refusal::WrongState(format!(
                "`{path}` is renamed from `{found}`, but there still is a `{found}`"
            )));
        }
        if let Some(other) = spec
            .origins
            .renamed
            .iter()
            .find(|(_, other)| *other == found)
            .map(|(other, _)| other)
        {
            return Err(Refusal::WrongState(format!(
                "`{path}` and `{other}` are both renamed from `{found}`"
            )));
        }
        spec.origins.renamed.insert(path, found.clone());
    }
    let is_new =
        |path: &Path| before.get(path).is_none() && !spec.origins.renamed.contains_key(path);
    spec.origins.was.retain(|path, _| is_new(path));
    Ok(())
}

fn revise(
    mut draft: Draft<'_>,
    spec: SweepSpec,
    source: &str,
    restores: Option<u32>,
) -> Result<Decision, Refusal> {
    let sweep = draft.sweep;
    let changes = changes(&sweep.spec, &spec);
    if changes.is_empty() {
        let reply = Reply::Edited {
            revision: sweep.revision(),
            changes,
            effect: RevisionEffect::default(),
            state: sweep.state,
        };
        return Ok(draft.reply(reply));
    }
    let space = sweep.space_version() + u32::from(sweep.spec.space != spec.space);
    let spec = Arc::new(spec);
    let mut revisions = sweep.revisions.clone();
    revisions.push(Revision {
        spec: Arc::clone(&spec),
        source: source.into(),
        space,
        restores,
        changes: changes.clone(),
        effect: RevisionEffect::default(),
        changes_rows: false,
        since: Timestamp::default(),
    });
    let seen = outlook(sweep, &revisions);
    draft.cancel_queued(
        seen.withdrawn.clone(),
        format!("withdrawn: it is not in space version {space}"),
        true,
    );
    let (id, boxed) = (draft.id.clone(), Box::new(spec.as_ref().clone()));
    let edited = Event::SweepEdited {
        sweep: id,
        spec: boxed,
        source: source.to_owned(),
        restores,
        changes: changes.clone(),
        effect: seen.effect,
    };
    draft.push(edited);
    settle(&mut draft, &spec, &seen);
    let reply = Reply::Edited {
        revision: sweep.revision() + 1,
        changes,
        effect: seen.effect,
        state: draft.sweep_state(),
    };
    Ok(draft.reply(reply))
}

// A sweep that had ended by itself continues if there is something to do now, and one that has nothing left to do ends.
fn settle(draft: &mut Draft<'_>, spec: &SweepSpec, seen: &Outlook) {
    let before = SweepProgress::of(draft.sweep);
    let progress = SweepProgress {
        tried: seen.tried,
        queued: before
            .queued
            .saturating_sub(usize::try_from(seen.effect.withdrawn).unwrap_or(usize::MAX)),
        exhausted: false,
        grid_size: crate::evolve::grid_size(spec),
        best: seen.best,
        ..before
    };
    let idle = progress.queued == 0 && progress.live == 0;
    match (draft.sweep.state, progress.limit(spec)) {
        (SweepState::Running, Some(reason)) if idle => {
            draft.change_sweep(SweepState::Finished, reason);
        }
        (SweepState::Finished, None) => draft.change_sweep(SweepState::Running, ""),
        _ => {}
    }
}
