//! The revisions of a sweep: what its file has said, one after the other. They are only ever appended to.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_search::space::revision::{carry, carry_back};
use sweep_search::space::{Config, ConfigLocation, PointKey};

use super::Run;
use super::ids::Timestamp;
use crate::spec::SweepSpec;

/// A revision of a sweep's file. The first is what the sweep was created with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// The spec of the file.
    pub spec: Arc<SweepSpec>,
    /// Its text.
    pub source: Arc<str>,
    /// The number of its space: the same as before where the space has not changed.
    pub space: u32,
    /// The number of the revision that it goes back to.
    pub restores: Option<u32>,
    /// The changes, in words.
    pub changes: Vec<String>,
    /// The effect on the existing runs.
    pub effect: RevisionEffect,
    /// Runs may be evaluated or placed differently: their projections are rebuilt.
    pub changes_rows: bool,
    /// Since when.
    pub since: Timestamp,
}

/// The effect of a revision on earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RevisionEffect {
    /// Runs that are in the space.
    pub inside: u64,
    /// Runs that are beside the space and still say something of it.
    pub outside: u64,
    /// Runs that cannot be placed in the space: kept, and not used by the search.
    pub nowhere: u64,
    /// Runs that have ended well and never reported the objective.
    pub unreported: u64,
    /// Runs that have ended well and break a constraint, or never reported what it is about.
    pub violating: u64,
    /// Runs that waited for an agent and are not in the space: withdrawn.
    pub withdrawn: u64,
    /// Runs that are being executed as the revision before says.
    pub running: u64,
}

/// A run as the newest revision sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedRun<'a> {
    /// Its configuration with the parameters of the newest space.
    pub config: Cow<'a, Config>,
    /// It has a value that the space has no longer.
    pub outside: bool,
}

/// As [`Sweep::placed`], with revisions that the sweep does not have yet.
pub(crate) fn placed<'a>(revisions: &[Revision], run: &'a Run) -> Option<PlacedRun<'a>> {
    let newest = number(revisions.len());
    // What is one of the newest space as it stands needs no way to it: it may have been out of the space in between.
    if run.point.revision >= newest
        || revisions
            .last()
            .is_some_and(|newest| newest.spec.space.holds(&run.config))
    {
        return Some(PlacedRun {
            config: Cow::Borrowed(&run.config),
            outside: false,
        });
    }
    let config = forward(revisions, &run.config, run.point.revision, newest)?;
    match revisions.last()?.spec.space.locate(config) {
        ConfigLocation::Inside(config) => Some(PlacedRun {
            config: Cow::Owned(config),
            outside: false,
        }),
        ConfigLocation::Outside(config) => Some(PlacedRun {
            config: Cow::Owned(config),
            outside: true,
        }),
        ConfigLocation::Nowhere => None,
    }
}

/// As [`Sweep::point_of`], with revisions that the sweep does not have yet.
pub(crate) fn point_of(revisions: &[Revision], run: &Run) -> Option<PointKey> {
    if run.point.withdrawn {
        return None;
    }
    placed(revisions, run).and_then(|placed| point_at(run, &placed, || run.own_point()))
}

/// As [`point_of`], of a run whose point in the space that it was created in is known: a digest is computed only where a configuration was carried.
pub(crate) fn known_point(revisions: &[Revision], run: &Run, own: PointKey) -> Option<PointKey> {
    if run.point.withdrawn {
        return None;
    }
    placed(revisions, run).and_then(|placed| point_at(run, &placed, || own))
}

/// Returns the point of a run at its place; `None` where that is outside of the space.
pub(crate) fn point_at(
    run: &Run,
    placed: &PlacedRun<'_>,
    own: impl FnOnce() -> PointKey,
) -> Option<PointKey> {
    match &placed.config {
        _ if placed.outside => None,
        Cow::Borrowed(_) => Some(own()),
        Cow::Owned(config) if !run.point.is_again() => Some(config.key()),
        Cow::Owned(config) => Some(config.key_again(&run.point.again)),
    }
}

/// Carries a configuration on from a revision to a later one.
fn forward(revisions: &[Revision], config: &Config, from: u32, to: u32) -> Option<Config> {
    if from >= to {
        return Some(config.clone());
    }
    let at = |number: u32| revisions.get((number as usize).checked_sub(1)?);
    let newest = at(to)?;
    // What was restored is as it was: nothing that came between has happened to what is older.
    if let Some(restored) = newest.restores {
        return if from <= restored {
            forward(revisions, config, from, restored)
        } else {
            back(revisions, config, from, restored)
        };
    }
    let before = at(to - 1)?;
    let config = forward(revisions, config, from, to - 1)?;
    if before.space == newest.space {
        return Some(config);
    }
    carry(
        &config,
        &before.spec.space,
        &newest.spec.space,
        &newest.spec.origins,
    )
}

/// Carries a configuration back from a revision to an earlier one.
fn back(revisions: &[Revision], config: &Config, from: u32, to: u32) -> Option<Config> {
    if from <= to {
        return Some(config.clone());
    }
    let at = |number: u32| revisions.get((number as usize).checked_sub(1)?);
    let (later, earlier) = (at(from)?, at(from - 1)?);
    if let Some(restored) = later.restores {
        return if restored <= to {
            forward(revisions, config, restored, to)
        } else {
            back(revisions, config, restored, to)
        };
    }
    let config = if earlier.space == later.space {
        config.clone()
    } else {
        carry_back(
            config,
            &earlier.spec.space,
            &later.spec.space,
            &later.spec.origins,
        )?
    };
    back(revisions, &config, from - 1, to)
}

pub(super) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
