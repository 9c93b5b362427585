//! Disks that are full, that fail, and that give back something else: nothing acknowledged is lost, and what can go on does.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::tell_request::Outcome;
use sweep_proto::v1::{AskRequest, TellRequest};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::harness::{Bearer, Bench, by, requires, runtime, trainer, wait_for};

/// A separate disk, gone when the test ends.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said loudly, where nobody may mount anything.
    pub(crate) fn mount(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        requires(
            "root",
            mounted.is_ok_and(|output| output.status.success()),
            "only root may mount a small disk",
        )
        .then_some(Self(path))
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> PathBuf {
        let ballast = self.0.join("ballast");
        let mut size = 1 << 16;
        let mut file = fs::File::create(&ballast).expect("there is room for an empty file");
        while size > 0 {
            use std::io::Write;
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A program that asks and tells, and remembers what it was told.
pub(crate) struct Teller {
    runtime: tokio::runtime::Runtime,
    client: SweepServiceClient<InterceptedService<Channel, Bearer>>,
    sweep: String,
    calls: u64,
    /// Runs whose result was acknowledged.
    told: BTreeMap<u64, f64>,
}

impl Teller {
    pub(crate) fn new(bench: &Bench, sweep: &str) -> Self {
        let runtime = runtime();
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", bench.port()))
            .expect("it is an address");
        let inside = runtime.enter();
        let client = SweepServiceClient::with_interceptor(
            endpoint.timeout(Duration::from_secs(20)).connect_lazy(),
            bench.bearer(),
        );
        drop(inside);
        Self {
            runtime,
            client,
            sweep: sweep.to_owned(),
            calls: 0,
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn ask_and_tell(&mut self) -> Result<(), Status> {
        self.calls += 1;
        let id = format!("{}-{}", std::process::id(), self.calls);
        let ask = AskRequest {
            sweep_id: self.sweep.clone(),
            request_id: format!("ask {id}"),
            worker: "w".to_owned(),
            ..AskRequest::default()
        };
        let asked = self.runtime.block_on(self.client.ask(ask))?.into_inner();
        let value = self.calls as f64;
        let tell = TellRequest {
            sweep_id: self.sweep.clone(),
            run: asked.run,
            attempt: asked.attempt,
            request_id: format!("tell {id}"),
            outcome: Some(Outcome::Value(value)),
            ..TellRequest::default()
        };
        self.runtime.block_on(self.client.tell(tell))?;
        self.told.insert(asked.run, value);
        Ok(())
    }

    /// Compares what was acknowledged with what is there.
    pub(crate) fn check(&self, bench: &Bench) {
        let runs = bench.json_lines(&["runs", &self.sweep, "--json"]);
        let values: BTreeMap<u64, &Value> = runs
            .iter()
            .filter_map(|run| Some((run["run"].as_u64()?, &run["value"])))
            .collect();
        for (run, value) in &self.told {
            assert_eq!(
                values.get(run).and_then(|value| value.as_f64()),
                Some(*value),
                "run {run} was acknowledged"
            );
        }
    }
}

pub(crate) fn random_sweep(bench: &Bench) -> String {
    let text = "method: random\nmetric: {name: loss}\nprogram: paper\nparameters:\n  x: {min: 0.0, max: 1.0}\n";
    let file = bench.write("sweep.yaml", text);
    bench.create(&[&file])
}

#[test]
fn whichever_write_fails_nothing_acknowledged_is_lost() {
    let works = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !requires(
        "strace",
        works,
        "strace makes a write fail, and is not here or may not trace",
    ) {
        return;
    }
    let bench = Bench::new();
    let controller = bench.controller();
    let id = random_sweep(&bench);
    let mut teller = Teller::new(&bench, &id);
    for _ in 0..20 {
        teller.ask_and_tell().expect("the controller is well");
    }
    controller.kill();
    for k in 1..=30 {
        // From that call on, or that one alone.
        let when = if k % 2 == 0 {
            format!("{k}+")
        } else {
            k.to_string()
        };
        let mut traced = Command::new("strace");
        traced
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=fdatasync,fsync",
            ])
            .args([
                "-e",
                &format!("inject=fdatasync,fsync:error=EIO:when={when}"),
            ]);
        let (listen, data) = (
            format!("127.0.0.1:{}", bench.port()),
            bench.path("controller").display().to_string(),
        );
        let controller = bench.sweep(&["controller", "--listen", &listen, "--data-dir", &data]);
        let mut failing = bench.start_command(by(traced, &controller));
        // Calls wait until somebody listens, and fail when nobody ever will.
        let mut tells = 0;
        while !failing.has_ended() {
            if teller.ask_and_tell().is_err() {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            }
            tells += 1;
            assert!(tells < 200, "write {k} never failed");
        }
        let (code, output) = failing.wait();
        assert_ne!(code, 0, "k = {k}: {output}");
        assert!(output.contains("disk I/O error"), "k = {k}: {output}");
        let well = bench.controller();
        teller.check(&bench);
        teller.ask_and_tell().expect("it goes on");
        well.kill();
    }
    assert!(teller.told.len() > 100, "{}", teller.told.len());
}

#[test]
fn a_full_disk_refuses_writes_answers_reads_and_passes() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("controller"), "3m") else {
        return;
    };
    let _controller = bench.controller();
    let id = random_sweep(&bench);
    let mut teller = Teller::new(&bench, &id);
    teller.ask_and_tell().expect("there is room");
    for round in 0..3 {
        let ballast = disk.fill();
        let refused = (0..2000)
            .find_map(|_| teller.ask_and_tell().err())
            .expect("the disk is full");
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        assert!(refused.message().contains("space"), "{refused}");
        // Reads go on, and say what was acknowledged.
        teller.check(&bench);
        let file = bench.path("sweep.yaml").display().to_string();
        let create = bench.run(&["create", &file]);
        assert!(
            create.code != 0 && create.stderr.contains("space"),
            "round {round}: {create:?}"
        );
        fs::remove_file(ballast).expect("it is there");
        wait_for("the controller to recover", || teller.ask_and_tell().ok());
        teller.check(&bench);
    }
}

#[test]
fn sweep_run_ends_when_told_even_on_a_full_disk() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("state"), "4m") else {
        return;
    };
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, --steps=600]\nparameters:\n  x: {{values: [1, 2, 3]}}\n",
        trainer("steps.sh")
    );
    let file = bench.write("sweep.yaml", &text);
    let run = bench.start(&["run", &file, "--grace", "1s"]);
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    let _ballast = disk.fill();
    std::thread::sleep(Duration::from_secs(2));
    run.signal(Signal::SIGTERM);
    let began = std::time::Instant::now();
    let (code, output) = run.wait();
    assert_ne!(code, 0, "{output}");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}: {output}",
        began.elapsed()
    );
    bench.nothing_left();
}

#[test]
fn an_agent_whose_disk_is_full_still_says_how_its_program_ended() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "2m") else {
        return;
    };
    let _controller = bench.controller();
    let text = r#"
method: grid
metric: {name: loss}
command: [sh, -c, 'echo "{\"loss\": 1.5}"; touch "$SWEEP_PARAM_X/begun"; until test -e "$SWEEP_PARAM_X/go"; do sleep 0.05; done']
parameters:
  x: {values: [FOLDER]}
"#;
    let file = bench.write(
        "sweep.yaml",
        &text.replace("FOLDER", &bench.path(".").display().to_string()),
    );
    let id = bench.create(&[&file]);
    let agent = bench.start(&["agent", &id, "--runs-dir", &disk.0.display().to_string()]);
    wait_for("the start", || bench.path("begun").exists().then_some(()));
    // A full disk loses output that is not written when the program ends.
    wait_for("what it has printed", || {
        (!bench.values(&id, 1, "loss").is_empty()).then_some(())
    });
    let _ballast = disk.fill();
    bench.write("go", "");
    let run = wait_for("the end", || {
        bench
            .json_lines(&["runs", &id, "--json"])
            .into_iter()
            .find(|run| run["state"] == "finished")
    });
    assert_eq!(run["value"].as_f64(), Some(1.5), "{run}");
    let (_, output) = agent.wait();
    assert!(
        bench
            .processes()
            .iter()
            .all(|process| process.name != "sweep-shim"),
        "{output}"
    );
}

/// A grid of three runs, the first of which ends when the file `go` is there.
fn three_runs(bench: &Bench) -> String {
    let text = r#"
method: grid
metric: {name: loss}
command: [sh, -c, 'echo "{\"loss\": $SWEEP_PARAM_X}"; touch FOLDER/begun; until test -e FOLDER/go; do sleep 0.05; done']
parameters:
  x: {values: [1, 2, 3]}
"#;
    let file = bench.write(
        "sweep.yaml",
        &text.replace("FOLDER", &bench.path(".").display().to_string()),
    );
    bench.create(&[&file])
}

#[test]
fn an_agent_whose_disk_is_full_waits_and_says_so() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "4m") else {
        return;
    };
    let _controller = bench.controller();
    let id = three_runs(&bench);
    let mut agent = bench.start(&["agent", &id, "--runs-dir", &disk.0.display().to_string()]);
    wait_for("the start", || bench.path("begun").exists().then_some(()));
    // Until the agent has written it down, there has to be space.
    wait_for("a run that runs", || {
        bench
            .json_lines(&["runs", &id, "--json"])
            .iter()
            .any(|run| run["state"] == "running")
            .then_some(())
    });
    let ballast = disk.fill();
    bench.write("go", "");
    wait_for("a word", || {
        agent
            .output()
            .contains("is full: no run is taken until there is space again")
            .then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    assert!(!agent.has_ended(), "{}", agent.output());
    let states = || {
        bench
            .json_lines(&["runs", &id, "--json"])
            .iter()
            .map(|run| run["state"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        states()
            .iter()
            .filter(|state| state.contains("finished"))
            .count(),
        1,
        "{:?}",
        states()
    );
    fs::remove_file(ballast).expect("it is there");
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("there is space on the disk")
            && output.matches("no run is taken").count() == 1,
        "{output}"
    );
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.len() == 3 && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
}

#[test]
fn an_agent_that_starts_on_a_full_disk_waits_for_space_or_for_the_end_of_its_sweep() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "4m") else {
        return;
    };
    let _controller = bench.controller();
    bench.write("go", "");
    let folder = disk.0.display().to_string();
    let (first, second) = (three_runs(&bench), three_runs(&bench));
    let ballast = disk.fill();
    let agents = [&first, &second].map(|id| bench.start(&["agent", id, "--runs-dir", &folder]));
    for agent in &agents {
        wait_for("a word", || {
            agent
                .output()
                .contains("is full: no run is taken")
                .then_some(())
        });
    }
    let [finishes, cancelled] = agents;
    bench.ok(&["cancel", &second]);
    fs::remove_file(ballast).expect("it is there");
    assert_eq!(finishes.wait().0, 0);
    assert_eq!(cancelled.wait().0, 0);
    let runs = bench.json_lines(&["runs", &first, "--json"]);
    assert!(
        runs.len() == 3 && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
}

#[test]
fn an_agent_whose_disk_is_full_leaves_when_its_sweep_has_ended() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "4m") else {
        return;
    };
    let _controller = bench.controller();
    let id = three_runs(&bench);
    let agent = bench.start(&["agent", &id, "--runs-dir", &disk.0.display().to_string()]);
    wait_for("the start", || bench.path("begun").exists().then_some(()));
    let _ballast = disk.fill();
    bench.write("go", "");
    wait_for("a word", || {
        agent
            .output()
            .contains("is full: no run is taken")
            .then_some(())
    });
    bench.ok(&["cancel", &id]);
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
}

#[test]
fn an_agent_whose_disk_can_hold_no_more_files_waits_and_says_so() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(bench.path("runs"), "4m,nr_inodes=45") else {
        return;
    };
    let _controller = bench.controller();
    let id = three_runs(&bench);
    let agent = bench.start(&["agent", &id, "--runs-dir", &disk.0.display().to_string()]);
    wait_for("a word", || {
        agent
            .output()
            .contains("has no room for more files (inodes): no run is taken")
            .then_some(())
    });
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert!(
        runs.iter()
            .all(|run| run["attempts"].as_u64().unwrap_or(0) <= 1),
        "no run is taken and given back again and again: {runs:#?}"
    );
    bench.ok(&["cancel", &id]);
    assert_eq!(agent.wait().0, 0);
}
