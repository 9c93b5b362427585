//! `SweepService`: what people and their programs ask.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use sweep_lifecycle::command::{AnnotationPatch, Command, Reply};
use sweep_lifecycle::spec::{self, CodeMode, Diagnostic, Severity, SweepSpec};
use sweep_lifecycle::state::{AgentId, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::sweep_service_server::SweepService;
use tonic::{Request, Response, Status, Streaming};

use super::follow::{self, Follow};
use super::pages::{self, Pages};
use super::refusal::{from_engine, invalid, out_of_turn, unknown_run, unknown_sweep};
use super::{Services, convert, limits};
use crate::early_stop_note::early_stop_note;
use crate::login;

const ID_CHARACTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 8;
/// Bytes of a sweep file that is read faster than a thread is found for it.
const QUICK_FILE_MAX: usize = 2048;

#[tonic::async_trait]
impl SweepService for Services {
    type ListRunsStream = Pages<v1::ListRunsResponse>;
    type GetMetricsStream = Pages<v1::GetMetricsResponse>;
    type GetLogsStream = Follow<v1::GetLogsResponse>;
    type WatchSweepStream = Follow<v1::WatchSweepResponse>;

    async fn create_sweep(
        &self,
        request: Request<v1::CreateSweepRequest>,
    ) -> Result<Response<v1::CreateSweepResponse>, Status> {
        let v1::CreateSweepRequest {
            yaml,
            request_id,
            name,
            code,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::optional_name("name", &name)?;
        let (mut spec, warnings) = parse(&yaml).await?;
        if !name.is_empty() {
            spec.name = Some(name);
        }
        let (sweep, drawn) = draw(&request_id)?;
        let seed = spec.seed.unwrap_or(drawn);
        let (id, spec, source) = (sweep.clone(), Box::new(spec), yaml);
        let command = if spec.code.mode == CodeMode::Pin && code.is_some() {
            Command::CreatePinnedSweep {
                sweep: id,
                spec,
                source,
                seed,
                code: self.staged(code).await?,
            }
        } else {
            Command::CreateSweep {
                sweep: id,
                spec,
                source,
                seed,
            }
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        tracing::info!(sweep = %sweep.0, "sweep created");
        let warnings = warnings.into_iter().map(convert::diagnostic).collect();
        Ok(Response::new(v1::CreateSweepResponse {
            sweep_id: sweep.0,
            warnings,
        }))
    }

    async fn ask(
        &self,
        request: Request<v1::AskRequest>,
    ) -> Result<Response<v1::AskResponse>, Status> {
        self.ask_run(request.into_inner()).await.map(Response::new)
    }

    async fn tell(
        &self,
        request: Request<v1::TellRequest>,
    ) -> Result<Response<v1::TellResponse>, Status> {
        self.tell_run(request.into_inner()).await.map(Response::new)
    }

    async fn import_runs(
        &self,
        request: Request<v1::ImportRunsRequest>,
    ) -> Result<Response<v1::ImportRunsResponse>, Status> {
        self.take_in(request.into_inner()).await.map(Response::new)
    }

    async fn offer_runs(
        &self,
        request: Request<v1::OfferRunsRequest>,
    ) -> Result<Response<v1::OfferRunsResponse>, Status> {
        self.queue_offered(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn analyze_sweep(
        &self,
        request: Request<v1::AnalyzeSweepRequest>,
    ) -> Result<Response<v1::AnalyzeSweepResponse>, Status> {
        self.analyze(request.into_inner()).await.map(Response::new)
    }

    async fn slice_sweep(
        &self,
        request: Request<v1::SliceSweepRequest>,
    ) -> Result<Response<v1::SliceSweepResponse>, Status> {
        self.cut(request.into_inner()).await.map(Response::new)
    }

    async fn list_sweeps(
        &self,
        request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        let v1::ListSweepsRequest { include_archived } = request.into_inner();
        let mut sweeps = self.read(|query| query.sweeps()).await?;
        sweeps.retain(|(row, _)| include_archived || !row.archived);
        let brief = |(row, counts)| v1::Sweep {
            yaml: String::new(),
            ..convert::sweep(row, &counts)
        };
        Ok(Response::new(v1::ListSweepsResponse {
            sweeps: sweeps.into_iter().map(brief).collect(),
        }))
    }

    async fn get_sweep(
        &self,
        request: Request<v1::GetSweepRequest>,
    ) -> Result<Response<v1::GetSweepResponse>, Status> {
        let sweep = self.find_sweep(&request.into_inner().sweep_id).await?;
        let id = sweep.clone();
        let found = self.read(move |query| {
            let Some((row, counts)) = query.sweep(&id)? else {
                return Ok(None);
            };
            let note = early_stop_note(query, &row)?;
            Ok(Some((row, counts, note)))
        });
        let (row, counts, early_stop_note) = found.await?.ok_or_else(|| unknown_sweep(&sweep.0))?;
        let unread = if counts.best.is_none() {
            self.unread.of(&sweep)
        } else {
            String::new()
        };
        Ok(Response::new(v1::GetSweepResponse {
            sweep: Some(v1::Sweep {
                unread,
                early_stop_note,
                ..convert::sweep(row, &counts)
            }),
        }))
    }

    async fn set_sweep_state(
        &self,
        request: Request<v1::SetSweepStateRequest>,
    ) -> Result<Response<v1::SetSweepStateResponse>, Status> {
        let v1::SetSweepStateRequest {
            sweep_id,
            action,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        let action = convert::sweep_action(action)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::SetSweep { sweep, action })
            .await
            .map_err(from_engine)?;
        let Reply::Sweep(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(Response::new(v1::SetSweepStateResponse {
            state: convert::word(state),
        }))
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<Self::ListRunsStream>, Status> {
        let v1::ListRunsRequest { sweep_id, states } = request.into_inner();
        limits::list("states", states.len())?;
        let states = convert::run_states(&states)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        Ok(Response::new(pages::runs(self.clone(), sweep, states)))
    }

    async fn get_run(
        &self,
        request: Request<v1::GetRunRequest>,
    ) -> Result<Response<v1::GetRunResponse>, Status> {
        let v1::GetRunRequest { sweep_id, run } = request.into_inner();
        let row = self
            .run_row(&self.find_sweep(&sweep_id).await?, run)
            .await?;
        Ok(Response::new(v1::GetRunResponse {
            run: Some(convert::run(row)),
        }))
    }

    async fn get_execution(
        &self,
        request: Request<v1::GetExecutionRequest>,
    ) -> Result<Response<v1::GetExecutionResponse>, Status> {
        let v1::GetExecutionRequest {
            sweep_id,
            run,
            attempt,
        } = request.into_inner();
        let sweep = self.find_sweep(&sweep_id).await?;
        let row = self.run_row(&sweep, run).await?;
        let attempt = follow::attempt_of(&row, attempt)?;
        let revision = row
            .attempts
            .iter()
            .find(|known| known.attempt == attempt.attempt)
            .map(|known| known.revision);
        let basis = self
            .engine
            .basis(&sweep, revision)
            .await
            .map_err(from_engine)?;
        let assignment = convert::assignment_of(&row, attempt, basis.seed);
        Ok(Response::new(v1::GetExecutionResponse {
            program: Some(convert::program(&basis)),
            assignment: Some(assignment),
        }))
    }

    async fn get_metrics(
        &self,
        request: Request<v1::GetMetricsRequest>,
    ) -> Result<Response<Self::GetMetricsStream>, Status> {
        let v1::GetMetricsRequest {
            sweep_id,
            run,
            attempt,
        } = request.into_inner();
        let sweep = self.find_sweep(&sweep_id).await?;
        let row = self.run_row(&sweep, run).await?;
        let attempt = follow::attempt_of(&row, attempt)?;
        Ok(Response::new(pages::metrics(self.clone(), attempt)))
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let v1::CancelRunRequest {
            sweep_id,
            run,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::CancelRun { sweep, run })
            .await
            .map_err(from_engine)?;
        let Reply::Run(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(Response::new(v1::CancelRunResponse {
            state: convert::word(state),
        }))
    }

    async fn annotate_run(
        &self,
        request: Request<v1::AnnotateRunRequest>,
    ) -> Result<Response<v1::AnnotateRunResponse>, Status> {
        let v1::AnnotateRunRequest {
            sweep_id,
            run,
            request_id,
            note,
            add_tags,
            remove_tags,
            pinned,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::note(note.as_deref().unwrap_or_default())?;
        limits::list("tags", add_tags.len() + remove_tags.len())?;
        add_tags
            .iter()
            .chain(&remove_tags)
            .try_for_each(|tag| limits::tag(tag))?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let said = AnnotationPatch {
            note,
            add: add_tags.into_iter().collect(),
            remove: remove_tags.into_iter().collect(),
            pinned,
        };
        let command = Command::AnnotateRun {
            sweep: sweep.clone(),
            run,
            said,
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        Ok(Response::new(v1::AnnotateRunResponse {
            run: Some(convert::run(self.run_row(&sweep, run).await?)),
        }))
    }

    async fn retry_runs(
        &self,
        request: Request<v1::RetryRunsRequest>,
    ) -> Result<Response<v1::RetryRunsResponse>, Status> {
        let v1::RetryRunsRequest {
            sweep_id,
            runs,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::list("runs", runs.len())?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let reply = self
            .engine
            .command(&request_id, Command::RetryRuns { sweep, runs })
            .await
            .map_err(from_engine)?;
        let Reply::Retried { requeued, skipped } = reply else {
            return Err(out_of_turn());
        };
        Ok(Response::new(v1::RetryRunsResponse { requeued, skipped }))
    }

    async fn reread_run(
        &self,
        request: Request<v1::RereadRunRequest>,
    ) -> Result<Response<v1::RereadRunResponse>, Status> {
        let v1::RereadRunRequest {
            sweep_id,
            run,
            attempt,
            points,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let command = Command::RereadRun {
            attempt: convert::attempt_ref(&sweep.0, run, attempt)?,
            points: convert::points(points)?,
        };
        let reply = self
            .engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        let Reply::Run(state) = reply else {
            return Err(out_of_turn());
        };
        Ok(Response::new(v1::RereadRunResponse {
            run_state: convert::word(state),
        }))
    }

    async fn get_logs(
        &self,
        request: Request<v1::GetLogsRequest>,
    ) -> Result<Response<Self::GetLogsStream>, Status> {
        let v1::GetLogsRequest {
            sweep_id,
            run,
            attempt,
            offset,
            follow,
        } = request.into_inner();
        limits::stored("offset", offset)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let row = self.run_row(&sweep, run).await?;
        let attempt = follow::attempt_of(&row, attempt)?;
        Ok(Response::new(follow::logs(
            self.clone(),
            attempt,
            offset,
            follow,
        )))
    }

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let sweep = self.find_sweep(&request.into_inner().sweep_id).await?;
        Ok(Response::new(follow::sweep(self.clone(), sweep)))
    }

    async fn list_code(
        &self,
        request: Request<v1::ListCodeRequest>,
    ) -> Result<Response<v1::ListCodeResponse>, Status> {
        let sweep = self.find_sweep(&request.into_inner().sweep_id).await?;
        let id = sweep.clone();
        let found = self.read(move |query| {
            let Some((row, _)) = query.sweep(&id)? else {
                return Ok(None);
            };
            let codes = query.codes(&row)?;
            Ok(Some((row, codes, query.agents(Some(&id))?)))
        });
        let (row, mut counts, agents) = found.await?.ok_or_else(|| unknown_sweep(&sweep.0))?;
        let names: Vec<_> = row
            .codes
            .iter()
            .map(|version| version.version.clone())
            .collect();
        let (kept, changes, patches) = match &self.snapshots {
            Some(snapshots) => (
                snapshots.kept(names.clone()).await,
                snapshots.changes(names.clone()).await,
                snapshots.patches().await,
            ),
            None => Default::default(),
        };
        let versions = (1..).zip(row.codes).map(|(number, version)| {
            let known = convert::VersionFacts {
                kept: kept.contains(&version.version),
                has_patch: patches
                    .contains(&(version.version.clone(), version.about.commit.clone())),
                pinned: row.pinned == version.version,
                changes: changes.get(&version.version).copied(),
                names: &names,
            };
            let host = version
                .agent
                .as_ref()
                .and_then(|first| agents.iter().find(|row| row.id == first.0));
            let host = host.map(|row| row.host.clone()).unwrap_or_default();
            let having = agents
                .iter()
                .filter(|row| row.alive && row.code == version.version)
                .map(|row| row.id.clone())
                .collect();
            let counts = counts.remove(&version.version).unwrap_or_default();
            convert::code_version(number, version, host, &counts, having, &known)
        });
        let versions = versions.collect();
        let unknown = counts.values().map(|counts| counts.runs).sum();
        Ok(Response::new(v1::ListCodeResponse { versions, unknown }))
    }

    async fn edit_sweep(
        &self,
        request: Request<v1::EditSweepRequest>,
    ) -> Result<Response<v1::EditSweepResponse>, Status> {
        self.edit(request.into_inner()).await.map(Response::new)
    }

    async fn list_revisions(
        &self,
        request: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        let sweep = self.find_sweep(&request.into_inner().sweep_id).await?;
        self.revisions(&sweep).await.map(Response::new)
    }

    async fn get_environment(
        &self,
        request: Request<v1::GetEnvironmentRequest>,
    ) -> Result<Response<v1::GetEnvironmentResponse>, Status> {
        let v1::GetEnvironmentRequest { sweep_id, digest } = request.into_inner();
        limits::name("digest", &digest)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let unknown = Status::not_found(format!(
            "no run of sweep {} was executed in an environment {digest}",
            sweep.0
        ));
        let found = self
            .read(move |query| query.environment(&sweep, &digest))
            .await?
            .ok_or(unknown)?;
        Ok(Response::new(v1::GetEnvironmentResponse {
            environment: Some(convert::wire_environment(found)),
        }))
    }

    type GetCodeStream = Follow<v1::GetCodeResponse>;

    async fn get_code(
        &self,
        request: Request<v1::GetCodeRequest>,
    ) -> Result<Response<Self::GetCodeStream>, Status> {
        self.give_code(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn get_patch(
        &self,
        request: Request<v1::GetPatchRequest>,
    ) -> Result<Response<v1::GetPatchResponse>, Status> {
        self.patch(request.into_inner()).await.map(Response::new)
    }

    async fn diff_code(
        &self,
        request: Request<v1::DiffCodeRequest>,
    ) -> Result<Response<v1::DiffCodeResponse>, Status> {
        self.difference(request.into_inner())
            .await
            .map(Response::new)
    }

    async fn prepare_code(
        &self,
        request: Request<v1::PrepareCodeRequest>,
    ) -> Result<Response<v1::PrepareCodeResponse>, Status> {
        self.prepare(request.into_inner()).await.map(Response::new)
    }

    async fn stage_code(
        &self,
        request: Request<Streaming<v1::PushCodeRequest>>,
    ) -> Result<Response<v1::StageCodeResponse>, Status> {
        let continue_at = self.stage(request.into_inner()).await?;
        Ok(Response::new(v1::StageCodeResponse { continue_at }))
    }

    async fn move_code(
        &self,
        request: Request<v1::MoveCodeRequest>,
    ) -> Result<Response<v1::MoveCodeResponse>, Status> {
        self.move_to(request.into_inner()).await.map(Response::new)
    }

    async fn mark_code(
        &self,
        request: Request<v1::MarkCodeRequest>,
    ) -> Result<Response<v1::MarkCodeResponse>, Status> {
        self.mark(request.into_inner()).await.map(Response::new)
    }

    async fn rerun_points(
        &self,
        request: Request<v1::RerunPointsRequest>,
    ) -> Result<Response<v1::RerunPointsResponse>, Status> {
        self.rerun(request.into_inner()).await.map(Response::new)
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let text = request.into_inner().sweep_id;
        let sweep = if text.is_empty() {
            None
        } else {
            Some(self.find_sweep(&text).await?)
        };
        let agents = self.read(move |query| query.agents(sweep.as_ref())).await?;
        Ok(Response::new(v1::ListAgentsResponse {
            agents: agents.into_iter().map(convert::agent).collect(),
        }))
    }

    async fn readmit_agent(
        &self,
        request: Request<v1::ReadmitAgentRequest>,
    ) -> Result<Response<v1::ReadmitAgentResponse>, Status> {
        let v1::ReadmitAgentRequest {
            agent_id,
            request_id,
        } = request.into_inner();
        limits::name("agent_id", &agent_id)?;
        limits::optional_name("request_id", &request_id)?;
        let agent = AgentId(self.find_agent(&agent_id).await?.id);
        self.engine
            .command(
                &request_id,
                Command::ReadmitAgent {
                    agent: agent.clone(),
                },
            )
            .await
            .map_err(from_engine)?;
        let row = self.find_agent(&agent.0).await?;
        Ok(Response::new(v1::ReadmitAgentResponse {
            agent: Some(convert::agent(row)),
        }))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let totals = self.read(|query| query.totals()).await?;
        let runs = |state: &str| totals.runs.get(state).copied().unwrap_or(0);
        let identity = self.engine.identity().borrow().clone();
        Ok(Response::new(v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            data_dir: self.about.data_dir.display().to_string(),
            started_ms: self.about.started_ms,
            pid: std::process::id(),
            sweeps: totals.sweeps.values().sum(),
            agents: totals.agents,
            running: runs("assigned") + runs("running"),
            controller_id: identity.controller,
            epoch: identity.epoch,
        }))
    }

    async fn create_login_link(
        &self,
        _: Request<v1::CreateLoginLinkRequest>,
    ) -> Result<Response<v1::CreateLoginLinkResponse>, Status> {
        let Some(logins) = &self.logins else {
            return Ok(Response::new(v1::CreateLoginLinkResponse {
                path: "/".to_owned(),
                valid_s: 0,
            }));
        };
        let code = logins.issue().map_err(|error| {
            Status::internal(format!("the system gives no random numbers: {error}"))
        })?;
        Ok(Response::new(v1::CreateLoginLinkResponse {
            path: format!("{}?code={code}", login::PATH),
            valid_s: login::CODE_TERM.as_secs(),
        }))
    }

    async fn archive_sweep(
        &self,
        request: Request<v1::ArchiveSweepRequest>,
    ) -> Result<Response<v1::ArchiveSweepResponse>, Status> {
        self.archive(request.into_inner()).await.map(Response::new)
    }

    async fn delete_sweep(
        &self,
        request: Request<v1::DeleteSweepRequest>,
    ) -> Result<Response<v1::DeleteSweepResponse>, Status> {
        self.delete(request.into_inner()).await.map(Response::new)
    }

    async fn prune_sweep(
        &self,
        request: Request<v1::PruneSweepRequest>,
    ) -> Result<Response<v1::PruneSweepResponse>, Status> {
        self.prune(request.into_inner()).await.map(Response::new)
    }

    async fn get_disk_usage(
        &self,
        _: Request<v1::GetDiskUsageRequest>,
    ) -> Result<Response<v1::GetDiskUsageResponse>, Status> {
        self.disk_usage().await.map(Response::new)
    }

    async fn stop_controller(
        &self,
        request: Request<v1::StopControllerRequest>,
    ) -> Result<Response<v1::StopControllerResponse>, Status> {
        if !is_loopback(request.remote_addr()) {
            return Err(Status::permission_denied(
                "the controller can be stopped from its own machine alone, through 127.0.0.1",
            ));
        }
        tracing::info!("asked to stop");
        self.stopping.send_replace(true);
        Ok(Response::new(v1::StopControllerResponse {}))
    }
}

impl Services {
    async fn run_row(&self, sweep: &SweepId, run: u64) -> Result<crate::store::RunRow, Status> {
        limits::stored("run", run)?;
        let id = sweep.clone();
        let row = self.read(move |query| query.run(&id, run)).await?;
        row.ok_or_else(|| unknown_run(&sweep.0, run))
    }
}

/// Returns whether a caller came over loopback. Of one without an address nothing is known.
fn is_loopback(caller: Option<SocketAddr>) -> bool {
    caller.is_some_and(|address| address.ip().to_canonical().is_loopback())
}

/// Reads a sweep file; a long one on a thread that may block: a hostile one takes a while.
pub(super) async fn parse(yaml: &str) -> Result<(SweepSpec, Vec<Diagnostic>), Status> {
    limits::yaml(yaml)?;
    let (spec, diagnostics) = if yaml.len() <= QUICK_FILE_MAX {
        spec::parse(yaml)
    } else {
        let text = yaml.to_owned();
        let parsed = tokio::task::spawn_blocking(move || spec::parse(&text)).await;
        parsed.map_err(|error| {
            Status::internal(format!("reading the sweep file broke off: {error}"))
        })?
    };
    match spec {
        Some(spec) => Ok((spec, diagnostics)),
        None => Err(invalid(mistakes(&diagnostics))),
    }
}

fn mistakes(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Draws an id and a seed for a new sweep. A call that is repeated must ask for the same sweep, so where there is a request id
/// they are made from it.
fn draw(request_id: &str) -> Result<(SweepId, u64), Status> {
    let mut bytes = [0; 32];
    if request_id.is_empty() {
        getrandom::fill(&mut bytes).map_err(|error| {
            Status::internal(format!("the system gives no random numbers: {error}"))
        })?;
    } else {
        bytes = Sha256::digest(request_id.as_bytes()).into();
    }
    let mut number = u64::from_le_bytes(std::array::from_fn(|index| bytes[index]));
    let mut id = String::with_capacity(ID_LENGTH);
    for _ in 0..ID_LENGTH {
        id.push(char::from(ID_CHARACTERS[(number % 36) as usize]));
        number /= 36;
    }
    let seed = u64::from_le_bytes(std::array::from_fn(|index| bytes[8 + index]));
    // The log is JSON and a seed is shown to people: 53 bits survive every reader.
    Ok((SweepId(id), seed >> 11))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        let caller = |address: &str| Some(address.parse().unwrap());
        for near in [
            "127.0.0.1:1",
            "127.1.2.3:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(caller(near)), "{near}");
        }
        for far in [
            "10.0.0.1:1",
            "0.0.0.0:1",
            "[::]:1",
            "[fe80::1]:1",
            "[::ffff:10.0.0.1]:1",
        ] {
            assert!(!is_loopback(caller(far)), "{far}");
        }
        assert!(!is_loopback(None));
    }

    #[test]
    fn ids_have_eight_characters_and_a_repeat_draws_the_same() {
        let (first, seed) = draw("request-1").unwrap();
        assert_eq!(first.0.len(), 8);
        assert!(
            first
                .0
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
        assert_eq!(draw("request-1").unwrap(), (first.clone(), seed));
        assert_ne!(draw("request-2").unwrap().0, first);
        assert_ne!(draw("").unwrap().0, draw("").unwrap().0);
    }
}
