//! Measures the whole over gRPC: the real binary as a controller, the generated clients as agents and as a program of the user.
//!
//! ```console
//! $ cargo bench --bench controller                  # everything
//! $ cargo bench --bench controller -- acquire       # acquire, paused, cycle or import
//! ```

#![expect(clippy::print_stdout, reason = "it prints tables")]

mod problem;
#[path = "../../tests/load/processor.rs"]
mod processor;
mod server;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::agent_service_client::AgentServiceClient;
use sweep_proto::v1::finish_attempt_request::Result as Outcome;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::tell_request;
use sweep_proto::v1::{
    AcquireRequest, AskRequest, AskResponse, Assignment, CancelRunRequest, CreateSweepRequest,
    FinishAttemptRequest, GetStatusRequest, ImportRunsRequest, ImportedRun, MetricPoint,
    RegisterAgentRequest, ReportMetricsRequest, TellRequest,
};
use tonic::transport::Channel;

use server::Server;

const AGENT: &str = "bench";
/// Calls whose times count, and those before them, in which connections and caches warm up.
const CALLS: usize = 500;
const WARM_UP: usize = 20;
/// The history behind a Bayesian suggestion that is ready.
const HISTORY: usize = 20;
/// Cycles that are averaged before each number of runs.
const WINDOW: usize = 20;
const RUNS: [usize; 4] = [50, 100, 200, 500];
const IMPORTS: [usize; 2] = [2000, 5000];

/// One thread: with more, each call would wait for a thread of the client to wake up.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` starts benchmarks too, without this word.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let known = ["acquire", "paused", "cycle", "import"];
    for name in &names {
        ensure!(
            known.contains(&name.as_str()),
            "there is no benchmark `{name}`; there are {}",
            known.join(", ")
        );
    }
    let is_wanted =
        |benchmark: &str| names.is_empty() || names.iter().any(|name| *name == benchmark);
    if is_wanted("acquire") {
        acquire(false).await?;
    }
    if is_wanted("paused") {
        acquire(true).await?;
    }
    if is_wanted("cycle") {
        cycle().await?;
    }
    if is_wanted("import") {
        import().await?;
    }
    Ok(())
}

/// How long `Acquire` takes when a suggestion is ready, beside a call that changes nothing: that is the share of gRPC and of the machine. After a
/// pause each call finds processors asleep.
async fn acquire(pauses: bool) -> Result<()> {
    println!("\n| {CALLS} calls | p50 | p99 | longest |\n|---|---|---|---|");
    let server = Server::start().await?;
    let mut client = Client::new(&server, "random").await?;
    let mut times = Vec::new();
    for _ in 0..WARM_UP + CALLS {
        pause(&server, pauses).await?;
        let before = Instant::now();
        client.sweeps.get_status(GetStatusRequest {}).await?;
        times.push(before.elapsed());
    }
    print_percentiles("`GetStatus`, for comparison", pauses, times);
    // One after the other, a Bayesian suggestion would not be ready.
    for method in if pauses {
        ["random", "bayes"].as_slice()
    } else {
        &["random"]
    } {
        let server = Server::start().await?;
        let mut client = Client::new(&server, method).await?;
        for _ in 0..if *method == "bayes" { HISTORY } else { 0 } {
            let asked = client.ask().await?;
            client.tell(&asked).await?;
        }
        client.register().await?;
        let mut times = Vec::new();
        for _ in 0..WARM_UP + CALLS {
            pause(&server, pauses).await?;
            let before = Instant::now();
            let assignment = client.acquire().await?;
            times.push(before.elapsed());
            // The search sees nothing of a cancelled run: its history keeps its length, and with it the time that the next one takes.
            if *method == "bayes" {
                client.cancel(&assignment).await?;
            } else {
                client.succeed(&assignment).await?;
            }
        }
        print_percentiles(&format!("`Acquire`, `method: {method}`"), pauses, times);
    }
    Ok(())
}

/// Waits until the next suggestion is ready.
async fn pause(server: &Server, pauses: bool) -> Result<()> {
    if pauses { server.quiet().await } else { Ok(()) }
}

fn print_percentiles(what: &str, pauses: bool, mut times: Vec<Duration>) {
    let times = &mut times[WARM_UP..];
    times.sort();
    let [p50, p99, longest] =
        [CALLS / 2, CALLS * 99 / 100, CALLS - 1].map(|place| milliseconds(times[place]));
    let rhythm = if pauses {
        "after a pause each"
    } else {
        "one after the other"
    };
    println!("| {what}, {rhythm} | {p50:.2} ms | {p99:.2} ms | {longest:.2} ms |");
}

/// Measures the cost of a suggestion when the search dominates: ask, tell at once, ask again.
async fn cycle() -> Result<()> {
    println!(
        "\n| runs | a cycle of `Ask` and `Tell` | `Ask` | processor time of the controller | suggestions that had not seen all results |"
    );
    println!("|---|---|---|---|---|");
    let server = Server::start().await?;
    let mut client = Client::new(&server, "bayes").await?;
    let (mut times, mut asking, mut used, mut stale) =
        (Duration::ZERO, Duration::ZERO, server.processor_time()?, 0);
    for told in 0..RUNS[RUNS.len() - 1] {
        if RUNS.contains(&(told + WINDOW)) {
            (times, asking, used, stale) =
                (Duration::ZERO, Duration::ZERO, server.processor_time()?, 0);
        }
        let before = Instant::now();
        let asked = client.ask().await?;
        asking += before.elapsed();
        stale += usize::from(
            asked
                .why
                .as_ref()
                .is_some_and(|why| why.observations < told as u64),
        );
        client.tell(&asked).await?;
        times += before.elapsed();
        if RUNS.contains(&(told + 1)) {
            let used = server.processor_time()?.saturating_sub(used);
            let [cycle, ask, used] =
                [times, asking, used].map(|sum| milliseconds(sum) / WINDOW as f64);
            println!(
                "| {} | {cycle:.1} ms | {ask:.1} ms | {used:.1} ms | {stale} of {WINDOW} |",
                told + 1
            );
        }
    }
    println!(
        "\nThe controller after {} runs: {}",
        RUNS[RUNS.len() - 1],
        memory(&server).await?
    );
    Ok(())
}

/// Measures the cost of many imported runs, and of a suggestion that uses them.
async fn import() -> Result<()> {
    println!("\n| runs | `ImportRuns` | the next `Ask` | the controller then |\n|---|---|---|---|");
    for count in IMPORTS {
        let server = Server::start().await?;
        let mut client = Client::new(&server, "bayes").await?;
        let runs = (0..count).map(|run| {
            let params_json = problem::configuration(run).to_string();
            let value = problem::loss(&params_json)?;
            Ok(ImportedRun {
                params_json,
                value,
                ..ImportedRun::default()
            })
        });
        let request = ImportRunsRequest {
            sweep_id: client.sweep.clone(),
            request_id: String::new(),
            runs: runs.collect::<Result<_>>()?,
        };
        let before = Instant::now();
        let imported = client.sweeps.import_runs(request).await?.into_inner();
        let importing = before.elapsed();
        ensure!(
            imported.imported == count as u64,
            "left out: {:?}",
            imported.skipped
        );
        let before = Instant::now();
        let asked = client.ask().await?;
        let asking = before.elapsed();
        ensure!(
            asked
                .why
                .is_some_and(|why| why.observations == count as u64),
            "the suggestion has not seen what was imported"
        );
        println!(
            "| {count} | {:.0} ms | {:.0} ms | {} |",
            milliseconds(importing),
            milliseconds(asking),
            memory(&server).await?
        );
    }
    Ok(())
}

/// Returns what the controller holds at rest, what it has held at most, and what it has written.
async fn memory(server: &Server) -> Result<String> {
    server.quiet().await?;
    let memory = server.memory()?;
    Ok(format!(
        "{:.1} MB resident at rest, {:.1} MB at most; {:.1} MB on disk",
        memory.now,
        memory.most,
        server.disk()?
    ))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// An agent and a program of the user in one.
struct Client {
    sweeps: SweepServiceClient<Channel>,
    agents: AgentServiceClient<Channel>,
    sweep: String,
    calls: u64,
}

impl Client {
    async fn new(server: &Server, method: &str) -> Result<Self> {
        let channel = server.connect().await?;
        let mut sweeps = SweepServiceClient::new(channel.clone());
        let created = sweeps
            .create_sweep(CreateSweepRequest {
                yaml: problem::file(method),
                ..CreateSweepRequest::default()
            })
            .await?;
        Ok(Self {
            sweeps,
            agents: AgentServiceClient::new(channel),
            sweep: created.into_inner().sweep_id,
            calls: 0,
        })
    }

    /// Returns a new request id: the controller keeps the reply of each, as it does for everybody.
    fn request_id(&mut self) -> String {
        self.calls += 1;
        format!("{AGENT}-{}", self.calls)
    }

    async fn ask(&mut self) -> Result<AskResponse> {
        let request_id = self.request_id();
        let request = AskRequest {
            sweep_id: self.sweep.clone(),
            request_id,
            worker: AGENT.to_owned(),
            code_version: String::new(),
        };
        Ok(self.sweeps.ask(request).await?.into_inner())
    }

    async fn tell(&mut self, asked: &AskResponse) -> Result<()> {
        let value = problem::loss(&asked.params_json)?;
        let request = TellRequest {
            sweep_id: self.sweep.clone(),
            run: asked.run,
            attempt: asked.attempt,
            request_id: self.request_id(),
            outcome: Some(tell_request::Outcome::Value(value)),
            ..TellRequest::default()
        };
        self.sweeps.tell(request).await?;
        Ok(())
    }

    async fn register(&mut self) -> Result<()> {
        let request = RegisterAgentRequest {
            agent_id: AGENT.to_owned(),
            sweep_id: self.sweep.clone(),
            host: AGENT.to_owned(),
            slots: 1,
            version: String::new(),
            request_id: self.request_id(),
            ..RegisterAgentRequest::default()
        };
        self.agents.register_agent(request).await?;
        Ok(())
    }

    async fn acquire(&mut self) -> Result<Assignment> {
        let request = AcquireRequest {
            agent_id: AGENT.to_owned(),
            sweep_id: self.sweep.clone(),
            wait_ms: 30_000,
            request_id: self.request_id(),
            ..AcquireRequest::default()
        };
        match self
            .agents
            .acquire(request)
            .await?
            .into_inner()
            .next
            .context("an empty answer")?
        {
            Next::Assignment(assignment) => Ok(assignment),
            other => anyhow::bail!("no run: {other:?}"),
        }
    }

    async fn succeed(&mut self, assignment: &Assignment) -> Result<()> {
        let value = problem::loss(&assignment.params_json)?;
        let request = ReportMetricsRequest {
            agent_id: AGENT.to_owned(),
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            first_seq: 0,
            points: vec![MetricPoint {
                name: "loss".to_owned(),
                step: Some(1),
                wall_ms: 1,
                value,
            }],
            incarnation: String::new(),
        };
        self.agents.report_metrics(request).await?;
        self.finish(assignment, Outcome::Succeeded).await
    }

    async fn cancel(&mut self, assignment: &Assignment) -> Result<()> {
        let request = CancelRunRequest {
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            request_id: self.request_id(),
        };
        self.sweeps.cancel_run(request).await?;
        self.finish(assignment, Outcome::Cancelled).await
    }

    async fn finish(&mut self, assignment: &Assignment, outcome: Outcome) -> Result<()> {
        let request = FinishAttemptRequest {
            agent_id: AGENT.to_owned(),
            sweep_id: self.sweep.clone(),
            run: assignment.run,
            attempt: assignment.attempt,
            result: outcome.into(),
            failure: None,
            request_id: self.request_id(),
            incarnation: String::new(),
            points: 0,
        };
        self.agents.finish_attempt(request).await?;
        Ok(())
    }
}
