//! A bench for tests with the real binary: its own folders, port and processes, all gone when the test ends.

mod commands;
mod git;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{GetMetricsRequest, MetricPoint};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use self::commands::start;
pub(crate) use self::commands::{CommandResult, Running, by, finish, finish_within, wait_for};
pub(crate) use self::git::{git, git_with};

/// The environment variable by which processes of a bench are known: whatever they start inherits it.
const MARK: &str = "SWEEP_TEST_MARK";

/// Counts benches, so that each has its own mark.
static BENCHES: AtomicU32 = AtomicU32::new(0);

/// Folders, a port and processes of one test.
pub(crate) struct Bench {
    folder: TempDir,
    mark: String,
    port: u16,
}

/// Adds the token of a bench's controller to each call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A process of the bench.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Its name in process lists; that of a shim changes when it gets an attempt.
    pub(crate) name: String,
    pub(crate) command: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mark = format!(
            "{}-{}",
            std::process::id(),
            BENCHES.fetch_add(1, Ordering::Relaxed)
        );
        // Free now; nobody else takes it in the moment until the controller does, or the test says so.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("there are free ports")
            .port();
        Self {
            folder: TempDir::new().expect("the temporary folder can be written"),
            mark,
            port,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the token of the controller that listens on the port.
    pub(crate) fn token(&self) -> String {
        let notes = fs::read_dir(self.path("state/sweep/controllers"))
            .expect("a controller has noted where its data is");
        let suffix = format!(":{}", self.port);
        let note = notes
            .flatten()
            .find(|note| note.file_name().to_string_lossy().ends_with(&suffix))
            .expect("it is there");
        let data = PathBuf::from(fs::read_to_string(note.path()).expect("it can be read"));
        fs::read_to_string(data.join("token"))
            .expect("it has a token")
            .trim()
            .to_owned()
    }

    /// Returns what adds the token to each call.
    pub(crate) fn bearer(&self) -> Bearer {
        Bearer(
            format!("Bearer {}", self.token())
                .parse()
                .expect("it is printable"),
        )
    }

    /// Connects to the controller that listens on the port.
    pub(crate) async fn client(&self) -> SweepServiceClient<InterceptedService<Channel, Bearer>> {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port()))
            .expect("it is an address");
        let channel = endpoint.connect().await.expect("the controller listens");
        SweepServiceClient::with_interceptor(channel, self.bearer())
    }

    /// Writes a file, and returns its path for an argument.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("the temporary folder can be written");
        self.path(name).display().to_string()
    }

    /// Puts a file with another text in the place of one, at once: who looks meanwhile sees one of the two, and no third.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        self.write("replacement", text);
        fs::rename(self.path("replacement"), self.path(name))
            .expect("the temporary folder can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the lines of a file, none if it does not exist yet.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Returns the command `sweep …` in the bench's own world.
    pub(crate) fn sweep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.path("home"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env(
                "SWEEP_CONTROLLER",
                format!("http://127.0.0.1:{}", self.port),
            )
            .env("SWEEP_TEST_STARTS", self.path("starts"))
            .env(MARK, &self.mark)
            .env("NO_COLOR", "1")
            .env("CUDA_VISIBLE_DEVICES", "")
            .env_remove("SWEEP_TOKEN")
            .env_remove("GITHUB_STEP_SUMMARY")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs `sweep …` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> CommandResult {
        finish(self.sweep(arguments))
    }

    /// Runs `sweep …`, which has to succeed, and returns its standard output.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "sweep {arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Creates a sweep with arguments of `sweep create`, and returns its id.
    pub(crate) fn create(&self, arguments: &[&str]) -> String {
        let id = self.ok(&[&["create"], arguments].concat());
        id.trim().to_owned()
    }

    /// Runs `sweep …` and returns each line of its standard output as JSON.
    pub(crate) fn json_lines(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.ok(arguments);
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The steps of a metric's points that the controller has of a run, in order.
    pub(crate) fn steps(&self, id: &str, run: u64, metric: &str) -> Vec<i64> {
        self.points(id, run)
            .into_iter()
            .filter(|point| point.name == metric)
            .filter_map(|point| point.step)
            .collect()
    }

    /// The values of a metric's points that the controller has of a run, in order.
    pub(crate) fn values(&self, id: &str, run: u64, metric: &str) -> Vec<f64> {
        self.points(id, run)
            .into_iter()
            .filter(|point| point.name == metric)
            .map(|point| point.value)
            .collect()
    }

    /// The points that the controller has of a run, in order.
    fn points(&self, id: &str, run: u64) -> Vec<MetricPoint> {
        let request = GetMetricsRequest {
            sweep_id: id.to_owned(),
            run,
            attempt: 0,
        };
        runtime().block_on(async {
            let mut client = self.client().await;
            let mut pages = client
                .get_metrics(request)
                .await
                .expect("it is known")
                .into_inner();
            let mut points = Vec::new();
            while let Some(page) = pages.message().await.expect("it answers") {
                points.extend(page.points);
            }
            points
        })
    }

    /// How many points of the metric `loss` the controller has of a run.
    pub(crate) fn steps_reported(&self, id: &str, run: u64) -> usize {
        self.points(id, run)
            .iter()
            .filter(|point| point.name == "loss")
            .count()
    }

    /// Runs a command of another program to its end, with `sweep` as its last argument and as `$SWEEP`, and without the name of a controller.
    pub(crate) fn finish_unconnected(&self, other: Command) -> CommandResult {
        let mut command = by(other, &self.sweep(&[]));
        command
            .env_remove("SWEEP_CONTROLLER")
            .env("SWEEP", env!("CARGO_BIN_EXE_sweep"));
        finish(command)
    }

    /// Starts `sweep …`.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_command(self.sweep(arguments))
    }

    /// Starts a command.
    pub(crate) fn start_command(&self, command: Command) -> Running {
        start(
            command,
            self.path(&format!(
                "output-{}",
                BENCHES.fetch_add(1, Ordering::Relaxed)
            )),
        )
    }

    /// Starts a controller in the foreground and waits until it listens. Its leases are short, so that lost agents are noticed in time.
    pub(crate) fn controller(&self) -> Running {
        self.controller_at(&self.path("controller").display().to_string(), "3s")
    }

    /// Starts a controller on the port with its data in a folder, and waits until it listens.
    pub(crate) fn controller_at(&self, data: &str, lease: &str) -> Running {
        self.controller_on("127.0.0.1", data, lease)
    }

    /// Starts a controller that listens on an address of this machine.
    pub(crate) fn controller_on(&self, address: &str, data: &str, lease: &str) -> Running {
        let running = self.start(&[
            "controller",
            "--listen",
            &format!("{address}:{}", self.port),
            "--data-dir",
            data,
            "--lease",
            lease,
        ]);
        self.listening(&running);
        running
    }

    /// Writes a backup of a data directory, and returns what the command prints.
    pub(crate) fn back_up(&self, file: &str, data: &str) -> String {
        self.ok(&["controller", "backup", file, "--data-dir", data])
    }

    /// Restores a backup into a data directory, and returns what the command prints.
    pub(crate) fn restore(&self, file: &str, data: &str) -> String {
        self.ok(&["controller", "restore", file, "--data-dir", data])
    }

    /// Waits until a controller listens on the port and can be found by commands.
    pub(crate) fn listening(&self, running: &Running) {
        wait_for(
            &format!("a controller on port {}: {}", self.port, running.what),
            || {
                let is_found = running.output().contains("Listening on ");
                (is_found && TcpStream::connect(("127.0.0.1", self.port)).is_ok()).then_some(())
            },
        );
    }

    /// Returns the processes of this bench that run.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mark = format!("{MARK}={}\0", self.mark);
        let entries = fs::read_dir("/proc")
            .expect("the tests need Linux")
            .filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let ours = pids.filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .windows(mark.len())
                .any(|window| window == mark.as_bytes())
        });
        let command = |pid| {
            String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
                .replace('\0', " ")
        };
        let name = |pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .unwrap_or_default()
                .trim_end()
                .to_owned()
        };
        ours.map(|pid| Process {
            pid,
            name: name(pid),
            command: command(pid),
        })
        .collect()
    }

    /// Waits until no process of this bench runs any more.
    pub(crate) fn nothing_left(&self) {
        let left = || self.processes().is_empty().then_some(());
        // A process that was killed needs a moment until it is gone.
        let deadline = Instant::now() + Duration::from_secs(5);
        while left().is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        assert!(left().is_some(), "left behind: {:#?}", self.processes());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Twice: a process may have started another one between the look and the kill.
        for _ in 0..2 {
            for process in self.processes() {
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
            }
        }
    }
}

/// Returns a runtime for calls to the controller.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// Returns the path of a training program in `tests/trainers`.
pub(crate) fn trainer(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/trainers")
        .join(name)
        .display()
        .to_string()
}

/// Says whether a test can run: `SWEEP_TEST_REQUIRE` with its word makes it fail where it cannot.
pub(crate) fn requires(word: &str, is_here: bool, why_not: &str) -> bool {
    let required = std::env::var("SWEEP_TEST_REQUIRE")
        .is_ok_and(|words| words.split(',').any(|required| required == word));
    assert!(
        is_here || !required,
        "SWEEP_TEST_REQUIRE asks for {word}: {why_not}"
    );
    if !is_here {
        eprintln!("SKIPPED: {why_not}");
    }
    is_here
}

/// Says whether Python with a module is here. Without it the test is skipped, unless `SWEEP_TEST_REQUIRE` has its word.
pub(crate) fn has_python(module: &str, word: &str, requirements: &str) -> bool {
    let mut python = Command::new("python");
    python
        .args(["-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let found = python.status().is_ok_and(|status| status.success());
    requires(
        word,
        found,
        &format!("no Python with {module}; pip install -r {requirements}"),
    )
}
