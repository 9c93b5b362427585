//! Which code the agent has: looked at before each run, told to the controller, and to a person where it has changed.

use std::sync::Arc;
use std::time::Duration;

use sweep_proto::v1;

use super::{Session, chance};
use crate::Notice;
use crate::capture::Snapshot;

/// How old a look may be that a run begins with: what a slot has seen when it asked for the run, or another slot just now.
pub(super) const CODE_AGE_MAX: Duration = Duration::from_millis(250);

impl Session {
    /// Returns the version of the code that a program would execute now; empty where it cannot be told.
    pub(super) async fn code_version(&self) -> String {
        let Some(capture) = &self.capture else { return String::new() };
        let look = capture.look(CODE_AGE_MAX).await;
        if let Some(complaint) = look.complaint {
            self.link.notice(Notice::Note(format!("runs are reported without the version of their code: {complaint}")));
        }
        let Some(snapshot) = look.snapshot else { return String::new() };
        if let Some(before) = look.instead_of {
            let news = if before.is_empty() { "code" } else { "the code has changed" };
            self.link.notice(Notice::Note(format!("{news}: {}", words(&snapshot))));
            for note in &snapshot.notes {
                self.link.notice(Notice::Note(note.clone()));
            }
            self.describe(&snapshot);
        }
        snapshot.version.clone()
    }

    /// Tells the controller, which may be away, what is known of a version.
    fn describe(&self, snapshot: &Snapshot) {
        let Snapshot { version, commit, subject, branch, remote, changed: (files, lines_added, lines_removed), notes } = snapshot.clone();
        let code = v1::Code { version, commit, subject, branch, remote, files, lines_added, lines_removed, notes };
        let request = v1::DescribeCodeRequest {
            agent_id: self.agent.clone(),
            sweep_id: self.sweep.clone(),
            code: Some(code),
            request_id: chance::id(),
        };
        let link = Arc::clone(&self.link);
        let told = tokio::spawn(async move {
            if let Err(status) = link.until_answered(async |mut client| client.describe_code(request.clone()).await).await {
                tracing::debug!(%status, "the controller was not told of the code");
            }
        });
        self.book().late.push(told.abort_handle());
    }
}

/// Says what a version is, for a person.
fn words(snapshot: &Snapshot) -> String {
    let short = |hash: &str| hash.chars().take(8).collect::<String>();
    let (files, added, removed) = snapshot.changed;
    let plural = if files == 1 { "" } else { "s" };
    let place = match (snapshot.branch.as_str(), snapshot.commit.as_str()) {
        (_, "") => "not committed".to_owned(),
        ("", commit) => format!("commit {}", short(commit)),
        (branch, commit) => format!("{branch} at {}", short(commit)),
    };
    let changes = match (snapshot.commit.is_empty(), files) {
        (true, _) | (false, 0) => String::new(),
        _ => format!(" and {files} uncommitted file{plural} (+{added} -{removed})"),
    };
    format!("version {}, {place}{changes}", short(&snapshot.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_told_in_words() {
        let version = "0123456789abcdef".to_owned();
        let nowhere = Snapshot { version: version.clone(), ..Snapshot::default() };
        assert_eq!(words(&nowhere), "version 01234567, not committed");
        let clean = Snapshot { version, commit: "fedcba9876543210".to_owned(), branch: "main".to_owned(), ..Snapshot::default() };
        assert_eq!(words(&clean), "version 01234567, main at fedcba98");
        let dirty = Snapshot { branch: String::new(), changed: (1, 10, 2), ..clean };
        assert_eq!(words(&dirty), "version 01234567, commit fedcba98 and 1 uncommitted file (+10 -2)");
    }
}
