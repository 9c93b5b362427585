//! Many programs that ask one Bayesian sweep for a configuration at the same time, and tell nothing yet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::tell_request::Outcome;
use sweep_proto::v1::{AskRequest, AskResponse, CreateSweepRequest, TellRequest};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::server::Server;

/// Longer than an ask may wait.
const ANSWER_MAX: Duration = Duration::from_secs(300);

const SWEEP_FILE: &str = "method: bayes
metric: {name: loss}
command: ['true']
parameters:
  x: {min: 0.0, max: 1.0}
  y: {min: 0.0, max: 1.0}
  z: {values: [a, b, c]}
";

#[derive(Clone, Debug, Args)]
pub(crate) struct Asks {
    /// Calls that wait at once
    #[arg(long, default_value_t = 1000)]
    pub(crate) askers: usize,

    /// Results that there are before
    #[arg(long, default_value_t = 30)]
    pub(crate) told: usize,
}

impl Asks {
    /// Returns what to print; every asker was answered, each with its own run.
    pub(crate) async fn run(&self) -> Result<String> {
        let server = Server::start(None).await?;
        let mut sweeps = SweepServiceClient::new(server.channel()?);
        let file = CreateSweepRequest {
            yaml: SWEEP_FILE.to_owned(),
            ..CreateSweepRequest::default()
        };
        let sweep = sweeps.create_sweep(file).await?.into_inner().sweep_id;
        for number in 0..self.told {
            let asked = ask(sweeps.clone(), sweep.clone(), String::new()).await?;
            let value = f64::from(u32::try_from(number)?).sin();
            let told = TellRequest {
                sweep_id: sweep.clone(),
                run: asked.run,
                attempt: asked.attempt,
                outcome: Some(Outcome::Value(value)),
                ..TellRequest::default()
            };
            sweeps.tell(told).await?;
        }
        let (begin, processor_time) = (Instant::now(), server.processor_time()?);
        let mut asking = JoinSet::new();
        for number in 0..self.askers {
            let sweeps = SweepServiceClient::new(server.channel()?);
            asking.spawn(ask(sweeps, sweep.clone(), format!("worker-{number}")));
        }
        let mut runs = BTreeSet::new();
        while let Some(answered) = asking.join_next().await {
            let run = answered??.run;
            ensure!(
                run > 0 && runs.insert(run),
                "run {run} was given out twice, or is none"
            );
        }
        let (took, used) = (begin.elapsed(), server.processor_time()? - processor_time);
        let each = used.as_secs_f64() / self.askers as f64;
        Ok(format!(
            "{} askers, all answered within {:.1} s; {each:.3} s of processor time each",
            self.askers,
            took.as_secs_f64()
        ))
    }
}

async fn ask(
    mut sweeps: SweepServiceClient<Channel>,
    sweep_id: String,
    worker: String,
) -> Result<AskResponse> {
    let mut request = tonic::Request::new(AskRequest {
        sweep_id,
        worker,
        ..AskRequest::default()
    });
    request.set_timeout(ANSWER_MAX);
    Ok(sweeps
        .ask(request)
        .await
        .context("an asker was not answered")?
        .into_inner())
}
