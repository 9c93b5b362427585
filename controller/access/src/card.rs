//! The card of a data directory: which controller serves it.

use std::fs::{self, File, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

/// The name of the card in the data directory.
pub const CARD_FILE: &str = "controller.json";
/// The name of the file that a controller locks while it has the data directory.
pub const LOCK_FILE: &str = "lock";

/// `<data_dir>/controller.json`: which controller serves; missing while none does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its version.
    pub version: String,
    /// When it started: milliseconds since 1970.
    pub started_ms: i64,
}

/// Returns the card of the controller that serves a data directory of this user; `None`: none does.
pub fn card(data_dir: &Path) -> Option<Card> {
    // Without the lock it is the card of a controller that was killed, and another user's program may have its port.
    let is_own = fs::metadata(data_dir).is_ok_and(|found| found.uid() == geteuid().as_raw());
    if !is_own || !is_held(data_dir) {
        return None;
    }
    serde_json::from_slice(&fs::read(data_dir.join(CARD_FILE)).ok()?).ok()
}

/// Returns whether a controller has a data directory.
fn is_held(path: &Path) -> bool {
    File::open(path.join(LOCK_FILE))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
