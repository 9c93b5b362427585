//! How a reply is kept, so that a repeat of the request gets the same one.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sweep_lifecycle::command::{Command, Refusal, Reply};
use sweep_lifecycle::state::{AgentId, SweepId};

use super::{AcquireRequest, EngineError};
use crate::store::{StoreError, StoredReply};

/// Identifies the content of a request: [`DIGEST_VERSION`], then the first 24 bytes of SHA-256 over the request as MessagePack.
pub(super) type RequestDigest = [u8; 32];

/// How digests are made. Another version makes others: raise the last byte when a release changes the bytes of any command, so that a request
/// which is repeated across the upgrade still gets its reply.
const DIGEST_VERSION: [u8; 8] = *b"digest\0\x03";

/// Digests a command: two with the same id are the same request only if every part of them is equal.
pub(super) fn digest_command(command: &Command) -> RequestDigest {
    digest(command)
}

/// Digests the wish for a run; how long the caller would wait is no part of it.
pub(super) fn digest_acquire(wish: &AcquireRequest) -> RequestDigest {
    #[derive(Serialize)]
    struct Acquire<'a> {
        agent: &'a AgentId,
        sweep: &'a SweepId,
        code_version: &'a str,
    }
    let AcquireRequest {
        agent,
        sweep,
        code_version,
        wait: _,
    } = wish;
    digest(&Acquire {
        agent,
        sweep,
        code_version,
    })
}

/// MessagePack keeps every float as it is, NaN and infinities included.
fn digest(request: &impl Serialize) -> RequestDigest {
    let bytes = rmp_serde::to_vec_named(request)
        .expect("a request has no maps but those with strings as keys");
    let hash = Sha256::digest(bytes);
    let (version, content) = (DIGEST_VERSION.iter(), hash.iter());
    let mut digest = RequestDigest::default();
    digest
        .iter_mut()
        .zip(version.chain(content))
        .for_each(|(place, byte)| *place = *byte);
    digest
}

/// Returns whether two digests may be of the same request. One that another version of the program made cannot be compared: then the
/// request id alone counts.
fn may_be_equal(stored: &RequestDigest, digest: &RequestDigest) -> bool {
    !stored.starts_with(&DIGEST_VERSION) || stored == digest
}

/// Packs a reply or refusal to be stored.
pub(super) fn pack(
    request_id: &str,
    digest: RequestDigest,
    result: &Result<Reply, Refusal>,
) -> Result<StoredReply, StoreError> {
    let body = serde_json::to_string(result)
        .map_err(|error| StoreError::Failed(format!("a reply as JSON: {error}")))?;
    Ok(StoredReply {
        request_id: request_id.to_owned(),
        digest,
        body,
    })
}

/// Unpacks a stored reply for a repeat with this digest.
pub(super) fn unpack(
    stored: &StoredReply,
    digest: &RequestDigest,
) -> Result<Result<Reply, EngineError>, StoreError> {
    if !may_be_equal(&stored.digest, digest) {
        return Ok(Err(EngineError::Replayed(stored.request_id.clone())));
    }
    let result: Result<Reply, Refusal> = serde_json::from_str(&stored.body).map_err(|error| {
        StoreError::Failed(format!(
            "the reply to request {}: {error}",
            stored.request_id
        ))
    })?;
    Ok(result.map_err(EngineError::Refused))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use sweep_lifecycle::command::{AttemptResult, Import, SweepAction, TellOutcome};
    use sweep_lifecycle::event::MetricPoint;
    use sweep_lifecycle::spec;
    use sweep_lifecycle::state::{AttemptRef, Blame, Failure, FailureKind, Timestamp};
    use sweep_search::space::{Config, Path, Value};

    use super::*;

    fn digits(digest: RequestDigest) -> String {
        assert_eq!(digest[..8], DIGEST_VERSION);
        hex::encode(&digest[8..])
    }

    fn sweep() -> SweepId {
        SweepId("k3x9q2ab".to_owned())
    }

    fn finish(exit_code: i32) -> Command {
        let failure = Failure {
            exit_code: Some(exit_code),
            ..Failure::new(FailureKind::Crashed, Blame::Configuration, "exit status 1")
        };
        let attempt = AttemptRef {
            sweep: sweep(),
            run: 3,
            attempt: 2,
        };
        Command::FinishAttempt {
            agent: AgentId("ann".to_owned()),
            attempt,
            result: AttemptResult::Failed(failure),
        }
    }

    fn create(text: &str) -> Command {
        let spec = Box::new(spec::parse(text).0.unwrap());
        Command::CreateSweep {
            sweep: sweep(),
            spec,
            source: text.to_owned(),
            seed: 7,
        }
    }

    fn report(value: f64) -> Command {
        let attempt = AttemptRef {
            sweep: sweep(),
            run: 3,
            attempt: 2,
        };
        let points = vec![MetricPoint {
            name: "loss".to_owned(),
            step: None,
            wall: Timestamp(1),
            value,
        }];
        Command::ReportMetrics {
            agent: AgentId("ann".to_owned()),
            attempt,
            first_seq: 0,
            points,
        }
    }

    const FILE: &str = "program: train\nmethod: random\nparameters: {x: {min: 0, max: 1}}";

    /// A change of these digests makes requests that are repeated across an upgrade look like different ones. Before a release, put the new
    /// digests here; after one, raise `DIGEST_VERSION` too.
    #[test]
    fn digests_are_those_of_the_last_release() {
        let import = Import {
            place: 1,
            config: Config([(Path::flat("x"), Value::Float(0.5))].into()),
            told: TellOutcome::Value(f64::INFINITY),
            code_version: String::new(),
        };
        let wish = AcquireRequest {
            agent: AgentId("ann".to_owned()),
            sweep: sweep(),
            code_version: "c1".to_owned(),
            wait: Duration::from_secs(1),
        };
        let digests = [
            ("finish", digits(digest_command(&finish(1)))),
            ("create", digits(digest_command(&create(FILE)))),
            (
                "set",
                digits(digest_command(&Command::SetSweep {
                    sweep: sweep(),
                    action: SweepAction::Pause,
                })),
            ),
            (
                "import",
                digits(digest_command(&Command::ImportRuns {
                    sweep: sweep(),
                    runs: vec![import],
                })),
            ),
            ("acquire", digits(digest_acquire(&wish))),
        ];
        let expected = [
            ("finish", "fd7f4632c2fc41122e2fe3f1ba8385015d92de1a3b18ffd9"),
            ("create", "f52c0a7423556433792ddb3e39014fa35cae9af539e5fa75"),
            ("set", "5dfd3c4623b90b4904cf1f24f2a850726e28d4830673b59d"),
            ("import", "b3c179a867b2b1ef2aa7119fcb4c6bdcfaebef856cd58022"),
            (
                "acquire",
                "ba6242ec72d1003ba0f2b2e7869996b1bdfc4402024c7a68",
            ),
        ];
        assert_eq!(
            BTreeMap::from(digests),
            BTreeMap::from(expected.map(|(name, hex)| (name, hex.to_owned())))
        );
    }

    #[test]
    fn every_part_of_a_request_counts() {
        assert_ne!(digest_command(&finish(1)), digest_command(&finish(2)));
        assert_ne!(
            digest_command(&create(FILE)),
            digest_command(&create(&FILE.replace("max: 1", "max: 2")))
        );
        let values = [
            0.0,
            -0.0,
            1.0,
            1.0 + f64::EPSILON,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ];
        let digests: std::collections::BTreeSet<_> =
            values.map(|value| digest_command(&report(value))).into();
        assert_eq!(digests.len(), values.len());
        let mut named = create(FILE);
        if let Command::CreateSweep { spec, .. } = &mut named {
            spec.name = Some("beside the file".to_owned());
        }
        assert_ne!(digest_command(&named), digest_command(&create(FILE)));
    }

    #[test]
    fn a_digest_of_an_earlier_version_matches_by_the_request_id_alone() {
        let digest = digest_command(&finish(1));
        assert!(may_be_equal(&[5; 32], &digest));
        assert!(may_be_equal(&digest, &digest));
        assert!(!may_be_equal(&digest_command(&finish(2)), &digest));
    }
}
