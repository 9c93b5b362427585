//! Starts an agent on a paper controller and waits for its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sweep_agent::channel::{ControllerTarget, Trust};
use sweep_agent::{AgentError, AgentOptions, AgentSummary, Interrupt, Notice, Nvidia, TokenSource};
use sweep_proto::v1;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Endpoint;

use crate::fake::Fake;

pub(crate) struct Harness {
    pub(crate) fake: Arc<Fake>,
    pub(crate) options: AgentOptions,
    folder: TempDir,
}

pub(crate) struct Running {
    pub(crate) interrupts: mpsc::Sender<Interrupt>,
    pub(crate) notices: mpsc::UnboundedReceiver<Notice>,
    agent: JoinHandle<Result<AgentSummary, AgentError>>,
}

/// A controller whose sweep runs one of the programs of `tests/trainers`, once for each of `runs`
/// parameters.
pub(crate) async fn harness(command: &[&str], runs: &[Value]) -> Harness {
    let fake = Arc::new(Fake::default());
    {
        let mut paper = fake.paper();
        paper.program = v1::Program {
            command: command.iter().map(|item| (*item).to_owned()).collect(),
            metric: "loss".to_owned(),
            ..v1::Program::default()
        };
        paper.queue = runs
            .iter()
            .enumerate()
            .map(|(index, params)| assignment(index as u64 + 1, 1, params))
            .collect();
    }
    let address = Arc::clone(&fake).serve().await;
    let folder = tempfile::tempdir().unwrap();
    let options = AgentOptions {
        controller: ControllerTarget {
            endpoint: Endpoint::from_shared(format!("http://{address}"))
                .unwrap()
                .timeout(Duration::from_secs(20)),
            trust: Trust::Own,
        },
        token: TokenSource::default(),
        sweep: "wine".to_owned(),
        count: None,
        slots: Some(1),
        gpus_per_run: Some(0),
        workdir: Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/trainers"),
        runs_dir: folder.path().join("runs"),
        state_dir: folder.path().join("state"),
        grace: Duration::from_secs(30),
        settle: Duration::from_millis(200),
        wait: Duration::ZERO,
        shim: env!("CARGO_BIN_EXE_shim").into(),
        captures: false,
        ends_alone: false,
        driver: Arc::<Nvidia>::default(),
    };
    Harness {
        fake,
        options,
        folder,
    }
}

pub(crate) fn assignment(run: u64, attempt: u32, params: &Value) -> v1::Assignment {
    v1::Assignment {
        sweep_id: "wine1234".to_owned(),
        run,
        attempt,
        params_json: params.to_string(),
        repeat: 1,
        seed: 7,
        ..v1::Assignment::default()
    }
}

/// One run without parameters.
pub(crate) async fn one(command: &[&str]) -> Harness {
    harness(command, &[json!({})]).await
}

impl Harness {
    pub(crate) fn start(&self) -> Running {
        let (interrupts, orders) = mpsc::channel(4);
        let (notice, notices) = mpsc::unbounded_channel();
        let agent = tokio::spawn(sweep_agent::run(self.options.clone(), orders, notice));
        Running {
            interrupts,
            notices,
            agent,
        }
    }

    /// Runs the agent until it leaves by itself.
    pub(crate) async fn run(&self) -> AgentSummary {
        self.start().end().await.unwrap()
    }

    /// Returns the verdict and the failure of the only attempt.
    pub(crate) fn only_end(&self) -> (Verdict, v1::Failure) {
        let paper = self.fake.paper();
        assert_eq!(paper.finished.len(), 1, "{:?}", paper.finished);
        let end = paper.finished.values().next().unwrap();
        (end.result(), end.failure.clone().unwrap_or_default())
    }

    pub(crate) fn folder(&self, run: u64, attempt: u32) -> PathBuf {
        self.options
            .runs_dir
            .join("wine1234")
            .join(run.to_string())
            .join(attempt.to_string())
    }

    pub(crate) fn values(&self, run: u64, metric: &str) -> Vec<f64> {
        let paper = self.fake.paper();
        let points = paper.points.get(&(run, 1)).into_iter().flatten();
        points
            .filter(|point| point.name == metric)
            .map(|point| point.value)
            .collect()
    }

    /// The command lines of processes that carry the environment of this test's attempts.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mark = self.folder.path().to_string_lossy().into_owned();
        let processes = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let marked = processes.filter(|process| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&mark)
        });
        marked
            .map(|process| {
                std::fs::read_to_string(process.join("cmdline"))
                    .unwrap_or_default()
                    .replace('\0', " ")
            })
            .collect()
    }
}

impl Running {
    pub(crate) async fn interrupt(&self, interrupt: Interrupt) {
        self.interrupts.send(interrupt).await.unwrap();
    }

    pub(crate) async fn end(self) -> Result<AgentSummary, AgentError> {
        tokio::time::timeout(Duration::from_secs(60), self.agent)
            .await
            .expect("the agent has not ended")
            .unwrap()
    }
}
