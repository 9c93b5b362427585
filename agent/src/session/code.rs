//! The agent's code version: checked before each run, reported to the controller, and to the user
//! when it changes.

use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sweep_code::{CodeError, RunningAttempt, Snapshot, Source, Turn};
use sweep_proto::v1;
use sweep_proto::v1::push_code_request::Part;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::chance;
use super::link::Link;
use super::sending::{Sending, Telling};
use super::state::Session;
use crate::capture::code_message;
use crate::job::Job;
use crate::{Interrupt, Notice};

/// How old a look may be that a run is asked for and made ready with: what another slot has seen
/// just now. The one that counts comes once it has begun.
pub(super) const CODE_AGE_MAX: Duration = Duration::from_millis(250);

/// How long an agent that leaves waits for code to be sent.
const SENDING_TIME_MAX: Duration = Duration::from_secs(30);
/// Versions that wait to be told; there are hardly ever two.
const QUEUE_MAX: usize = 64;
/// Outputs that are named at once.
const OUTPUTS_NAMED: usize = 10;
/// Of a bundle, in one message.
const CHUNK_BYTES: usize = 256 << 10;

impl Session {
    /// Returns the version of the code that a program would execute now, or would have `max_age`
    /// ago; empty where it cannot be told.
    pub(super) async fn code_version(&self, max_age: Duration) -> String {
        let Some(capture) = self
            .capture
            .as_ref()
            .filter(|_| !self.pinned.load(Ordering::Relaxed))
        else {
            return String::new();
        };
        let look = capture.look(max_age).await;
        if let Some(complaint) = look.complaint {
            self.link.notice(Notice::Note(format!(
                "runs are reported without the version of their code: {complaint}"
            )));
        }
        let Some(snapshot) = look.snapshot else {
            return String::new();
        };
        if let Some(before) = &look.instead_of {
            let news = if before.is_empty() {
                "code"
            } else {
                "the code has changed"
            };
            self.link
                .notice(Notice::Note(format!("{news}: {}", words(&snapshot))));
            for note in &snapshot.notes {
                self.link.notice(Notice::Note(note.clone()));
            }
        }
        if !look.outputs.is_empty() {
            self.link.notice(Notice::Note(outputs(&look.outputs)));
        }
        if look.instead_of.is_some() || !look.outputs.is_empty() {
            self.describe(&snapshot, look.source);
        }
        snapshot.version.clone()
    }

    /// Records that an attempt begins in the working folder; see
    /// [`Capture::begin_attempt`](crate::capture::Capture::begin_attempt).
    pub(super) async fn begin_in_folder(&self) -> Option<RunningAttempt> {
        let capture = self
            .capture
            .as_ref()
            .filter(|_| !self.pinned.load(Ordering::Relaxed))?;
        capture.begin_attempt().await
    }

    /// Captures the folder once more, so that files that programs have written count as output, and
    /// later ones of the user as code.
    pub(super) async fn look_at_outputs(&self) {
        self.code_version(Duration::ZERO).await;
    }

    /// Returns the version that a program executes which was started at a `moment`: it may have
    /// changed since it was looked at for the job. What changes later is another run's.
    pub(super) async fn code_executed(&self, job: &Job, moment: Option<Duration>) -> String {
        let before = &job.code_version;
        let (Some(capture), Some(moment), false) = (&self.capture, moment, before.is_empty())
        else {
            return before.clone();
        };
        let after = self.code_version(Duration::ZERO).await;
        if after.is_empty() || after == *before {
            return before.clone();
        }
        match capture.turn(before, &after, moment).await {
            Ok(Turn::Since) => return before.clone(),
            Ok(Turn::Before) => {}
            Ok(Turn::Both) => self.link.notice(Notice::Note(format!(
                "run {} attempt {}: its code was changed before and after it began, so that version {after:.8} may be incomplete",
                job.run, job.attempt
            ))),
            Err(error) => {
                tracing::warn!(%error, "it cannot be told which code was executed, and the later one is taken");
            }
        }
        // For an agent that comes later. It would only say the version before.
        let corrected = Job {
            code_version: after.clone(),
            ..job.clone()
        };
        if let Err(error) = corrected.write() {
            tracing::warn!(%error, "the code version of an attempt is not written down");
        }
        after
    }

    /// Describes a version to the controller, which may be away, and sends the code if the
    /// controller wants it.
    fn describe(&self, snapshot: &Snapshot, source: Option<Source>) {
        let version = &snapshot.version;
        let request = v1::DescribeCodeRequest {
            agent_id: self.agent.clone(),
            sweep_id: self.sweep.clone(),
            code: Some(code_message(snapshot)),
            request_id: chance::request_id(),
        };
        let mut book = self.book();
        let Sending { queue, worker } = &mut book.sending;
        let queue = queue.get_or_insert_with(|| {
            let (queue, waiting) = mpsc::channel(QUEUE_MAX);
            worker.spawn(tell(
                Arc::clone(&self.link),
                Arc::clone(&self.others_told),
                waiting,
            ));
            queue
        });
        if queue.try_send(Telling { request, source }).is_err() {
            tracing::warn!(
                version,
                "{QUEUE_MAX} versions of the code wait for the controller; this one is not told"
            );
        }
    }
}

/// Tells the controller of versions, and sends those that it wants.
async fn tell(link: Arc<Link>, others_told: Arc<AtomicBool>, mut waiting: mpsc::Receiver<Telling>) {
    let mut complained = false;
    while let Some(Telling { request, source }) = waiting.recv().await {
        let answer = match link
            .until_answered_somehow(async |mut client| client.describe_code(request.clone()).await)
            .await
        {
            Ok(answer) => answer,
            Err(refused) => {
                tracing::debug!(
                    reason = refused.message,
                    "the controller was not told of the code"
                );
                continue;
            }
        };
        // Once: where programs change their own code, agents differ again and again.
        if !answer.others.is_empty() && !others_told.swap(true, Ordering::Relaxed) {
            link.notice(Notice::Note(format!(
                "other agents work with other code at the same time: {}",
                answer.others.join("; ")
            )));
        }
        let version = request.code.map(|code| code.version).unwrap_or_default();
        if let Some(source) = source.filter(|_| answer.wanted)
            && let Err(complaint) =
                push(&link, &request.sweep_id, &version, &source, answer.have).await
        {
            // What is wrong with one is mostly wrong with the next one.
            if std::mem::replace(&mut complained, true) {
                tracing::warn!(complaint, "code is not sent");
            } else {
                link.notice(Notice::Note(complaint));
            }
        }
    }
}

/// Waits for code that is on its way, for a while: without it runs cannot be reproduced elsewhere.
pub(super) async fn finish_sending(session: &Session, why: Option<Interrupt>) {
    let patience = match why {
        None | Some(Interrupt::PassOn(_) | Interrupt::Drain) => SENDING_TIME_MAX,
        Some(Interrupt::Preempt | Interrupt::Stop) => SENDING_TIME_MAX / 10,
        Some(Interrupt::Kill) => Duration::ZERO,
    };
    let Sending { queue, mut worker } = std::mem::take(&mut session.book().sending);
    drop(queue);
    let all = async { while worker.join_next().await.is_some() {} };
    if tokio::time::timeout(patience, all).await.is_err() {
        session.link.notice(Notice::Note(
            "the code could not be sent to the controller before the agent leaves".to_owned(),
        ));
    }
}

/// Sends the code of a version. Runs continue without it, but cannot be reproduced elsewhere.
///
/// # Errors
/// It cannot be packed, or the controller rejects it: a note to the user.
async fn push(
    link: &Arc<Link>,
    sweep: &str,
    version: &str,
    source: &Source,
    have: Vec<String>,
) -> Result<(), String> {
    let (from, name) = (source.clone(), version.to_owned());
    let packed = tokio::task::spawn_blocking(move || {
        let file = from.file()?;
        from.bundle(&name, &have, &file)?;
        Ok::<_, CodeError>(file)
    });
    let file = match packed.await {
        Ok(Ok(file)) => file,
        Ok(Err(error)) => {
            return Err(format!(
                "the code of version {version:.8} cannot be sent: {error}"
            ));
        }
        Err(error) => {
            return Err(format!(
                "packing the code of version {version:.8} broke off: {error}"
            ));
        }
    };
    let mut header = v1::PushCodeHeader {
        sweep_id: sweep.to_owned(),
        version: version.to_owned(),
        upload_id: chance::request_id(),
        offset: 0,
    };
    let sent = loop {
        match link
            .until_answered_somehow(async |mut client| {
                client.push_code(parts(header.clone(), &file)).await
            })
            .await
        {
            // A call before this one was interrupted, and this is how far it came.
            Ok(v1::PushCodeResponse {
                continue_at: Some(offset),
            }) => header.offset = offset,
            Ok(_) => break Ok(()),
            Err(refused) => break Err(refused),
        }
    };
    let _ = tokio::fs::remove_file(&file).await;
    sent.map_err(|refused| {
        format!(
            "the controller does not keep the code of version {version:.8}: {}",
            refused.message
        )
    })
}

/// The header and the pieces of a bundle, from the header's offset on.
fn parts(header: v1::PushCodeHeader, file: &Path) -> ReceiverStream<v1::PushCodeRequest> {
    let (sender, receiver) = mpsc::channel(2);
    let (file, offset) = (file.to_owned(), header.offset);
    tokio::spawn(async move {
        let _ = sender
            .send(v1::PushCodeRequest {
                part: Some(Part::Header(header)),
            })
            .await;
        let Ok(mut bundle) = tokio::fs::File::open(file).await else {
            return;
        };
        if bundle.seek(SeekFrom::Start(offset)).await.is_err() {
            return;
        }
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            // A bundle that ends early is refused over there.
            match (&mut bundle)
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut chunk)
                .await
            {
                Ok(read) if read > 0 => {
                    let part = Part::Chunk(chunk);
                    if sender
                        .send(v1::PushCodeRequest { part: Some(part) })
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
                _ => return,
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// Names outputs of programs, for the user.
fn outputs(names: &[String]) -> String {
    let more = match names.len().saturating_sub(OUTPUTS_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more (`sweep code` lists them)"),
    };
    format!(
        "outputs of programs, not part of the code version: {}{more}; `git add`, a line `!PATH` in .sweepignore or `code: {{include: [PATH]}}` in the sweep \
         file keeps a file that is code",
        names[..names.len().min(OUTPUTS_NAMED)].join(", ")
    )
}

/// Describes a version, for the user.
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
        let nowhere = Snapshot {
            version: version.clone(),
            ..Snapshot::default()
        };
        assert_eq!(words(&nowhere), "version 01234567, not committed");
        let clean = Snapshot {
            version,
            commit: "fedcba9876543210".to_owned(),
            branch: "main".to_owned(),
            ..Snapshot::default()
        };
        assert_eq!(words(&clean), "version 01234567, main at fedcba98");
        let dirty = Snapshot {
            branch: String::new(),
            changed: (1, 10, 2),
            ..clean
        };
        assert_eq!(
            words(&dirty),
            "version 01234567, commit fedcba98 and 1 uncommitted file (+10 -2)"
        );
    }
}
