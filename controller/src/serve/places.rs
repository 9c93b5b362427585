//! Places for connections: unauthenticated callers have few, and cannot take those of others.
//!
//! | a connection that has not authenticated, from | places of 8,192 | of one peer |
//! |---|---|---|
//! | an unknown peer | 1,024 | 128 |
//! | a peer that has authenticated before | 2,048 | 512 |
//! | this machine | 4,096 | |
//!
//! A connection that authenticates leaves these bounds, and counts among all. 512 places are for connections from this machine alone. All users of
//! this machine are one peer: where there is no place for a new connection from here, the oldest one that has not authenticated makes room, since
//! authenticated clients show their token at once.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

/// Parts of all places.
const UNKNOWN_PART: usize = 8;
const UNKNOWN_PEER_PART: usize = 64;
const KNOWN_PART: usize = 4;
const KNOWN_PEER_PART: usize = 16;
const LOCAL_PART: usize = 2;
const RESERVED_PART: usize = 16;
/// The least number of places of a peer, however few there are.
const PEER_MIN: usize = 16;
/// Peers that are remembered as having authenticated, and for how long.
const KNOWN_MAX: usize = 16_384;
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
/// Refusals are logged together, once in this time.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// An address, or the network of an IPv6 address: a machine has all of a /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PeerAddress(IpAddr);

impl From<IpAddr> for PeerAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into())
            }
            address => address,
        })
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionOrigin {
    Local,
    Known,
    Unknown,
}

/// All places for connections.
#[derive(Debug)]
pub(super) struct Places {
    count: usize,
    taken: Mutex<TakenPlaces>,
}

#[derive(Debug, Default)]
struct TakenPlaces {
    all: usize,
    /// Of those, not from this machine.
    remote: usize,
    /// Connections that have not authenticated, by [`ConnectionOrigin`].
    waiting: [usize; 3],
    /// Those of this machine, the oldest first.
    local: VecDeque<Weak<ConnectionPlace>>,
    /// The same by peer, but for this machine.
    waiting_by_peer: HashMap<PeerAddress, usize>,
    /// When a connection of a peer last authenticated.
    known: HashMap<PeerAddress, Instant>,
    refused: u64,
    logged: Option<Instant>,
}

impl Places {
    /// Makes a number of free places.
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            count,
            taken: Mutex::default(),
        })
    }

    /// Gives a place to a connection that has not authenticated; `None`: there is none for this peer.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Arc<ConnectionPlace>> {
        let peer = PeerAddress::from(address);
        let mut taken = self.lock();
        let origin = if peer.0.is_loopback() {
            ConnectionOrigin::Local
        } else if taken
            .known
            .get(&peer)
            .is_some_and(|seen| seen.elapsed() < KNOWN_FOR)
        {
            ConnectionOrigin::Known
        } else {
            ConnectionOrigin::Unknown
        };
        let of_peer = taken
            .waiting_by_peer
            .get(&peer)
            .copied()
            .unwrap_or_default();
        let (most, most_of_peer) = self.bounds(origin);
        let has_room = |taken: &TakenPlaces| {
            taken.all < self.count
                && (origin == ConnectionOrigin::Local
                    || taken.remote < self.count - self.part(RESERVED_PART))
                && taken.waiting[origin as usize] < most
                && of_peer < most_of_peer
        };
        // Dropped without the lock, which its end takes.
        let mut looked_at = Vec::new();
        let is_full = !has_room(&taken);
        if is_full {
            taken.refuse(address);
            if origin == ConnectionOrigin::Local {
                taken.remove_oldest(&mut looked_at);
            }
        }
        if is_full && !has_room(&taken) {
            drop(taken);
            return None;
        }
        taken.all += 1;
        taken.waiting[origin as usize] += 1;
        if origin != ConnectionOrigin::Local {
            taken.remote += 1;
            *taken.waiting_by_peer.entry(peer).or_default() += 1;
        }
        let place = Arc::new(ConnectionPlace {
            places: Arc::clone(self),
            peer,
            origin,
            has_authenticated: AtomicBool::new(false),
            removal: Mutex::default(),
        });
        if origin == ConnectionOrigin::Local {
            if taken.local.len() >= 2 * self.count {
                taken.local.retain(|place| place.strong_count() > 0);
            }
            taken.local.push_back(Arc::downgrade(&place));
        }
        drop(taken);
        Some(place)
    }

    /// Returns how many connections of an origin may not have authenticated, in all and of one peer.
    fn bounds(&self, origin: ConnectionOrigin) -> (usize, usize) {
        match origin {
            ConnectionOrigin::Local => (self.part(LOCAL_PART), usize::MAX),
            ConnectionOrigin::Known => (
                self.part(KNOWN_PART),
                self.part(KNOWN_PEER_PART).max(PEER_MIN),
            ),
            ConnectionOrigin::Unknown => (
                self.part(UNKNOWN_PART),
                self.part(UNKNOWN_PEER_PART).max(PEER_MIN),
            ),
        }
    }

    fn part(&self, part: usize) -> usize {
        (self.count / part).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, TakenPlaces> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TakenPlaces {
    /// Takes its place from the connection of this machine that has waited for the longest time.
    fn remove_oldest(&mut self, looked_at: &mut Vec<Arc<ConnectionPlace>>) {
        while let Some(place) = self.local.pop_front() {
            let Some(place) = place.upgrade() else {
                continue;
            };
            looked_at.push(Arc::clone(&place));
            if !place.has_authenticated() {
                let mut removal = place.removal();
                removal.is_removed = true;
                removal.waker.take().into_iter().for_each(Waker::wake);
                self.all -= 1;
                self.waiting[ConnectionOrigin::Local as usize] -= 1;
                return;
            }
        }
    }

    fn stop_waiting(&mut self, peer: PeerAddress, origin: ConnectionOrigin) {
        self.waiting[origin as usize] -= 1;
        if origin != ConnectionOrigin::Local
            && let Some(count) = self.waiting_by_peer.get_mut(&peer)
        {
            *count -= 1;
            if *count == 0 {
                self.waiting_by_peer.remove(&peer);
            }
        }
    }

    fn remember(&mut self, peer: PeerAddress) {
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&peer) {
            self.known.retain(|_, seen| seen.elapsed() < KNOWN_FOR);
            let oldest = self
                .known
                .iter()
                .min_by_key(|(_, seen)| **seen)
                .map(|(peer, _)| *peer);
            if self.known.len() >= KNOWN_MAX {
                oldest.into_iter().for_each(|oldest| {
                    self.known.remove(&oldest);
                });
            }
        }
        self.known.insert(peer, Instant::now());
    }

    /// Says that connections are refused, but not for each one: a caller that opens too many could fill the disk.
    fn refuse(&mut self, address: IpAddr) {
        self.refused += 1;
        if self
            .logged
            .is_none_or(|logged| logged.elapsed() >= LOG_EVERY)
        {
            self.logged = Some(Instant::now());
            tracing::warn!(peer = %address, refused = self.refused, "connections too many are closed; this peer has the most recent one");
            self.refused = 0;
        }
    }
}

/// The place of a connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<Places>,
    peer: PeerAddress,
    origin: ConnectionOrigin,
    has_authenticated: AtomicBool,
    removal: Mutex<Removal>,
}

#[derive(Debug, Default)]
struct Removal {
    is_removed: bool,
    /// The recipient.
    waker: Option<Waker>,
}

impl ConnectionPlace {
    /// Whether a request on the connection has authenticated.
    pub(super) fn has_authenticated(&self) -> bool {
        self.has_authenticated.load(Ordering::Relaxed)
    }

    /// Records that a request on the connection has authenticated.
    pub(super) fn authenticate(&self) {
        if self.has_authenticated() {
            return;
        }
        let mut taken = self.places.lock();
        if self.removal().is_removed || self.has_authenticated.swap(true, Ordering::Relaxed) {
            return;
        }
        taken.stop_waiting(self.peer, self.origin);
        if self.origin != ConnectionOrigin::Local {
            taken.remember(self.peer);
        }
    }

    /// Returns whether another connection has the place by now; if not, the waker is told when that happens.
    pub(super) fn is_removed(&self, waker: &Waker) -> bool {
        let mut removal = self.removal();
        removal.waker = Some(waker.clone());
        removal.is_removed
    }

    fn removal(&self) -> MutexGuard<'_, Removal> {
        self.removal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        if self.removal().is_removed {
            return;
        }
        let mut taken = self.places.lock();
        taken.all -= 1;
        if self.origin != ConnectionOrigin::Local {
            taken.remote -= 1;
        }
        if !self.has_authenticated() {
            taken.stop_waiting(self.peer, self.origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Opens connections from an address until one is refused.
    fn fill(places: &Arc<Places>, from: &str) -> Vec<Arc<ConnectionPlace>> {
        std::iter::from_fn(|| places.admit(address(from)))
            .take(100_000)
            .collect()
    }

    #[test]
    fn one_peer_cannot_take_the_places_of_others() {
        let places = Places::new(8192);
        let idle = fill(&places, "10.0.0.1");
        assert_eq!(idle.len(), 128);
        assert!(places.admit(address("10.0.0.2")).is_some());
        assert!(places.admit(address("127.0.0.1")).is_some());
        // All addresses of a /64 are one peer.
        let network = fill(&places, "2001:db8::1");
        assert_eq!(network.len(), 128);
        assert!(places.admit(address("2001:db8::ffff:2")).is_none());
        assert!(
            places.admit(address("::ffff:10.0.0.1")).is_none(),
            "the same peer"
        );
        drop(idle);
        assert!(
            places.admit(address("10.0.0.1")).is_some(),
            "places are free again"
        );
    }

    #[test]
    fn many_unknown_peers_leave_places_for_known_ones_and_for_this_machine() {
        let places = Places::new(8192);
        let agent = places.admit(address("10.9.9.9")).unwrap();
        agent.authenticate();
        agent.authenticate();
        drop(agent);
        let idle: Vec<_> = (0..20)
            .flat_map(|peer| fill(&places, &format!("10.0.1.{peer}")))
            .collect();
        assert_eq!(idle.len(), 1024);
        assert!(places.admit(address("10.0.2.1")).is_none());
        assert!(
            places.admit(address("10.9.9.9")).is_some(),
            "it has authenticated before"
        );
        assert!(places.admit(address("::1")).is_some());
    }

    #[test]
    fn of_this_machine_the_oldest_that_has_not_authenticated_makes_room() {
        let places = Places::new(64);
        let known = places.admit(address("127.0.0.1")).unwrap();
        known.authenticate();
        let idle: Vec<_> = (0..32)
            .map(|_| places.admit(address("127.0.0.1")).unwrap())
            .collect();
        let removed = |place: &Arc<ConnectionPlace>| place.is_removed(Waker::noop());
        assert!(!idle.iter().any(removed));
        let next: Vec<_> = (0..40)
            .map(|_| places.admit(address("::1")).unwrap())
            .collect();
        assert!(
            idle.iter().all(removed)
                && next[..8].iter().all(removed)
                && !next[8..].iter().any(removed)
                && !removed(&known)
        );
        next[0].authenticate();
        assert!(!next[0].has_authenticated(), "it is too late");
        next[9].authenticate();
        drop((idle, next, known));
        let taken = places.lock();
        assert_eq!((taken.all, taken.waiting), (0, [0; 3]));
    }

    #[test]
    fn those_who_authenticate_may_have_nearly_all_places() {
        let places = Places::new(768);
        let agents: Vec<_> = std::iter::from_fn(|| {
            let place = places.admit(address("10.0.0.1"))?;
            place.authenticate();
            Some(place)
        })
        .collect();
        assert_eq!(agents.len(), 768 - 48, "the rest is for this machine");
        assert!(places.admit(address("127.0.0.1")).is_some());
        assert_eq!(places.lock().waiting, [0; 3]);
        drop(agents);
        let taken = places.lock();
        assert_eq!((taken.all, taken.remote), (0, 0));
    }
}
