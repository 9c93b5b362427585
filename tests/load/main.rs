//! Load: many simulated agents over real gRPC against the real controller on SQLite. A binary, not a timed test.
//!
//! ```console
//! $ cargo test --release --test load -- run --agents 1000 --seconds 60
//! $ cargo test --release --test load -- run --agents 1000 --seconds 60 --rate 1000     # at half load, for the times of single calls
//! $ cargo test --release --test load -- run --agents 1000 --restart                    # all come back at once
//! $ cargo test --release --test load -- asks --askers 1000                             # suggestions of one search for all at once
//! ```
//!
//! Without `run` or `asks` it is a test: a few agents, a second, and the runs that they were told of are all there; a few askers, all answered.

#![expect(clippy::print_stdout, reason = "it prints tables")]

mod agent;
mod asks;
mod figures;
mod processor;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{CreateSweepRequest, GetSweepRequest, ImportRunsRequest, ImportedRun};
use tokio::task::{JoinSet, LocalSet};
use tonic::transport::Channel;

use agent::{Agent, Rhythm};
use asks::Asks;
use figures::Figures;
use server::Server;

const IMPORTED_AT_ONCE: usize = 5000;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: LoadCommand,
}

#[derive(Debug, Subcommand)]
enum LoadCommand {
    /// Puts load on a controller and prints the measurements
    Run(Load),
    /// Asks for many configurations at once and prints how long that takes
    Asks(Asks),
}

#[derive(Clone, Debug, Args)]
struct Load {
    /// Simulated agents, one slot each
    #[arg(long, default_value_t = 1000)]
    agents: usize,

    /// HTTP/2 connections that they share; 0: one each
    #[arg(long, default_value_t = 16)]
    connections: usize,

    /// How long to measure
    #[arg(long, default_value_t = 20)]
    seconds: u64,

    /// How long to run before that
    #[arg(long, default_value_t = 3)]
    warm_up: u64,

    /// Metric reports of a run
    #[arg(long, default_value_t = 3)]
    reports: u32,

    /// Metric points in a report
    #[arg(long, default_value_t = 1)]
    points: u32,

    /// Runs a second, of all agents together; without it as many as the controller serves
    #[arg(long)]
    rate: Option<f64>,

    /// Runs that have ended before the load begins
    #[arg(long, default_value_t = 0)]
    history: usize,

    /// Kill the controller half-way and start it again: all agents come back at once
    #[arg(long)]
    restart: bool,

    /// Where the data lives; by default a new folder below the target folder
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// One thread: the controller is to have the rest of the machine.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let local = LocalSet::new();
    // `cargo test` hands its own arguments to this binary too: a filter, or `--nocapture`.
    if !matches!(std::env::args().nth(1).as_deref(), Some("run" | "asks")) {
        return local.run_until(smoke()).await;
    }
    match Arguments::parse().command {
        LoadCommand::Run(load) => println!("{}", local.run_until(load.run()).await?),
        LoadCommand::Asks(asks) => println!("{}", local.run_until(asks.run()).await?),
    }
    Ok(())
}

/// Checks that acknowledged runs are there: as many runs as the agents were told of, and none twice.
async fn smoke() -> Result<()> {
    let load = Load {
        agents: 5,
        connections: 2,
        seconds: 1,
        warm_up: 0,
        reports: 3,
        points: 2,
        rate: None,
        history: 10,
        restart: true,
        data_dir: None,
    };
    let figures = load.run().await?;
    ensure!(figures.runs() > 0, "no run has ended");
    Asks {
        askers: 20,
        told: 3,
    }
    .run()
    .await?;
    Ok(())
}

impl Load {
    async fn run(&self) -> Result<Arc<Figures>> {
        let mut server = Server::start(self.data_dir.as_deref()).await?;
        let figures = Arc::new(Figures::default());
        let channels = self.channels(&server)?;
        let mut sweeps = SweepServiceClient::new(server.channel()?);
        let file = CreateSweepRequest {
            yaml: agent::SWEEP_FILE.to_owned(),
            ..CreateSweepRequest::default()
        };
        let sweep = sweeps.create_sweep(file).await?.into_inner().sweep_id;
        import(&mut sweeps, &sweep, self.history).await?;

        let rhythm = self.rate.map(|rate| Rhythm {
            period: Duration::from_secs_f64(self.agents as f64 / rate),
        });
        let mut working = JoinSet::new();
        for number in 0..self.agents {
            let channel = channels[number % channels.len()].clone();
            let agent = Agent::new(
                number,
                &sweep,
                channel,
                Arc::clone(&figures),
                self.reports,
                self.points,
            );
            working.spawn_local(agent.work(rhythm.map(|rhythm| rhythm.place(number, self.agents))));
        }
        tokio::time::sleep(Duration::from_secs(self.warm_up)).await;
        figures.begin(&server)?;
        let end = Instant::now() + Duration::from_secs(self.seconds);
        if self.restart {
            tokio::time::sleep(Duration::from_secs(self.seconds) / 2).await;
            self.restart(&mut server, &figures).await?;
        }
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1).min(end - Instant::now())).await;
            figures.sample(&server)?;
        }
        figures.end(&server)?;
        figures.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = working.join_next().await {
            ended??;
        }
        self.check(&server, &sweep, &figures).await?;
        Ok(figures)
    }

    /// Returns the connections, made when they are first used, and made again when they break.
    fn channels(&self, server: &Server) -> Result<Vec<Channel>> {
        let count = if self.connections == 0 {
            self.agents
        } else {
            self.connections.min(self.agents)
        };
        (0..count).map(|_| server.channel()).collect()
    }

    async fn restart(&self, server: &mut Server, figures: &Figures) -> Result<()> {
        let before = Instant::now();
        server.restart().await?;
        let ready = before.elapsed();
        let turn = figures.turn.fetch_add(1, Ordering::Relaxed) + 1;
        // Acknowledged by the new process, for every agent: nobody was forgotten.
        while figures.back(turn) < self.agents {
            ensure!(
                before.elapsed() < Duration::from_secs(120),
                "{} of {} agents are back",
                figures.back(turn),
                self.agents
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        println!(
            "Restart: ready after {:.2} s, all {} agents served after {:.2} s",
            ready.as_secs_f64(),
            self.agents,
            before.elapsed().as_secs_f64()
        );
        Ok(())
    }

    async fn check(&self, server: &Server, sweep: &str, figures: &Figures) -> Result<()> {
        let mut sweeps = SweepServiceClient::new(server.channel()?);
        let request = GetSweepRequest {
            sweep_id: sweep.to_owned(),
        };
        let found = sweeps
            .get_sweep(request)
            .await?
            .into_inner()
            .sweep
            .context("the sweep is gone")?;
        let told = figures.runs() + self.history as u64;
        ensure!(
            found.finished == told,
            "the agents were told of {told} finished runs, the controller has {}",
            found.finished
        );
        Ok(())
    }
}

/// Gives a sweep runs that have ended.
async fn import(sweeps: &mut SweepServiceClient<Channel>, sweep: &str, count: usize) -> Result<()> {
    let mut from = 0;
    while from < count {
        let until = (from + IMPORTED_AT_ONCE).min(count);
        let run = |number: usize| ImportedRun {
            params_json: agent::configuration(number),
            value: 1.0,
            ..ImportedRun::default()
        };
        let runs = (from..until).map(run).collect();
        let request = ImportRunsRequest {
            sweep_id: sweep.to_owned(),
            request_id: String::new(),
            runs,
        };
        let imported = sweeps.import_runs(request).await?.into_inner();
        ensure!(
            imported.imported == (until - from) as u64,
            "left out: {:?}",
            imported.skipped.first()
        );
        from = until;
    }
    Ok(())
}
