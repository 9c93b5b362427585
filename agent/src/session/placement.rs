//! Where the attempt of an assignment is executed.

use serde_json::{Map, Value};
use sweep_proto::v1;

use super::state::Session;
use crate::folders::{self, Claim};
use crate::held::HeldAttempt;
use crate::{AgentError, Notice};

/// Where an attempt is executed, and with what.
pub(super) struct AttemptPlacement {
    /// Its name among the attempts that the agent holds.
    pub(super) held: HeldAttempt,
    /// The names of its run's folder and of the attempt's folder.
    pub(super) folders: (String, String),
    /// Its configuration.
    pub(super) params: Map<String, Value>,
}

/// Names an attempt whose folder does not matter.
pub(super) fn named(assignment: &v1::Assignment) -> HeldAttempt {
    let v1::Assignment {
        run,
        attempt,
        incarnation,
        ..
    } = assignment;
    HeldAttempt {
        run: *run,
        attempt: *attempt,
        incarnation: incarnation.clone(),
        ..HeldAttempt::default()
    }
}

/// Chooses the folders of an attempt.
///
/// # Errors
/// The assignment is invalid, or a folder cannot be read or moved.
pub(super) fn place(
    session: &Session,
    assignment: &v1::Assignment,
) -> Result<AttemptPlacement, AgentError> {
    let v1::Assignment {
        sweep_id: sweep,
        run,
        attempt,
        incarnation,
        params_json,
        ..
    } = assignment;
    let is_name = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !text.contains("..")
    };
    if sweep.is_empty() || !is_name(sweep) || !is_name(incarnation) {
        return Err(AgentError::Refused(format!(
            "the controller sent a sweep id or incarnation that is none: {sweep:?}, {incarnation:?}"
        )));
    }
    let Ok(Value::Object(params)) = serde_json::from_str(params_json) else {
        return Err(AgentError::Refused(format!(
            "the controller sent parameters of run {run} that are no JSON object"
        )));
    };
    let folder = session.options.runs_dir.join(sweep);
    let claim = Claim {
        run: *run,
        attempt: *attempt,
        incarnation,
        params: &params,
    };
    let used: Vec<_> = session
        .link
        .holdings()
        .listed()
        .into_iter()
        .map(|held| held.folder)
        .collect();
    let note = |text| session.link.notice(Notice::Note(text));
    let chosen = folders::choose(
        &folder,
        &claim,
        &|path| used.iter().any(|folder| folder == path),
        &note,
    );
    let folders = chosen.map_err(|source| AgentError::File {
        path: folder.clone(),
        source,
    })?;
    let held = HeldAttempt {
        folder: folder.join(&folders.0).join(&folders.1),
        ..named(assignment)
    };
    Ok(AttemptPlacement {
        held,
        folders,
        params,
    })
}
