//! Questions to the controller that several commands ask.

use anyhow::Result;
use sweep_proto::v1::{
    Agent, AnalyzeSweepRequest, AnalyzeSweepResponse, GetMetricsRequest, GetRunRequest,
    ListAgentsRequest, ListRunsRequest, Run, Sweep, WatchSweepRequest, WatchSweepResponse,
};
use tonic::Streaming;

use crate::client::Client;
use crate::failure::CommandError;

/// Returns all runs of a sweep in the order of their numbers.
pub(crate) async fn runs(
    client: &mut Client,
    sweep: &str,
    states: Vec<String>,
) -> Result<Vec<Run>> {
    let request = ListRunsRequest {
        sweep_id: sweep.to_owned(),
        states,
    };
    let stream = client.service.list_runs(request).await;
    let mut stream = stream
        .map_err(|status| client.explain(&status))?
        .into_inner();
    let mut runs = Vec::new();
    while let Some(page) = stream
        .message()
        .await
        .map_err(|status| client.explain(&status))?
    {
        runs.extend(page.runs);
    }
    Ok(runs)
}

/// Returns a run, if the sweep has it.
pub(crate) async fn run(client: &Client, sweep: &Sweep, run: u64) -> Result<Option<Run>> {
    let request = GetRunRequest {
        sweep_id: sweep.id.clone(),
        run,
    };
    Ok(client
        .call(request, async |mut service, request| {
            service.get_run(request).await
        })
        .await?
        .run)
}

/// Returns a run.
///
/// # Errors
/// The sweep does not have it.
pub(crate) async fn existing_run(client: &Client, sweep: &Sweep, run: u64) -> Result<Run> {
    let found = self::run(client, sweep, run).await?;
    found.ok_or_else(|| CommandError::input(format!("sweep {} has no run {run}", sweep.id)).into())
}

/// Returns the agents of a sweep.
pub(crate) async fn agents(client: &Client, sweep: &str) -> Result<Vec<Agent>> {
    let request = ListAgentsRequest {
        sweep_id: sweep.to_owned(),
    };
    let answer = client.call(request, async |mut service, request| {
        service.list_agents(request).await
    });
    Ok(answer.await?.agents)
}

/// The live views of a sweep: one after each change, until it ends.
pub(crate) struct SweepViews {
    client: Client,
    stream: Streaming<WatchSweepResponse>,
}

impl SweepViews {
    /// Begins to watch.
    pub(crate) async fn of(mut client: Client, sweep: &str) -> Result<Self> {
        let request = WatchSweepRequest {
            sweep_id: sweep.to_owned(),
        };
        let stream = client.service.watch_sweep(request).await;
        let stream = stream
            .map_err(|status| client.explain(&status))?
            .into_inner();
        Ok(Self { client, stream })
    }

    /// Waits for the next view; `None`: the sweep has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<WatchSweepResponse>> {
        let view = self.stream.message().await;
        view.map_err(|status| self.client.explain(&status))
    }
}

/// Returns the run with the best value.
pub(crate) async fn best_run(client: &Client, sweep: &Sweep) -> Result<Option<Run>> {
    match sweep.best_run {
        Some(run) => self::run(client, sweep, run).await,
        None => Ok(None),
    }
}

/// Returns the analysis of a sweep.
pub(crate) async fn analysis(client: &Client, sweep: &Sweep) -> Result<AnalyzeSweepResponse> {
    let request = AnalyzeSweepRequest {
        sweep_id: sweep.id.clone(),
    };
    client
        .call(request, async |mut service, request| {
            service.analyze_sweep(request).await
        })
        .await
}

/// Returns the values of the objective that a run has reported, in order.
pub(crate) async fn objective_values(
    client: &mut Client,
    sweep: &Sweep,
    run: u64,
) -> Result<Vec<f64>> {
    let request = GetMetricsRequest {
        sweep_id: sweep.id.clone(),
        run,
        attempt: 0,
    };
    // A run that has not begun has no attempt, and no values.
    let Ok(stream) = client.service.get_metrics(request).await else {
        return Ok(Vec::new());
    };
    let mut stream = stream.into_inner();
    let mut values = Vec::new();
    while let Some(page) = stream
        .message()
        .await
        .map_err(|status| client.explain(&status))?
    {
        values.extend(
            page.points
                .into_iter()
                .filter(|point| point.name == sweep.metric)
                .map(|point| point.value),
        );
    }
    Ok(values)
}
