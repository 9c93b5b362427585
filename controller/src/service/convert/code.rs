//! Versions of the code.

use sweep_code::Changes;
use sweep_lifecycle::state::{CodeAbout, CodeMark, CodeVersion};
use sweep_proto::v1;
use tonic::Status;

use super::super::limits;
use super::super::refusal::invalid;
use crate::store::CodeCounts;

/// How many notes a version may have.
const NOTES_MAX: usize = 20;
/// How many outputs are named beside a version.
const OUTPUTS_MAX: usize = 50;

/// An agent's description of its code, checked against the limits. The patch travels separately.
pub(in crate::service) fn code(code: Option<v1::Code>) -> Result<(String, CodeAbout), Status> {
    let v1::Code {
        version,
        commit,
        subject,
        branch,
        remote,
        files,
        lines_added,
        lines_removed,
        notes,
        prefix,
        patch: _,
        outputs,
    } = code.ok_or_else(|| invalid("code is missing"))?;
    limits::name("code.version", &version)?;
    limits::optional_name("code.commit", &commit)?;
    limits::optional_name("code.prefix", &prefix)?;
    let line = |text: &str| limits::line(text);
    let notes = notes
        .iter()
        .take(NOTES_MAX)
        .map(|note| line(note))
        .collect();
    let outputs = outputs
        .iter()
        .take(OUTPUTS_MAX)
        .map(|output| line(output))
        .collect();
    for (field, number) in [
        ("code.files", files),
        ("code.lines_added", lines_added),
        ("code.lines_removed", lines_removed),
    ] {
        limits::stored(field, number)?;
    }
    let (subject, branch, remote) = (line(&subject), line(&branch), line(&remote));
    Ok((
        version,
        CodeAbout {
            commit,
            subject,
            branch,
            remote,
            files,
            added: lines_added,
            removed: lines_removed,
            notes,
            prefix,
            outputs,
        },
    ))
}

/// Facts about a version that are not in the sweep.
pub(in crate::service) struct VersionFacts<'a> {
    /// There is a snapshot of it.
    pub(in crate::service) kept: bool,
    /// It is kept how it differs from its commit.
    pub(in crate::service) has_patch: bool,
    /// The sweep is pinned to it.
    pub(in crate::service) pinned: bool,
    /// How it differs from the one before.
    pub(in crate::service) changes: Option<Changes>,
    /// All versions of the sweep.
    pub(in crate::service) names: &'a [String],
}

fn described(version: String, about: CodeAbout) -> v1::Code {
    v1::Code {
        version,
        commit: about.commit,
        subject: about.subject,
        branch: about.branch,
        remote: about.remote,
        files: about.files,
        lines_added: about.added,
        lines_removed: about.removed,
        notes: about.notes,
        prefix: about.prefix,
        patch: String::new(),
        outputs: about.outputs,
    }
}

/// Converts a code version to its wire form. `agents` are those that have it.
pub(in crate::service) fn code_version(
    number: u32,
    version: CodeVersion,
    host: String,
    counts: &CodeCounts,
    agents: Vec<String>,
    known: &VersionFacts<'_>,
) -> v1::CodeVersion {
    let CodeVersion {
        version,
        about,
        agent,
        since,
        mark,
    } = version;
    let same_as = match &mark {
        Some(CodeMark::SameAs(other)) => known
            .names
            .iter()
            .position(|name| name == other)
            .map_or(0, |index| index + 1),
        _ => 0,
    };
    let changes = |Changes {
                       files,
                       added,
                       removed,
                   }| v1::CodeChanges {
        files,
        lines_added: added,
        lines_removed: removed,
    };
    let code = described(version, about);
    v1::CodeVersion {
        code: Some(code),
        number,
        since_ms: since.0,
        agent_id: agent.map(|agent| agent.0).unwrap_or_default(),
        host,
        runs: counts.runs,
        running: counts.running,
        finished: counts.finished,
        failed: counts.failed,
        best_run: counts.best.map(|(run, _)| run),
        best_value: counts.best.map(|(_, value)| value),
        agents,
        kept: known.kept,
        pinned: known.pinned,
        same_as: u32::try_from(same_as).unwrap_or(u32::MAX),
        unusable: mark == Some(CodeMark::Unusable),
        changes: known.changes.map(changes),
        has_patch: known.has_patch,
    }
}
