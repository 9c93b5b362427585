//! `ArchiveSweep`, `DeleteSweep`, `PruneSweep` and `GetDiskUsage`.

use std::fs;
use std::path::Path;

use sweep_lifecycle::command::{Command, Reply};
use sweep_proto::v1;
use tonic::Status;

use super::refusal::{from_engine, out_of_turn};
use super::{Services, limits};
use crate::store::{RunRange, word};

/// Runs that one command prunes: more would hold the writer for too long.
const RUNS_PER_COMMAND: usize = 200;
/// Commands of one call: it has to end within its deadline.
const COMMANDS_PER_CALL: u32 = 100;

impl Services {
    pub(super) async fn archive(
        &self,
        request: v1::ArchiveSweepRequest,
    ) -> Result<v1::ArchiveSweepResponse, Status> {
        let v1::ArchiveSweepRequest {
            sweep_id,
            archived,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        self.engine
            .command(&request_id, Command::ArchiveSweep { sweep, archived })
            .await
            .map_err(from_engine)?;
        Ok(v1::ArchiveSweepResponse {})
    }

    pub(super) async fn delete(
        &self,
        request: v1::DeleteSweepRequest,
    ) -> Result<v1::DeleteSweepResponse, Status> {
        let v1::DeleteSweepRequest {
            sweep_id,
            dry_run,
            request_id,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let command = Command::DeleteSweep {
            sweep: sweep.clone(),
        };
        if dry_run {
            self.engine.preview(command).await.map_err(from_engine)?;
        } else {
            self.engine
                .command(&request_id, command)
                .await
                .map_err(from_engine)?;
            tracing::info!(sweep = %sweep.0, "sweep deleted");
        }
        Ok(v1::DeleteSweepResponse { sweep_id: sweep.0 })
    }

    /// A repeat finds what the first call has pruned, and continues where that ended.
    pub(super) async fn prune(
        &self,
        request: v1::PruneSweepRequest,
    ) -> Result<v1::PruneSweepResponse, Status> {
        let v1::PruneSweepRequest {
            sweep_id,
            ended_before_ms,
            keep_best,
            dry_run,
            request_id,
            after,
        } = request;
        limits::stored("after", after)?;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let (mut pruned, mut after, mut next) = (0, after, 0);
        for round in 1.. {
            let id = sweep.clone();
            let limit = RUNS_PER_COMMAND;
            let range = RunRange { after, limit };
            let runs = self
                .read(move |query| query.ended_before(&id, ended_before_ms, range))
                .await?;
            let (is_last, last) = (runs.len() < RUNS_PER_COMMAND, runs.last().copied());
            let command = Command::PruneRuns {
                sweep: sweep.clone(),
                runs,
                keeps_best: keep_best,
            };
            let reply = if dry_run {
                self.engine.preview(command).await
            } else {
                self.engine.command("", command).await
            };
            let Reply::Pruned { runs } = reply.map_err(from_engine)? else {
                return Err(out_of_turn());
            };
            pruned += runs;
            match last {
                Some(last) if !is_last => after = last,
                _ => break,
            }
            if round == COMMANDS_PER_CALL {
                next = after;
                break;
            }
        }
        if !dry_run && pruned > 0 {
            tracing::info!(sweep = %sweep.0, runs = pruned, "curves and output deleted");
        }
        Ok(v1::PruneSweepResponse { runs: pruned, next })
    }

    pub(super) async fn disk_usage(&self) -> Result<v1::GetDiskUsageResponse, Status> {
        let data_dir = self.about.data_dir.clone();
        let code = data_dir.clone();
        let (usage, sweeps) = self
            .read(|query| Ok((query.disk_usage()?, query.sweeps()?)))
            .await?;
        let code_bytes = tokio::task::spawn_blocking(move || bytes_in(&code.join("code")))
            .await
            .unwrap_or(0);
        let database = |ending: &str| {
            fs::metadata(data_dir.join(format!("sweep.db{ending}"))).map_or(0, |about| about.len())
        };
        let mut by_sweep = usage.sweeps;
        let sweeps = sweeps.into_iter().map(|(row, counts)| {
            let used = by_sweep.remove(&row.id).unwrap_or_default();
            v1::SweepUsage {
                runs: counts.total(),
                sweep_id: row.id,
                name: row.name,
                state: word(row.state),
                archived: row.archived,
                event_bytes: used.events,
                curve_bytes: used.curves,
                output_bytes: used.output,
                row_bytes: used.rows,
            }
        });
        Ok(v1::GetDiskUsageResponse {
            sweeps: sweeps.collect(),
            data_dir: data_dir.display().to_string(),
            database_bytes: database("") + database("-wal"),
            free_bytes: usage.free,
            code_bytes,
            is_purging: usage.is_purging,
        })
    }
}

/// Returns how long the files in a folder are; of one that cannot be read, 0.
fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => bytes_in(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}
