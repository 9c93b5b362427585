//! Requests of the view to the controller, and their answers.

use std::time::Duration;

use anyhow::{Result, anyhow};
use sweep_agent::channel::is_outcome_unknown;
use sweep_proto::v1::set_sweep_state_request::Action;
use sweep_proto::v1::{
    CancelRunRequest, GetLogsRequest, GetMetricsRequest, ListRunsRequest, RetryRunsRequest,
    SetSweepStateRequest,
};
use tokio::sync::mpsc::Sender;

use super::model::{Deed, WatchEvent};
use crate::client::{Client, ControllerArgs, request_id};
use crate::queries::{self, SweepViews};

const AGAIN: Duration = Duration::from_secs(1);
const AGENTS_EVERY: Duration = Duration::from_secs(3);

/// Where the view's answers come from. Each question is its own task: a slow answer holds up no key.
#[derive(Clone, Debug)]
pub(super) struct WatchSource {
    pub(super) controller: ControllerArgs,
    pub(super) sweep: String,
    pub(super) events: Sender<WatchEvent>,
}

impl WatchSource {
    /// Follows the sweep for good; connects again whenever the controller goes away.
    pub(super) async fn follow(self) {
        loop {
            let reason = match self.watch().await {
                // An ended sweep has no more changes, but a retry may wake it.
                Ok(()) => String::new(),
                Err(error) => error.to_string(),
            };
            if !reason.is_empty() && self.events.send(WatchEvent::Lost(reason)).await.is_err() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn watch(&self) -> Result<()> {
        let client = self.controller.connect().await?;
        let mut views = SweepViews::of(client, &self.sweep).await?;
        while let Some(view) = views.next().await? {
            self.events
                .send(WatchEvent::Changed(Box::new(view)))
                .await?;
        }
        Ok(())
    }

    /// Asks for the agents time and again.
    pub(super) async fn agents(self) {
        while !self.events.is_closed() {
            if let Ok(client) = self.controller.connect().await
                && let Ok(agents) = queries::agents(&client, &self.sweep).await
            {
                let _ = self.events.send(WatchEvent::Agents(agents)).await;
            }
            tokio::time::sleep(AGENTS_EVERY).await;
        }
    }

    /// Lists the runs in some states.
    pub(super) async fn list(self, states: Vec<String>) {
        // What does not come now is asked for again: the counts still differ then.
        let Ok(mut client) = self.controller.connect().await else {
            return;
        };
        let request = ListRunsRequest {
            sweep_id: self.sweep.clone(),
            states: states.clone(),
        };
        let Ok(stream) = client.service.list_runs(request).await else {
            return;
        };
        let mut stream = stream.into_inner();
        let mut runs = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(page)) => runs.extend(page.runs),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        let _ = self.events.send(WatchEvent::Listed { states, runs }).await;
    }

    /// Reads the metrics of a run.
    pub(super) async fn metrics(self, run: u64) {
        let Ok(mut client) = self.controller.connect().await else {
            return;
        };
        let request = GetMetricsRequest {
            sweep_id: self.sweep.clone(),
            run,
            attempt: 0,
        };
        let Ok(stream) = client.service.get_metrics(request).await else {
            return;
        };
        let mut stream = stream.into_inner();
        let mut points = Vec::new();
        while let Ok(Some(page)) = stream.message().await {
            points.extend(page.points);
        }
        let _ = self.events.send(WatchEvent::Metrics { run, points }).await;
    }

    /// Reads the output of a run until it ends; continues where it was when the controller was away.
    pub(super) async fn output(self, run: u64) {
        let mut offset = 0;
        let problem = loop {
            match self.output_from(run, &mut offset).await {
                Ok(()) => break String::new(),
                Err(error) if error.is::<FinalRefusal>() => break error.to_string(),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        let _ = self
            .events
            .send(WatchEvent::OutputEnded { run, problem })
            .await;
    }

    async fn output_from(&self, run: u64, offset: &mut u64) -> Result<()> {
        let mut client = self.controller.connect().await?;
        let request = GetLogsRequest {
            sweep_id: self.sweep.clone(),
            run,
            attempt: 0,
            offset: *offset,
            follow: true,
        };
        let refused = |status: tonic::Status| match is_outcome_unknown(status.code()) {
            true => anyhow!("{}", status.message()),
            false => anyhow::Error::from(FinalRefusal(status.message().to_owned())),
        };
        let mut stream = client
            .service
            .get_logs(request)
            .await
            .map_err(refused)?
            .into_inner();
        while let Some(chunk) = stream.message().await.map_err(refused)? {
            *offset = chunk.offset + chunk.data.len() as u64;
            self.events
                .send(WatchEvent::Output {
                    run,
                    data: chunk.data,
                })
                .await
                .map_err(|_| FinalRefusal(String::new()))?;
        }
        Ok(())
    }

    /// Executes an action that the user confirmed, and reports its outcome.
    pub(super) async fn carry_out(self, deed: Deed) {
        let said = match self.call(&deed).await {
            Ok(said) => said,
            Err(error) => error.to_string(),
        };
        let _ = self.events.send(WatchEvent::Said(said)).await;
    }

    async fn call(&self, deed: &Deed) -> Result<String> {
        let client = self.controller.connect().await?;
        match deed {
            Deed::Pause => self.set(&client, Action::Pause).await,
            Deed::Resume => self.set(&client, Action::Resume).await,
            Deed::Retry(run) => {
                let request = RetryRunsRequest {
                    sweep_id: self.sweep.clone(),
                    runs: vec![*run],
                    request_id: request_id()?,
                };
                let answer = client
                    .call(request, async |mut service, request| {
                        service.retry_runs(request).await
                    })
                    .await?;
                Ok(if answer.requeued.is_empty() {
                    answer.skipped.join("; ")
                } else {
                    format!("run {run} is queued again")
                })
            }
            Deed::Cancel(run) => {
                let request = CancelRunRequest {
                    sweep_id: self.sweep.clone(),
                    run: *run,
                    request_id: request_id()?,
                };
                let answer = client
                    .call(request, async |mut service, request| {
                        service.cancel_run(request).await
                    })
                    .await?;
                Ok(if answer.state == "cancelled" {
                    format!("run {run} is cancelled")
                } else {
                    format!("run {run} is being ended")
                })
            }
        }
    }

    async fn set(&self, client: &Client, action: Action) -> Result<String> {
        let request = SetSweepStateRequest {
            sweep_id: self.sweep.clone(),
            action: action.into(),
            request_id: request_id()?,
        };
        let answer = client
            .call(request, async |mut service, request| {
                service.set_sweep_state(request).await
            })
            .await?;
        Ok(format!("the sweep is {}", answer.state))
    }
}

/// The controller has answered, and will not answer differently.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FinalRefusal(String);
