//! Sends the output of an attempt to the controller.

use std::io::{Read, Seek, SeekFrom};

use sweep_proto::v1;
use tokio::sync::watch;

use super::super::answer::ControllerRefusal;
use super::super::link::Client;
use super::{Begun, REPORT_EVERY, Report, closed};
use crate::held::AttemptNumbers;
use crate::job::Job;
use crate::private::{self, Obstruction};

/// How much output goes into one call, and how much of an attempt's output is sent at all.
const LOG_PIECE_BYTES: u64 = 256 << 10;
const LOG_BYTES_MAX: u64 = 10 << 20;
/// How much of the end of a longer output is sent once the attempt has ended: a traceback is there.
const LOG_TAIL_BYTES: u64 = 1 << 20;

/// The piece of the output that is sent next.
#[derive(Clone, Copy, Debug)]
struct NextPiece {
    offset: u64,
    /// Nothing from here on is sent.
    limit: u64,
}

impl NextPiece {
    const FIRST: Self = Self {
        offset: 0,
        limit: LOG_BYTES_MAX,
    };
}

impl Report {
    /// Sends output as it grows, and the end of a long one, until `running` ends. Lost output does
    /// no harm: the folder has the whole.
    pub(super) async fn ship_output(&self, mut running: watch::Receiver<Option<Begun>>) {
        let mut next = NextPiece::FIRST;
        let mut ended = false;
        let mut generation = self.link.generation();
        loop {
            // An attempt that has lost its run is told so elsewhere, too.
            let _ = self.start_again().await;
            let Some(data) = self.read_piece(next) else {
                return;
            };
            let length = data.len() as u64;
            if length > 0 {
                if let Err(refused) = self.send_piece(next.offset, data).await {
                    tracing::warn!(
                        reason = refused.message,
                        "the controller does not take the output"
                    );
                    return;
                }
                next.offset += length;
                // A controller that was restored lacks some of it; what it has it ignores.
                if std::mem::replace(&mut generation, self.link.generation())
                    != self.link.generation()
                {
                    next = NextPiece::FIRST;
                    continue;
                }
            }
            let is_long = next.offset == LOG_BYTES_MAX && next.limit == LOG_BYTES_MAX;
            if is_long && ended {
                next = self.tail(next.offset);
                continue;
            }
            if length == LOG_PIECE_BYTES && !is_long {
                continue;
            }
            if ended {
                return;
            }
            // A sender that is gone ends the wait at once: the attempt has ended, and one more look
            // finds its last words.
            ended = tokio::time::timeout(REPORT_EVERY, closed(&mut running))
                .await
                .is_ok();
        }
    }

    /// Reads a piece of the output. `None` where it cannot be read, which is reported here.
    fn read_piece(&self, next: NextPiece) -> Option<Vec<u8>> {
        match read_piece(&self.job, next) {
            Ok(data) => Some(data),
            Err(error) if Obstruction::of(&error).is_some() => {
                self.note(&format!(
                    "its output is not sent to the controller any more: {error}"
                ));
                None
            }
            Err(error) => {
                tracing::warn!(%error, output = %self.job.output().display(), "output cannot be read back for the controller");
                None
            }
        }
    }

    async fn send_piece(&self, offset: u64, data: Vec<u8>) -> Result<(), ControllerRefusal> {
        let request = v1::AppendLogRequest {
            agent_id: self.job.agent.clone(),
            sweep_id: self.job.sweep.clone(),
            offset,
            data,
            incarnation: self.job.incarnation.clone(),
            ..v1::AppendLogRequest::default()
        };
        let call = async |mut client: Client| {
            let AttemptNumbers { run, attempt } = self.numbers();
            client
                .append_log(v1::AppendLogRequest {
                    run,
                    attempt,
                    ..request.clone()
                })
                .await
        };
        self.link.until_answered(call).await.map(drop)
    }

    /// Returns the first piece of the end of a long output, behind the `sent` bytes.
    fn tail(&self, sent: u64) -> NextPiece {
        let end = std::fs::metadata(self.job.output()).map_or(sent, |output| output.len());
        let mut offset = sent;
        if end > sent + LOG_TAIL_BYTES {
            offset = end - LOG_TAIL_BYTES;
            let (head, tail, path) = (LOG_BYTES_MAX >> 20, LOG_TAIL_BYTES >> 20, self.job.output());
            let kept = format!("the controller has the first {head} MiB and the last {tail} MiB");
            self.note(&format!(
                "its output is longer than {head} MiB: {kept}; the whole is in {}",
                path.display()
            ));
        }
        NextPiece {
            offset,
            limit: u64::MAX,
        }
    }
}

/// Reads a small piece of a file that was written a moment ago, which waits for no disk.
fn read_piece(job: &Job, next: NextPiece) -> std::io::Result<Vec<u8>> {
    let mut file = private::open(&job.output())?;
    file.seek(SeekFrom::Start(next.offset))?;
    let mut data = Vec::new();
    file.take(LOG_PIECE_BYTES.min(next.limit - next.offset))
        .read_to_end(&mut data)?;
    Ok(data)
}
