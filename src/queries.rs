//! Questions to the controller that several commands ask.

use anyhow::Result;
use sweep_proto::v1::{
    AnalyzeSweepRequest, AnalyzeSweepResponse, GetMetricsRequest, GetRunRequest, ListRunsRequest,
    Run, Sweep,
};

use crate::client::Client;

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
