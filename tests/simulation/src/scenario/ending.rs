//! The end of a simulation: whether it has come, and what must hold then.

use std::collections::BTreeSet;
use std::time::Duration;

use sweep_lifecycle::state::{AttemptState, Blame, Sweep, SweepState};

use crate::world::{Record, UserRequest, World};

pub(super) fn is_over(world: &World) -> bool {
    let mut record = world.record();
    let Some(sweep) = record.state.sweeps.values().next() else {
        return false;
    };
    let stalled = sweep.stalled && sweep.state == SweepState::Paused;
    let over =
        sweep.state.is_terminal() && sweep.index.live.is_empty() && sweep.index.queued.is_empty();
    if stalled && record.wishes.is_empty() {
        record.wishes.push(UserRequest::Resume);
    }
    over
}

/// Checks that all has come to a good end.
pub(super) fn check_end(world: &World, now: Duration, ended: Option<Duration>) {
    let running = world.processes().running(now);
    let mut record = world.record();
    for overlap in world.processes().overlaps() {
        record.violated(format!(
            "I2: two attempts write one checkpoint folder: {overlap}"
        ));
    }
    let Some(sweep) = record.state.sweeps.values().next().cloned() else {
        return record.violated("I6: the sweep was never created".to_owned());
    };
    if ended.is_none() {
        let open: Vec<_> = sweep.index.queued.iter().chain(&sweep.index.live).collect();
        return record.violated(format!(
            "I6: the sweep is {} ({}) and does not end; open: {open:?}",
            sweep.state, sweep.reason
        ));
    }
    if !running.is_empty() {
        record.violated(format!("I8: left running: {running:?}"));
    }
    check_points(&mut record, &sweep);
    if world.is_quiet() && world.processes().signals() > 0 {
        let signals = world.processes().signals();
        record.violated(format!(
            "I10: {signals} signals ended programs, although the controller wanted none to end"
        ));
    }
    check_attempts(world, &mut record, &sweep, now);
}

/// Each point was tried, and none twice.
fn check_points(record: &mut Record, sweep: &Sweep) {
    // What was tried beside the newest space stays, and counts no more; an edit may bring points together that were apart.
    let ended = || {
        sweep
            .runs
            .iter()
            .filter(|(_, run)| run.state.is_terminal() && !run.point.withdrawn)
    };
    if let Some(points) = sweep.grid_size {
        let tried = ended()
            .filter_map(|(_, run)| sweep.point_of(&run))
            .collect::<BTreeSet<_>>()
            .len() as u64;
        if tried != points {
            record.violated(format!(
                "I3: of a grid of {points} points {tried} were tried"
            ));
        }
    }
    let distinct = ended()
        .map(|(_, run)| run.own_point())
        .collect::<BTreeSet<_>>()
        .len();
    if distinct != ended().count() {
        record.violated(format!(
            "I3: {} runs are of {distinct} points",
            ended().count()
        ));
    }
}

/// All that was acknowledged is on disk, and no configuration is blamed for what a scheduler did.
fn check_attempts(world: &World, record: &mut Record, sweep: &Sweep, now: Duration) {
    let identity = record.state.identity.clone();
    for (number, run) in sweep.runs.iter() {
        for (attempt, index) in run.attempts.iter().zip(1u32..) {
            if !matches!(attempt.state, AttemptState::Finished | AttemptState::Failed) {
                continue;
            }
            let blames = attempt
                .failure
                .as_ref()
                .is_some_and(|failure| failure.blame == Blame::Configuration);
            if attempt.state == AttemptState::Failed
                && blames
                && world
                    .processes()
                    .is_taken_away(&identity.incarnation(attempt))
            {
                record.violated(format!(
                    "I7: run {number} attempt {index} is blamed for what a scheduler did: {:?}",
                    attempt.failure
                ));
            }
            if let Some(points) = record.paper.get(&(number, index)).copied() {
                if attempt.points != points {
                    record.violated(format!(
                        "I1: run {number} attempt {index} gave {points} points and {} are on disk",
                        attempt.points
                    ));
                }
                continue;
            }
            let Some(given) = world
                .processes()
                .values(&identity.incarnation(attempt), now)
            else {
                continue;
            };
            if attempt.points != given.len() as u64 || attempt.series != given {
                record.violated(format!(
                    "I1: run {number} attempt {index} gave {given:?}, and on disk is {:?}",
                    attempt.series
                ));
            }
        }
    }
}
