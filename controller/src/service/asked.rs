//! `Ask`, `Tell`, `ImportRuns` and `OfferRuns`: for programs that execute runs themselves, or choose them.

use sweep_lifecycle::command::{Command, Import, Offered, Reply, TellOutcome};
use sweep_lifecycle::state::{AgentId, AgentInfo, SweepId};
use sweep_proto::v1;
use sweep_proto::v1::tell_request::Outcome;
use sweep_search::space::{Config, Space};
use sweep_search::why::{Kind, Why};
use tonic::Status;

use super::refusal::{from_engine, invalid, orphaned, out_of_turn};
use super::{Services, convert, limits};
use crate::engine::{AcquireRequest, Acquired};

impl Services {
    pub(super) async fn ask_run(&self, request: v1::AskRequest) -> Result<v1::AskResponse, Status> {
        let v1::AskRequest {
            sweep_id,
            request_id,
            worker,
            code_version,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::optional_name("worker", &worker)?;
        limits::optional_name("code_version", &code_version)?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let agent = asker(&sweep, &worker);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let info = AgentInfo {
            host: worker,
            slots: 0,
            version,
            process: String::new(),
            asks: true,
        };
        let register = Command::RegisterAgent {
            agent: agent.clone(),
            sweep: sweep.clone(),
            info,
            attempts: Vec::new(),
        };
        let wish = AcquireRequest {
            agent,
            sweep,
            code_version,
            wait: limits::WAIT_MAX,
        };
        // Where the sweep has ended, the caller is told so like one that asked before its end.
        let acquired = match self.engine.command("", register).await {
            Ok(_) => self.acquire_until_stopped(&request_id, wish).await?,
            Err(error) => self
                .ended(&wish.sweep)
                .await?
                .ok_or_else(|| from_engine(error))?,
        };
        match acquired {
            Acquired::Assigned(assignment) => Ok(v1::AskResponse {
                run: assignment.attempt.run,
                attempt: assignment.attempt.attempt,
                params_json: assignment.config.to_nested().to_json().to_string(),
                exhausted: false,
                repeat: assignment.repeat,
                seed: assignment.seed,
                why: Some(convert::suggestion(&assignment.why, assignment.history)),
            }),
            Acquired::Ended(_, reason) => {
                let why = Some(convert::suggestion(&Why::new(Kind::External, reason), 0));
                Ok(v1::AskResponse {
                    exhausted: true,
                    why,
                    ..v1::AskResponse::default()
                })
            }
            Acquired::Wait(reason) => Err(Status::unavailable(format!("{reason}; ask again"))),
        }
    }

    async fn acquire_until_stopped(
        &self,
        request_id: &str,
        wish: AcquireRequest,
    ) -> Result<Acquired, Status> {
        tokio::select! {
            // What the engine has decided wins over the end.
            biased;
            acquired = self.engine.acquire(request_id, wish) => acquired.map_err(from_engine),
            status = self.stopped() => Err(status),
        }
    }

    /// Returns how a sweep has ended, if it has.
    async fn ended(&self, sweep: &SweepId) -> Result<Option<Acquired>, Status> {
        let id = sweep.clone();
        let found = self.read(move |query| query.sweep(&id)).await?;
        let ended = found.filter(|(row, _)| row.state.is_terminal());
        Ok(ended.map(|(row, _)| Acquired::Ended(row.state, row.reason)))
    }

    pub(super) async fn tell_run(
        &self,
        request: v1::TellRequest,
    ) -> Result<v1::TellResponse, Status> {
        let v1::TellRequest {
            sweep_id,
            run,
            attempt,
            request_id,
            outcome,
            metrics,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        let told = match outcome {
            Some(Outcome::Value(value)) => TellOutcome::Value(value),
            Some(Outcome::Failure(reason)) => TellOutcome::Failed(limits::tail(&reason).to_owned()),
            None => {
                return Err(invalid(
                    "the outcome is missing: tell a `value` or a `failure`",
                ));
            }
        };
        let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
        limits::points(names.into_iter())?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let attempt = convert::attempt_ref(&sweep.0, run, attempt)?;
        let metrics = metrics.into_iter().collect();
        match self
            .engine
            .command(
                &request_id,
                Command::Tell {
                    attempt,
                    told,
                    metrics,
                },
            )
            .await
            .map_err(from_engine)?
        {
            Reply::Orphaned {
                run,
                attempt,
                reason,
            } => Err(orphaned(run, attempt, &reason)),
            _ => Ok(v1::TellResponse {}),
        }
    }

    pub(super) async fn take_in(
        &self,
        request: v1::ImportRunsRequest,
    ) -> Result<v1::ImportRunsResponse, Status> {
        let v1::ImportRunsRequest {
            sweep_id,
            request_id,
            runs,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::list("runs", runs.len())?;
        let sweep = self.find_sweep(&sweep_id).await?;
        let spec = self.engine.spec(&sweep).await.map_err(from_engine)?;
        let (mut good, mut unfit) = (Vec::new(), Vec::new());
        for (place, run) in (1..).zip(runs) {
            match import(&spec.space, place, run) {
                Ok(import) => good.push(import),
                Err(reason) => unfit.push(format!("entry {place}: {reason}")),
            }
        }
        let reply = self
            .engine
            .command(&request_id, Command::ImportRuns { sweep, runs: good })
            .await
            .map_err(from_engine)?;
        let Reply::Imported { imported, skipped } = reply else {
            return Err(out_of_turn());
        };
        unfit.extend(skipped);
        Ok(v1::ImportRunsResponse {
            imported,
            skipped: unfit,
        })
    }

    pub(super) async fn queue_offered(
        &self,
        request: v1::OfferRunsRequest,
    ) -> Result<v1::OfferRunsResponse, Status> {
        let v1::OfferRunsRequest {
            sweep_id,
            request_id,
            runs,
            end,
        } = request;
        limits::optional_name("request_id", &request_id)?;
        limits::list("runs", runs.len())?;
        if runs.is_empty() && !end {
            return Err(invalid(
                "nothing is offered: name runs, or set `end` if there are no more",
            ));
        }
        let sweep = self.find_sweep(&sweep_id).await?;
        let spec = self.engine.spec(&sweep).await.map_err(from_engine)?;
        let (mut good, mut wrong) = (Vec::new(), Vec::new());
        for (place, run) in (1..).zip(runs) {
            match offered(&spec.space, run) {
                Ok(offered) => good.push(offered),
                Err(reason) => wrong.push(format!("entry {place}: {reason}")),
            }
        }
        if !wrong.is_empty() {
            let more = wrong.len().saturating_sub(WRONG_NAMED_MAX);
            wrong.truncate(WRONG_NAMED_MAX);
            if more > 0 {
                wrong.push(format!("and {more} more"));
            }
            return Err(invalid(wrong.join("\n")));
        }
        let reply = self
            .engine
            .command(
                &request_id,
                Command::OfferRuns {
                    sweep,
                    runs: good,
                    end,
                },
            )
            .await
            .map_err(from_engine)?;
        let Reply::Offered { runs, skipped } = reply else {
            return Err(out_of_turn());
        };
        Ok(v1::OfferRunsResponse { runs, skipped })
    }
}

/// Entries of a call that are wrong and are named; of further ones only the number is told.
const WRONG_NAMED_MAX: usize = 5;

/// The agent that represents a worker.
fn asker(sweep: &SweepId, worker: &str) -> AgentId {
    AgentId(format!("ask:{sweep}:{worker}"))
}

fn import(space: &Space, place: u64, run: v1::ImportedRun) -> Result<Import, String> {
    let v1::ImportedRun {
        params_json,
        value,
        failure,
        code_version,
    } = run;
    let config = config(space, &params_json)?;
    let told = if failure.is_empty() {
        TellOutcome::Value(value)
    } else {
        TellOutcome::Failed(limits::tail(&failure).to_owned())
    };
    Ok(Import {
        place,
        config,
        told,
        code_version,
    })
}

fn offered(space: &Space, run: v1::OfferedRun) -> Result<Offered, String> {
    let v1::OfferedRun { params_json, why } = run;
    limits::reason("`why`", &why)?;
    Ok(Offered {
        config: config(space, &params_json)?,
        reason: why,
    })
}

fn config(space: &Space, params_json: &str) -> Result<Config, String> {
    let json: serde_json::Value = serde_json::from_str(params_json)
        .map_err(|error| format!("params_json is not JSON: {error}"))?;
    space.read(&json).map_err(|mistakes| mistakes.join("; "))
}
