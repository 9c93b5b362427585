//! How a reply is kept, so that a repeat of the request gets the same one.

use sha2::{Digest, Sha256};
use sweep_lifecycle::command::{Command, Refusal, Reply};

use super::{EngineError, Wish};
use crate::store::{StoreError, StoredReply};

/// What makes two requests the same.
pub(super) type RequestDigest = [u8; 32];

/// Digests a command: two with the same id are the same request only if every part of them is equal.
pub(super) fn digest_command(command: &Command) -> RequestDigest {
    Sha256::digest(format!("{command:?}")).into()
}

/// Digests the wish for a run; how long the caller would wait is no part of it.
pub(super) fn digest_acquire(wish: &Wish) -> RequestDigest {
    let Wish { agent, sweep, code_version, wait: _ } = wish;
    Sha256::digest(format!("acquire {agent:?} {sweep:?} {code_version:?}")).into()
}

/// Packs a reply or refusal to be stored.
pub(super) fn pack(request_id: &str, digest: RequestDigest, result: &Result<Reply, Refusal>) -> Result<StoredReply, StoreError> {
    let body = serde_json::to_string(result).map_err(|error| StoreError::Failed(format!("a reply as JSON: {error}")))?;
    Ok(StoredReply { request_id: request_id.to_owned(), digest, body })
}

/// Unpacks a stored reply for a repeat with this digest.
pub(super) fn unpack(stored: &StoredReply, digest: &RequestDigest) -> Result<Result<Reply, EngineError>, StoreError> {
    if stored.digest != *digest {
        return Ok(Err(EngineError::Replayed(stored.request_id.clone())));
    }
    let result: Result<Reply, Refusal> = serde_json::from_str(&stored.body)
        .map_err(|error| StoreError::Failed(format!("the reply to request {}: {error}", stored.request_id)))?;
    Ok(result.map_err(EngineError::Refused))
}
