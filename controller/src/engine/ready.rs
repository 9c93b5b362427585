//! Ready suggestions. Volatile: losing them costs one computation.

use std::collections::{BTreeMap, VecDeque};

use sweep_lifecycle::command::Offer;
use sweep_lifecycle::observe::wants_suggestions;
use sweep_lifecycle::state::{Sweep, SweepId};
use sweep_search::suggest::Method;

use super::need::next_point;
use super::{Computed, Need};

/// Grid and random suggestions do not age, so a batch is made at a time.
const BATCH_MIN: usize = 16;
const BATCH_MAX: usize = 1024;
/// Bayesian suggestions age with every observation, and each costs a fit.
const BAYES_MAX: usize = 16;

/// Ready suggestions, by sweep.
#[derive(Debug, Default)]
pub(super) struct Ready {
    sweeps: BTreeMap<SweepId, SuggestionQueue>,
}

#[derive(Debug, Default)]
struct SuggestionQueue {
    /// Offers with the number of the point each was made for, ascending without gaps.
    offers: VecDeque<(u64, Offer)>,
    /// The history that was searched last; the search is a function of it, so it is never searched twice.
    searched: Option<u64>,
    /// How many observations the offers rest on.
    rests_on: u64,
    /// The search had nothing beyond these offers.
    last: bool,
    /// Observations since the start of the engine.
    observed: u64,
    /// Suggestions from an earlier history do not consider the newest code.
    not_before: u64,
}

/// How many agents' places want suggestions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    /// Slots of agents that are alive.
    pub(super) slots: usize,
    /// Somebody may ask before anything new is known.
    pub(super) ahead: bool,
    /// Calls that wait for a run.
    pub(super) waiting: usize,
}

impl Ready {
    /// Returns the suggestion for the sweep's next point, if one used at least this many observations.
    pub(super) fn next(&mut self, id: &SweepId, sweep: &Sweep, observed: u64) -> Option<Offer> {
        let queue = self.sweeps.get_mut(id)?;
        queue.drop_unfit(next_point(sweep));
        // Grid points and random draws rest on nothing.
        if sweep.spec.method == Method::Bayes && queue.rests_on < observed {
            return None;
        }
        queue.offers.front().map(|(_, offer)| offer.clone())
    }

    /// Takes in what the search found. Returns whether any suggestion is ready now.
    pub(super) fn put(&mut self, computed: Computed, sweep: &Sweep) -> bool {
        let queue = self.sweeps.entry(computed.sweep).or_default();
        if computed.history < queue.not_before {
            return !queue.offers.is_empty();
        }
        queue.searched = Some(computed.history);
        let history = computed.history;
        let offers = computed.suggestions.into_iter().map(|suggestion| Offer {
            suggestion,
            history,
        });
        let mut fresh: VecDeque<_> = (computed.next_index..).zip(offers).collect();
        fresh.retain(|(index, _)| *index >= next_point(sweep));
        // A late answer of which nothing fits any more does not take the place of what does.
        if !fresh.is_empty() {
            queue.offers = fresh;
            queue.rests_on = computed.observed;
            queue.last = computed.exhausted;
        }
        !queue.offers.is_empty()
    }

    /// Forgets the suggestion for the next run, and all that were made to follow it: its point is taken.
    pub(super) fn discard(&mut self, id: &SweepId) {
        if let Some(queue) = self.sweeps.get_mut(id) {
            queue.offers.clear();
            queue.searched = None;
        }
    }

    /// Discards present and future suggestions from before a history: they do not consider the newest code.
    pub(super) fn outdate(&mut self, id: &SweepId, history: u64) {
        self.discard(id);
        self.sweeps.entry(id.clone()).or_default().not_before = history;
    }

    /// Forgets a sweep that was deleted.
    pub(super) fn forget(&mut self, id: &SweepId) {
        self.sweeps.remove(id);
    }

    /// Discards everything: the state was reloaded.
    pub(super) fn clear(&mut self) {
        self.sweeps.clear();
    }

    /// Returns how many observations there have been since the start of the engine.
    pub(super) fn observed(&self, id: &SweepId) -> u64 {
        self.sweeps.get(id).map_or(0, |queue| queue.observed)
    }

    /// Notes that the search can see something new of a sweep.
    pub(super) fn observe(&mut self, id: &SweepId) {
        self.sweeps.entry(id.clone()).or_default().observed += 1;
    }

    /// Returns what the search has to know, where suggestions are needed.
    pub(super) fn need(&mut self, id: &SweepId, sweep: &Sweep, demand: Demand) -> Option<Need> {
        let count = self.wanted(id, sweep, demand)?;
        let observed = self.sweeps.get(id).map_or(0, |queue| queue.observed);
        Some(Need::of(id, sweep, count, observed))
    }

    /// Returns how many suggestions a sweep needs, if any.
    pub(super) fn wanted(&mut self, id: &SweepId, sweep: &Sweep, demand: Demand) -> Option<usize> {
        let room = wants_suggestions(sweep).filter(|_| demand.slots > 0)?;
        let queue = self.sweeps.entry(id.clone()).or_default();
        queue.drop_unfit(next_point(sweep));
        if queue.searched == Some(sweep.history) {
            return None;
        }
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let have = queue.offers.len();
        let is_bayes = sweep.spec.method == Method::Bayes;
        let count = if is_bayes {
            (usize::from(demand.ahead) + demand.waiting).clamp(1, BAYES_MAX)
        } else {
            (2 * demand.slots).clamp(BATCH_MIN, BATCH_MAX)
        };
        let count = count.min(room);
        let aged = is_bayes && queue.rests_on != queue.observed;
        let low = if is_bayes {
            have == 0 && (demand.ahead || demand.waiting > 0)
        } else {
            have < count.div_ceil(2) && !(queue.last && have > 0)
        };
        (count > 0 && (low || aged)).then_some(count)
    }
}

impl SuggestionQueue {
    /// Drops offers that were made for points that exist by now, and all of them if they were made for points beyond the next.
    fn drop_unfit(&mut self, next: u64) {
        while self.offers.front().is_some_and(|(index, _)| *index < next) {
            self.offers.pop_front();
        }
        if self.offers.front().is_some_and(|(index, _)| *index > next) {
            self.offers.clear();
        }
    }
}
