//! The state as bytes, so that a start need not fold the whole log: a head, and the ended runs in blocks.
//!
//! ```text
//! State ──write_head──▶ head   everything but ended runs: small, written whole each time
//!       ──write_block─▶ block  the ended runs among BLOCK_RUNS numbers: only those that changed are written again
//! Loader ◀── head, then all blocks, in any order ──▶ State
//! ```
//!
//! An image may be thrown away at any time, since the log says it all; and one made by a program compiled from other sources is thrown
//! away, since the same log might come to something else there ([`FINGERPRINT`]).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sweep_search::space::PointKey;

use super::ids::{AgentId, RunNumber, SweepId, Timestamp};
use super::run::{Run, RunState};
use super::runs::{Runs, Sealed};
use super::{
    Agent, CodeHistory, CodeStep, CodeVersion, ControllerIdentity, Crew, Environment, Revision,
    State, Sweep, SweepIndex, SweepState, TakenPoints,
};
use crate::spec::SweepSpec;

/// Changes with every change of what makes a state from a log.
pub const FINGERPRINT: &str = env!("SWEEP_STATE_FINGERPRINT");

/// How many run numbers a block spans.
const BLOCK_RUNS: u64 = 1024;

/// Names a block of a sweep's runs.
pub type Block = (SweepId, u64);

/// Why an image was not written or cannot be read. The log can.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The state cannot be written.
    #[error("the state cannot be written as bytes: {0}")]
    Unwritable(#[from] rmp_serde::encode::Error),
    /// These bytes are no image.
    #[error("these bytes are no image of a state: {0}")]
    Unreadable(#[from] rmp_serde::decode::Error),
    /// Head and blocks do not fit together.
    #[error("the image is not whole: {0}")]
    Incomplete(String),
}

#[derive(Serialize, Deserialize)]
struct ImageHeader<'a> {
    identity: Cow<'a, ControllerIdentity>,
    sweeps: BTreeMap<SweepId, SweepHead<'a>>,
    agents: Cow<'a, BTreeMap<AgentId, Agent>>,
}

#[derive(Serialize, Deserialize)]
struct SweepHead<'a> {
    spec: Arc<SweepSpec>,
    source: Arc<str>,
    revisions: Cow<'a, [Revision]>,
    edited: u64,
    seed: u64,
    grid_size: Option<u64>,
    state: SweepState,
    reason: Cow<'a, str>,
    stalled: bool,
    assignments: u64,
    is_objective_read: bool,
    unread: Cow<'a, [RunNumber]>,
    exhausted: bool,
    seals: bool,
    /// Those that have not ended.
    open: BTreeMap<RunNumber, Cow<'a, Run>>,
    /// How many have ended: the blocks hold them.
    ended: u64,
    best: Option<(RunNumber, f64)>,
    reached: Cow<'a, BTreeMap<RunNumber, f64>>,
    codes: Cow<'a, [CodeVersion]>,
    code_steps: Cow<'a, [CodeStep]>,
    pinned: Option<Cow<'a, str>>,
    environments: Cow<'a, [Environment]>,
    imported: u64,
    again: u64,
    reruns: u64,
    history: u64,
    archived: bool,
    created: Timestamp,
    updated: Timestamp,
}

/// An ended run in a block.
#[derive(Serialize, Deserialize)]
struct ImageRun<'a> {
    number: RunNumber,
    first: RunNumber,
    state: RunState,
    key: PointKey,
    #[serde(borrow, with = "serde_bytes")]
    body: &'a [u8],
}

/// Returns whether two states are the same: values that are not a number included, which are never equal otherwise.
///
/// # Errors
/// As [`State::write_head`].
pub fn same(a: &State, b: &State) -> Result<bool, ImageError> {
    let derived = |state: &State| -> Vec<_> {
        let of = |sweep: &Sweep| {
            (
                sweep.index.queued.clone(),
                sweep.index.live.clone(),
                sweep.index.points.keys.clone(),
                sweep.index.points.shared.clone(),
                sweep.index.crew,
            )
        };
        state.sweeps.values().map(of).collect()
    };
    if a.write_head()? != b.write_head()? || derived(a) != derived(b) {
        return Ok(false);
    }
    let blocks: Vec<_> = a.blocks().collect();
    if blocks != b.blocks().collect::<Vec<_>>() {
        return Ok(false);
    }
    for block in &blocks {
        if a.write_block(block)? != b.write_block(block)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the block that holds a run once it has ended.
pub fn block_of(run: RunNumber) -> u64 {
    run / BLOCK_RUNS
}

impl State {
    /// Writes everything but the ended runs.
    ///
    /// # Errors
    /// [`ImageError::Unwritable`], which no state is known to cause.
    pub fn write_head(&self) -> Result<Vec<u8>, ImageError> {
        let sweeps = self
            .sweeps
            .iter()
            .map(|(id, sweep)| (id.clone(), SweepHead::of(sweep)))
            .collect();
        Ok(rmp_serde::to_vec_named(&ImageHeader {
            identity: Cow::Borrowed(&self.identity),
            sweeps,
            agents: Cow::Borrowed(&self.agents),
        })?)
    }

    /// Writes the ended runs of a block; of an unknown sweep, none.
    ///
    /// # Errors
    /// As [`State::write_head`].
    pub fn write_block(&self, (sweep, block): &Block) -> Result<Vec<u8>, ImageError> {
        let numbers = block * BLOCK_RUNS..(block + 1) * BLOCK_RUNS;
        let sealed = self
            .sweeps
            .get(sweep)
            .into_iter()
            .flat_map(|sweep| sweep.runs.ended(numbers.clone()));
        let sealed = sealed.collect::<Result<Vec<_>, _>>()?;
        let ended = sealed.iter().map(|(number, sealed)| {
            let Sealed {
                first,
                state,
                key,
                body,
            } = sealed.as_ref();
            ImageRun {
                number: *number,
                first: *first,
                state: *state,
                key: *key,
                body,
            }
        });
        Ok(rmp_serde::to_vec(&ended.collect::<Vec<_>>())?)
    }

    /// Returns all blocks that hold an ended run, or may.
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        let of = |(id, sweep): (&SweepId, &Sweep)| {
            let id = id.clone();
            let last = (!sweep.runs.is_empty()).then(|| block_of(sweep.runs.last()));
            last.into_iter()
                .flat_map(|last| 0..=last)
                .map(move |block| (id.clone(), block))
        };
        self.sweeps.iter().flat_map(of)
    }
}

impl<'a> SweepHead<'a> {
    fn of(sweep: &'a Sweep) -> Self {
        // `queued`, `live`, `taken` and `shared` follow from the runs.
        let Sweep {
            spec,
            source,
            revisions,
            seed,
            grid_size,
            state,
            reason,
            stalled,
            assignments,
            exhausted,
            runs,
            ..
        } = sweep;
        let open: BTreeMap<_, _> = runs
            .open()
            .filter(|(_, run)| !run.state.is_terminal())
            .map(|(number, run)| (number, Cow::Borrowed(run)))
            .collect();
        Self {
            spec: Arc::clone(spec),
            source: Arc::clone(source),
            revisions: Cow::Borrowed(revisions),
            edited: sweep.edited,
            seed: *seed,
            grid_size: *grid_size,
            state: *state,
            reason: Cow::Borrowed(reason),
            stalled: *stalled,
            assignments: *assignments,
            is_objective_read: sweep.is_objective_read,
            unread: Cow::Borrowed(&sweep.unread),
            exhausted: *exhausted,
            seals: runs.seals(),
            ended: (runs.len() - open.len()) as u64,
            open,
            best: sweep.index.best,
            reached: Cow::Borrowed(&sweep.index.reached),
            codes: Cow::Borrowed(&sweep.code.versions),
            code_steps: Cow::Borrowed(&sweep.code.steps),
            pinned: sweep.code.pinned.as_deref().map(Cow::Borrowed),
            environments: Cow::Borrowed(&sweep.environments),
            imported: sweep.index.imported,
            again: sweep.index.points.again,
            reruns: sweep.index.reruns,
            history: sweep.history,
            archived: sweep.archived,
            created: sweep.created,
            updated: sweep.updated,
        }
    }

    fn complete(self, id: &SweepId, ended: Vec<(RunNumber, Sealed)>) -> Result<Sweep, ImageError> {
        if ended.len() as u64 != self.ended {
            return Err(ImageError::Incomplete(format!(
                "sweep {id} has {} ended runs, the blocks hold {}",
                self.ended,
                ended.len()
            )));
        }
        let in_state = |states: &[RunState]| {
            self.open
                .iter()
                .filter(|(_, run)| states.contains(&run.state))
                .map(|(number, _)| *number)
                .collect()
        };
        let (queued, live) = (
            in_state(&[RunState::Queued]),
            in_state(&[RunState::Assigned, RunState::Running]),
        );
        let open = self
            .open
            .into_iter()
            .map(|(number, run)| (number, run.into_owned()));
        let mut sweep = Sweep {
            spec: self.spec,
            source: self.source,
            revisions: self.revisions.into_owned(),
            edited: self.edited,
            seed: self.seed,
            grid_size: self.grid_size,
            state: self.state,
            reason: self.reason.into_owned(),
            stalled: self.stalled,
            assignments: self.assignments,
            is_objective_read: self.is_objective_read,
            unread: self.unread.into_owned(),
            exhausted: self.exhausted,
            runs: Runs::restore(self.seals, open, ended)?,
            index: SweepIndex {
                queued,
                live,
                best: self.best,
                reached: self.reached.into_owned(),
                // Whether points are tried again decides how they are computed below.
                points: TakenPoints {
                    again: self.again,
                    ..TakenPoints::default()
                },
                imported: self.imported,
                reruns: self.reruns,
                crew: Crew::default(),
            },
            code: CodeHistory {
                versions: self.codes.into_owned(),
                steps: self.code_steps.into_owned(),
                pinned: self.pinned.map(Cow::into_owned),
            },
            environments: self.environments.into_owned(),
            archived: self.archived,
            history: self.history,
            created: self.created,
            updated: self.updated,
        };
        sweep.rebuild_points();
        Ok(sweep)
    }
}

/// Makes a state from an image.
#[derive(Default)]
pub struct Loader {
    ended: BTreeMap<SweepId, Vec<(RunNumber, Sealed)>>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loader")
    }
}

impl Loader {
    /// Takes in what [`State::write_block`] wrote of a sweep.
    ///
    /// # Errors
    /// [`ImageError::Unreadable`].
    pub fn block(&mut self, sweep: SweepId, bytes: &[u8]) -> Result<(), ImageError> {
        let ended: Vec<ImageRun<'_>> = rmp_serde::from_slice(bytes)?;
        let runs = self.ended.entry(sweep).or_default();
        runs.extend(ended.into_iter().map(
            |ImageRun {
                 number,
                 first,
                 state,
                 key,
                 body,
             }| {
                (
                    number,
                    Sealed {
                        first,
                        state,
                        key,
                        body: body.into(),
                    },
                )
            },
        ));
        Ok(())
    }

    /// Puts the state together, once all blocks are in.
    ///
    /// # Errors
    /// [`ImageError::Unreadable`], or the head speaks of other runs than the blocks hold.
    pub fn complete(mut self, head: &[u8]) -> Result<State, ImageError> {
        let head: ImageHeader<'_> = rmp_serde::from_slice(head)?;
        let mut state = State {
            identity: head.identity.into_owned(),
            sweeps: BTreeMap::new(),
            agents: head.agents.into_owned(),
        };
        for (id, sweep) in head.sweeps {
            let ended = self.ended.remove(&id).unwrap_or_default();
            let sweep = sweep.complete(&id, ended)?;
            state.sweeps.insert(id, sweep);
        }
        for agent in state.agents.values() {
            if let Some(sweep) = state.sweeps.get_mut(&agent.sweep) {
                sweep.index.crew.add(agent);
            }
        }
        Ok(state)
    }
}
