//! The runs of a sweep. Those that have ended are sealed: kept as bytes, with what is looked at often beside them, since a sweep may have a
//! million of them and hardly any is ever touched again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

use sweep_search::space::PointKey;

use super::ids::RunNumber;
use super::run::{Run, RunState};

/// The runs of a sweep by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Runs {
    entries: BTreeMap<RunNumber, RunEntry>,
    /// Whether ended runs are sealed: not where the search or early termination looks at all of them again and again.
    seals: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum RunEntry {
    /// With its point, which takes a digest to compute.
    Open(PointKey, Box<Run>),
    Sealed(Sealed),
}

/// A run as bytes, and what is looked at often.
#[derive(Clone, PartialEq)]
pub struct Sealed {
    /// The first run of its point.
    pub first: RunNumber,
    /// Where it is in its life.
    pub state: RunState,
    /// Its point.
    pub key: PointKey,
    /// The whole run as MessagePack, its fields by their places: names would be half of it.
    pub body: Box<[u8]>,
}

impl Runs {
    pub(crate) fn new(seals: bool) -> Self {
        Self {
            entries: BTreeMap::new(),
            seals,
        }
    }

    /// Returns a run.
    pub fn get(&self, number: RunNumber) -> Option<Cow<'_, Run>> {
        self.entries.get(&number).map(RunEntry::run)
    }

    /// Returns the first run of a run's point, without unsealing either.
    pub fn first_of(&self, number: RunNumber) -> Option<RunNumber> {
        self.entries.get(&number).map(RunEntry::first)
    }

    /// Returns a run's point in the space that it was created in, without unsealing it.
    pub(crate) fn point_of(&self, number: RunNumber) -> Option<PointKey> {
        self.entries.get(&number).map(RunEntry::key)
    }

    /// Returns whether there is such a run.
    pub fn contains(&self, number: RunNumber) -> bool {
        self.entries.contains_key(&number)
    }

    /// Returns whether any is in a state, without unsealing one.
    pub(crate) fn any_in(&self, state: RunState) -> bool {
        self.entries.values().any(|entry| entry.state() == state)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the highest number; 0 where there is none.
    pub fn last(&self) -> RunNumber {
        self.entries.last_key_value().map_or(0, |(last, _)| *last)
    }

    /// Returns the numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = RunNumber> {
        self.entries.keys().copied()
    }

    /// Returns all in the order of their numbers, each with its point. Unseals each.
    pub(crate) fn with_points(&self) -> impl Iterator<Item = (RunNumber, PointKey, Cow<'_, Run>)> {
        self.entries
            .iter()
            .map(|(number, entry)| (*number, entry.key(), entry.run()))
    }

    /// Returns all in the order of their numbers. Unseals each: where there are many, that takes its time.
    pub fn iter(&self) -> impl Iterator<Item = (RunNumber, Cow<'_, Run>)> {
        self.range(..)
    }

    /// Returns those that are not sealed, which is all where nothing is.
    pub fn open(&self) -> impl Iterator<Item = (RunNumber, &Run)> + Clone {
        self.entries.iter().filter_map(|(number, entry)| {
            if let RunEntry::Open(_, run) = entry {
                Some((*number, run.as_ref()))
            } else {
                None
            }
        })
    }

    /// Returns those of a range of numbers.
    pub fn range(
        &self,
        range: impl RangeBounds<RunNumber>,
    ) -> impl Iterator<Item = (RunNumber, Cow<'_, Run>)> {
        self.entries
            .range(range)
            .map(|(number, entry)| (*number, entry.run()))
    }

    /// Returns the numbers of those in a state, unsealing none.
    pub fn in_state(&self, state: RunState) -> impl Iterator<Item = RunNumber> {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.state() == state)
            .map(|(number, _)| *number)
    }

    /// Returns each number with its point, unsealing none.
    pub fn points(&self) -> impl Iterator<Item = (RunNumber, PointKey)> {
        self.entries
            .iter()
            .map(|(number, entry)| (*number, entry.key()))
    }

    /// Returns those of a range of numbers that have ended, as bytes.
    pub(super) fn ended(
        &self,
        range: impl RangeBounds<RunNumber>,
    ) -> impl Iterator<Item = Result<(RunNumber, Cow<'_, Sealed>), rmp_serde::encode::Error>> {
        self.entries
            .range(range)
            .filter(|(_, entry)| entry.state().is_terminal())
            .map(|(number, entry)| {
                Ok(match entry {
                    RunEntry::Open(key, run) => (*number, Cow::Owned(Sealed::seal(*key, run)?)),
                    RunEntry::Sealed(sealed) => (*number, Cow::Borrowed(sealed)),
                })
            })
    }

    /// Begins, or ends, to seal runs that have ended.
    pub(crate) fn set_seals(&mut self, seals: bool) {
        if self.seals == seals {
            return;
        }
        self.seals = seals;
        for number in self.numbers().collect::<Vec<_>>() {
            self.change(number, |_| ());
        }
    }

    /// Returns whether ended runs are sealed.
    pub(super) fn seals(&self) -> bool {
        self.seals
    }

    /// Makes the runs of a sweep from those that have not ended and those that have.
    pub(super) fn restore(
        seals: bool,
        open: impl Iterator<Item = (RunNumber, Run)>,
        ended: Vec<(RunNumber, Sealed)>,
    ) -> Result<Self, rmp_serde::decode::Error> {
        let entry = |sealed: Sealed| -> Result<RunEntry, rmp_serde::decode::Error> {
            if seals && !matches!(sealed.state, RunState::Cancelled | RunState::Failed) {
                return Ok(RunEntry::Sealed(sealed));
            }
            let run: Box<Run> = Box::new(rmp_serde::from_slice(&sealed.body)?);
            Ok(if seals && is_worth_sealing(&run) {
                RunEntry::Sealed(sealed)
            } else {
                RunEntry::Open(sealed.key, run)
            })
        };
        let ended = ended
            .into_iter()
            .map(|(number, sealed)| Ok((number, entry(sealed)?)));
        let open =
            open.map(|(number, run)| Ok((number, RunEntry::Open(run.own_point(), Box::new(run)))));
        let entries: Result<_, rmp_serde::decode::Error> = ended.chain(open).collect();
        Ok(Self {
            entries: entries?,
            seals,
        })
    }

    pub(crate) fn insert(&mut self, number: RunNumber, run: Run) {
        self.entries
            .insert(number, RunEntry::Open(run.own_point(), Box::new(run)));
        self.settle(number);
    }

    /// Changes a run; `None` where there is no such run.
    pub(crate) fn change<T>(
        &mut self,
        number: RunNumber,
        change: impl FnOnce(&mut Run) -> T,
    ) -> Option<T> {
        let entry = self.entries.get_mut(&number)?;
        if let RunEntry::Sealed(sealed) = entry {
            *entry = RunEntry::Open(sealed.key, Box::new(sealed.unseal()));
        }
        let RunEntry::Open(_, run) = entry else {
            return None;
        };
        let changed = change(run);
        self.settle(number);
        Some(changed)
    }

    fn settle(&mut self, number: RunNumber) {
        if let Some(entry) = self.entries.get_mut(&number).filter(|_| self.seals)
            && let RunEntry::Open(key, run) = entry
            && run.state.is_terminal()
            && is_worth_sealing(run)
            // What cannot be sealed stays as it is: that costs memory and nothing else.
            && let Ok(sealed) = Sealed::seal(*key, run)
        {
            *entry = RunEntry::Sealed(sealed);
        }
    }
}

/// Returns whether an ended run takes much less as bytes: one that was never executed is small, and many may be withdrawn at once.
fn is_worth_sealing(run: &Run) -> bool {
    run.imported || !run.attempts.is_empty()
}

impl RunEntry {
    fn run(&self) -> Cow<'_, Run> {
        match self {
            Self::Open(_, run) => Cow::Borrowed(run),
            Self::Sealed(sealed) => Cow::Owned(sealed.unseal()),
        }
    }

    fn first(&self) -> RunNumber {
        match self {
            Self::Open(_, run) => run.point.first,
            Self::Sealed(sealed) => sealed.first,
        }
    }

    fn state(&self) -> RunState {
        match self {
            Self::Open(_, run) => run.state,
            Self::Sealed(sealed) => sealed.state,
        }
    }

    fn key(&self) -> PointKey {
        match self {
            Self::Open(key, _) => *key,
            Self::Sealed(sealed) => sealed.key,
        }
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            first,
            state,
            key,
            body,
        } = self;
        write!(
            f,
            "Sealed {{ first: {first}, state: {state}, key: {key:?}, body: \"{}\" }}",
            body.escape_ascii()
        )
    }
}

impl Sealed {
    fn seal(key: PointKey, run: &Run) -> Result<Self, rmp_serde::encode::Error> {
        let body = rmp_serde::to_vec(run)?.into_boxed_slice();
        Ok(Self {
            first: run.point.first,
            state: run.state,
            key,
            body,
        })
    }

    fn unseal(&self) -> Run {
        // Sealed by this very program, or by one compiled from the same sources, and its checksum was right when it was read.
        rmp_serde::from_slice(&self.body).expect("what was sealed can be unsealed")
    }
}
