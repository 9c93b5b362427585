//! `SweepService`: what people and their programs ask.

use sweep_lifecycle::command::Command;
use sweep_lifecycle::state::{AgentId, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::sweep_service_server::SweepService;
use tonic::{Request, Response, Status, Streaming};

use super::follow::{self, Follow};
use super::pages::{self, Pages};
use super::refusal::{from_engine, unknown_run, unknown_sweep};
use super::{Services, convert, limits};
use crate::early_stop_note::early_stop_note;
use crate::target_note::target_note;

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
        self.create(request.into_inner()).await.map(Response::new)
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
            let Some((mut row, counts)) = query.sweep(&id)? else {
                return Ok(None);
            };
            let note = early_stop_note(query, &row)?;
            if row.reason.is_empty() {
                row.reason = target_note(query, &row, &counts)?;
            }
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
        self.set_state(request.into_inner())
            .await
            .map(Response::new)
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
        self.execution(request.into_inner())
            .await
            .map(Response::new)
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
        self.cancel(request.into_inner()).await.map(Response::new)
    }

    async fn annotate_run(
        &self,
        request: Request<v1::AnnotateRunRequest>,
    ) -> Result<Response<v1::AnnotateRunResponse>, Status> {
        self.annotate(request.into_inner()).await.map(Response::new)
    }

    async fn retry_runs(
        &self,
        request: Request<v1::RetryRunsRequest>,
    ) -> Result<Response<v1::RetryRunsResponse>, Status> {
        self.retry(request.into_inner()).await.map(Response::new)
    }

    async fn reread_run(
        &self,
        request: Request<v1::RereadRunRequest>,
    ) -> Result<Response<v1::RereadRunResponse>, Status> {
        self.reread(request.into_inner()).await.map(Response::new)
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
        self.code_versions(request.into_inner())
            .await
            .map(Response::new)
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
        self.environment(request.into_inner())
            .await
            .map(Response::new)
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
        self.status().await.map(Response::new)
    }

    async fn create_login_link(
        &self,
        _: Request<v1::CreateLoginLinkRequest>,
    ) -> Result<Response<v1::CreateLoginLinkResponse>, Status> {
        self.login_link().map(Response::new)
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
        self.stop(request.remote_addr())?;
        Ok(Response::new(v1::StopControllerResponse {}))
    }
}

impl Services {
    pub(super) async fn run_row(
        &self,
        sweep: &SweepId,
        run: u64,
    ) -> Result<crate::store::RunRow, Status> {
        limits::stored("run", run)?;
        let id = sweep.clone();
        let row = self.read(move |query| query.run(&id, run)).await?;
        row.ok_or_else(|| unknown_run(&sweep.0, run))
    }
}
