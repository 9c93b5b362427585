//! `AgentService`: what agents ask.

use std::time::Duration;

use sweep_lifecycle::command::{AttemptFence, Command, Directive, Reply};
use sweep_lifecycle::state::{AgentId, AgentInfo, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::agent_service_server::AgentService;
use tonic::{Request, Response, Status, Streaming};

use super::held::incarnations;
use super::patches::Patch;
use super::refusal::{from_engine, orphaned, out_of_turn};
use super::{Services, convert, limits};
use crate::engine::{AcquireRequest, Acquired};
use crate::store::LogChunk;

/// Heartbeats that fit into a lease: two may be lost without consequences.
const HEARTBEATS_PER_LEASE: u32 = 3;

#[tonic::async_trait]
impl AgentService for Services {
    async fn register_agent(
        &self,
        request: Request<v1::RegisterAgentRequest>,
    ) -> Result<Response<v1::RegisterAgentResponse>, Status> {
        let v1::RegisterAgentRequest {
            agent_id,
            sweep_id,
            host,
            slots,
            version,
            request_id,
            attempts,
            process_id,
        } = request.into_inner();
        let agent = agent(agent_id)?;
        limits::optional_name("host", &host)?;
        limits::optional_name("version", &version)?;
        limits::optional_name("process_id", &process_id)?;
        limits::list("attempts", attempts.len())?;
        limits::optional_name("request_id", &request_id)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let held = convert::held_attempts(&sweep.0, attempts)?;
        let known = self
            .engine
            .recognize(agent.clone(), incarnations(&held))
            .await
            .map_err(from_engine)?;
        let attempts = known.iter().flatten().cloned().collect();
        let info = AgentInfo {
            host,
            slots,
            version,
            process: process_id,
            asks: false,
        };
        let command = Command::RegisterAgent {
            agent: agent.clone(),
            sweep: sweep.clone(),
            info,
            attempts,
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        let attempts = self.take_up(&agent, held, known).await?;
        let identity = self.engine.identity().borrow().clone();
        let basis = self.engine.basis(&sweep, None).await.map_err(from_engine)?;
        tracing::info!(agent = %agent.0, sweep = %sweep.0, "agent registered");
        Ok(Response::new(v1::RegisterAgentResponse {
            sweep_id: sweep.0,
            lease_ms: milliseconds(self.about.lease),
            heartbeat_ms: milliseconds(self.about.lease / HEARTBEATS_PER_LEASE),
            program: Some(convert::program(&basis)),
            controller_id: identity.controller,
            epoch: identity.epoch,
            attempts,
        }))
    }

    async fn acquire(
        &self,
        request: Request<v1::AcquireRequest>,
    ) -> Result<Response<v1::AcquireResponse>, Status> {
        let v1::AcquireRequest {
            agent_id,
            sweep_id,
            wait_ms,
            request_id,
            code_version,
            obstacle,
        } = request.into_inner();
        let agent = agent(agent_id)?;
        limits::name("sweep_id", &sweep_id)?;
        limits::optional_name("request_id", &request_id)?;
        limits::optional_name("code_version", &code_version)?;
        if !obstacle.is_empty() {
            let command = Command::Acquire {
                agent,
                sweep: SweepId(sweep_id),
                offers: Vec::new(),
                code_version,
            };
            let acquired = match self.engine.preview(command).await.map_err(from_engine)? {
                Reply::Ended { state, reason } => Acquired::Ended(state, reason),
                _ => Acquired::Wait(format!(
                    "agent cannot take a run: {}",
                    limits::line(&obstacle)
                )),
            };
            return Ok(Response::new(convert::acquired(acquired)));
        }
        let wait = Duration::from_millis(wait_ms).min(limits::WAIT_MAX);
        let wish = AcquireRequest {
            agent,
            sweep: SweepId(sweep_id),
            code_version,
            wait,
        };
        tokio::select! {
            // What the engine has decided wins over the end.
            biased;
            acquired = self.engine.acquire(&request_id, wish) => {
                Ok(Response::new(self.with_note(convert::acquired(acquired.map_err(from_engine)?)).await))
            }
            status = self.stopped() => Err(status),
        }
    }

    async fn start_attempt(
        &self,
        request: Request<v1::StartAttemptRequest>,
    ) -> Result<Response<v1::StartAttemptResponse>, Status> {
        let v1::StartAttemptRequest {
            agent_id,
            sweep_id,
            run,
            attempt,
            command,
            request_id,
            code_version,
            incarnation,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::command(&command)?;
        limits::optional_name("code_version", &code_version)?;
        let attempt = convert::attempt_ref(&sweep_id, run, attempt)?;
        let command = Command::StartAttempt {
            agent: agent(agent_id)?,
            attempt,
            command,
            code_version,
        };
        let directive = self.directive(&request_id, &incarnation, command).await?;
        Ok(Response::new(v1::StartAttemptResponse {
            directive: Some(directive),
        }))
    }

    async fn describe_code(
        &self,
        request: Request<v1::DescribeCodeRequest>,
    ) -> Result<Response<v1::DescribeCodeResponse>, Status> {
        let v1::DescribeCodeRequest {
            agent_id,
            sweep_id,
            mut code,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::name("sweep_id", &sweep_id)?;
        let patch = Patch::take(&mut code)?;
        let (version, about) = convert::code(code)?;
        let (sweep, agent) = (SweepId(sweep_id), agent(agent_id)?);
        let command = Command::DescribeCode {
            agent: agent.clone(),
            sweep: sweep.clone(),
            version: version.clone(),
            about,
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        self.keep_patch(patch).await;
        let (wanted, have) = self.wanted(Some(&sweep), &version).await;
        // What an agent of a pinned sweep has itself is not taken down.
        let wanted = wanted && self.versions(&sweep).await?.contains(&version);
        let others = self.others(&sweep, &agent, &version).await?;
        Ok(Response::new(v1::DescribeCodeResponse {
            wanted,
            have,
            others,
        }))
    }

    async fn describe_environment(
        &self,
        request: Request<v1::DescribeEnvironmentRequest>,
    ) -> Result<Response<v1::DescribeEnvironmentResponse>, Status> {
        let v1::DescribeEnvironmentRequest {
            agent_id,
            sweep_id,
            environment,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        limits::name("sweep_id", &sweep_id)?;
        let environment = Box::new(convert::environment(environment)?);
        let command = Command::DescribeEnvironment {
            agent: agent(agent_id)?,
            sweep: SweepId(sweep_id),
            environment,
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        Ok(Response::new(v1::DescribeEnvironmentResponse {}))
    }

    async fn push_code(
        &self,
        request: Request<Streaming<v1::PushCodeRequest>>,
    ) -> Result<Response<v1::PushCodeResponse>, Status> {
        let continue_at = self.receive_code(request.into_inner()).await?;
        Ok(Response::new(v1::PushCodeResponse { continue_at }))
    }

    async fn report_metrics(
        &self,
        request: Request<v1::ReportMetricsRequest>,
    ) -> Result<Response<v1::ReportMetricsResponse>, Status> {
        let v1::ReportMetricsRequest {
            agent_id,
            sweep_id,
            run,
            attempt,
            first_seq,
            points,
            incarnation,
        } = request.into_inner();
        limits::stored("first_seq", first_seq.saturating_add(points.len() as u64))?;
        let command = Command::ReportMetrics {
            agent: agent(agent_id)?,
            attempt: convert::attempt_ref(&sweep_id, run, attempt)?,
            first_seq,
            points: convert::points(points)?,
        };
        // A repeated report is known by the numbers of its points.
        let directive = self.directive("", &incarnation, command).await?;
        Ok(Response::new(v1::ReportMetricsResponse {
            directive: Some(directive),
        }))
    }

    async fn append_log(
        &self,
        request: Request<v1::AppendLogRequest>,
    ) -> Result<Response<v1::AppendLogResponse>, Status> {
        let v1::AppendLogRequest {
            agent_id,
            sweep_id,
            run,
            attempt,
            offset,
            data,
            incarnation,
        } = request.into_inner();
        let agent = agent(agent_id)?;
        limits::log(offset, &data)?;
        let attempt = convert::attempt_ref(&sweep_id, run, attempt)?;
        if !data.is_empty() {
            self.engine
                .append_log(
                    agent,
                    incarnation,
                    LogChunk {
                        attempt,
                        offset,
                        data,
                    },
                )
                .await
                .map_err(from_engine)?;
        }
        Ok(Response::new(v1::AppendLogResponse {}))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let v1::HeartbeatRequest {
            agent_id,
            sweep_id,
            attempts,
        } = request.into_inner();
        limits::list("attempts", attempts.len())?;
        if let Some(attempt) = attempts.iter().find(|attempt| !attempt.unread.is_empty()) {
            self.unread
                .set(&SweepId(sweep_id.clone()), attempt.run, &attempt.unread);
        }
        let attempts = incarnations(&convert::held_attempts(&sweep_id, attempts)?);
        let directives = self
            .engine
            .heartbeat(agent(agent_id)?, attempts)
            .await
            .map_err(from_engine)?;
        Ok(Response::new(v1::HeartbeatResponse {
            directives: directives.into_iter().map(convert::directive).collect(),
        }))
    }

    async fn finish_attempt(
        &self,
        request: Request<v1::FinishAttemptRequest>,
    ) -> Result<Response<v1::FinishAttemptResponse>, Status> {
        let v1::FinishAttemptRequest {
            agent_id,
            sweep_id,
            run,
            attempt,
            result,
            failure,
            request_id,
            incarnation,
            points,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        let command = Command::FinishAttempt {
            agent: agent(agent_id)?,
            attempt: convert::attempt_ref(&sweep_id, run, attempt)?,
            result: convert::attempt_result(result, failure)?,
        };
        match self
            .engine
            .command_behind(
                &request_id,
                AttemptFence {
                    incarnation,
                    points,
                },
                command,
            )
            .await
            .map_err(from_engine)?
        {
            Reply::Run(state) => {
                let (value, last) = self.objective_of(SweepId(sweep_id), run, state).await;
                Ok(Response::new(v1::FinishAttemptResponse {
                    run_state: convert::word(state),
                    value,
                    last,
                }))
            }
            Reply::Orphaned {
                run,
                attempt,
                reason,
            } => Err(orphaned(run, attempt, &reason)),
            _ => Err(out_of_turn()),
        }
    }

    async fn announce_leaving(
        &self,
        request: Request<v1::AnnounceLeavingRequest>,
    ) -> Result<Response<v1::AnnounceLeavingResponse>, Status> {
        let v1::AnnounceLeavingRequest {
            agent_id,
            sweep_id: _,
            reason,
            request_id,
        } = request.into_inner();
        limits::optional_name("request_id", &request_id)?;
        let command = Command::AnnounceLeaving {
            agent: agent(agent_id)?,
            reason: limits::tail(&reason).to_owned(),
        };
        self.engine
            .command(&request_id, command)
            .await
            .map_err(from_engine)?;
        Ok(Response::new(v1::AnnounceLeavingResponse {}))
    }

    async fn leave_agent(
        &self,
        request: Request<v1::LeaveAgentRequest>,
    ) -> Result<Response<v1::LeaveAgentResponse>, Status> {
        let v1::LeaveAgentRequest {
            agent_id,
            sweep_id: _,
            reason,
        } = request.into_inner();
        let command = Command::RemoveAgent {
            agent: agent(agent_id)?,
            lost: false,
            reason: limits::tail(&reason).to_owned(),
        };
        match self
            .engine
            .command("", command)
            .await
            .map_err(from_engine)?
        {
            Reply::Left { quarantine } => Ok(Response::new(v1::LeaveAgentResponse { quarantine })),
            _ => Err(out_of_turn()),
        }
    }
}

impl Services {
    async fn directive(
        &self,
        request_id: &str,
        incarnation: &str,
        command: Command,
    ) -> Result<v1::Directive, Status> {
        let fence = AttemptFence {
            incarnation: incarnation.to_owned(),
            points: 0,
        };
        match self
            .engine
            .command_behind(request_id, fence, command)
            .await
            .map_err(from_engine)?
        {
            Reply::Directive(directive) => Ok(convert::directive(directive)),
            Reply::Done => Ok(convert::directive(Directive::Continue)),
            _ => Err(out_of_turn()),
        }
    }
}

fn agent(id: String) -> Result<AgentId, Status> {
    limits::name("agent_id", &id)?;
    Ok(AgentId(id))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
