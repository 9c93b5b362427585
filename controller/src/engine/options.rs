//! How the engine works.

use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
#[cfg(feature = "simulation")]
use super::mutation::Mutation;

const LEASE: Duration = Duration::from_secs(60);

/// Runs that were asked for take as long as training takes, and nothing is heard of them meanwhile.
const ASK_LEASE: Duration = Duration::from_secs(24 * 3600);

/// Most searches take less, and hardly any training does.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Read and folded in a quarter of a second.
const EVENTS_PER_IMAGE: u64 = 50_000;

/// How long what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// An agent or attempt without news for this long is lost.
    pub lease: Duration,
    /// As `lease`, for programs that ask for runs and the runs they asked for: they report nothing while they execute one.
    pub ask_lease: Duration,
    /// How long a call for a run waits for a suggestion that rests on all results which were there when it came.
    pub patience: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            lease: LEASE,
            ask_lease: ASK_LEASE,
            patience: PATIENCE,
        }
    }
}

/// How the engine works.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Timeouts by recipient of the wait.
    pub terms: Terms,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The id that a log without one is given; `None`: it stays without.
    pub controller: Option<String>,
    /// The number of events after which the store keeps an image of the state: a start reads at most about as many again.
    pub events_per_image: u64,
    /// A guard that is missing.
    #[cfg(feature = "simulation")]
    pub mutation: Mutation,
}

impl EngineOptions {
    /// The clock of this machine.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            clock: Arc::new(SystemClock::new()),
            controller: None,
            events_per_image: EVENTS_PER_IMAGE,
            #[cfg(feature = "simulation")]
            mutation: Mutation::None,
        }
    }
}
