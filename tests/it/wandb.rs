//! Programs that log to W&B, as they are: examples/moons/ and smaller ones.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Bench, Running, has_python, wait_for};

fn has_wandb() -> bool {
    has_python("wandb", "wandb", "examples/moons/requirements.txt")
}

/// The example's file with other lines in place of some.
fn file(bench: &Bench, replaced: &[(&str, &str)]) -> String {
    let example = format!("{}/examples/moons/sweep.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut text = fs::read_to_string(example).expect("it is there");
    for (from, to) in replaced {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    bench.write("sweep.yaml", &text)
}

#[test]
fn a_program_of_wandb_needs_nothing_else() {
    if !has_wandb() {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&file(&bench, &[("run_cap: 16", "run_cap: 4")])]);
    let (code, output) = bench
        .start(&[
            "agent",
            &id,
            "--workdir",
            env!("CARGO_MANIFEST_DIR"),
            "--slots",
            "2",
        ])
        .wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", &id, "--json"]);
    assert_eq!(runs.len(), 4);
    for run in &runs {
        let number = run["run"].as_u64().expect("a number");
        assert_eq!(run["state"], "finished", "{run}");
        for metric in ["val_loss", "train.loss", "epoch"] {
            assert_eq!(
                bench.steps(&id, number, metric),
                (0..20).collect::<Vec<_>>(),
                "each point of {metric} once"
            );
        }
        // Set in the summary alone.
        assert!(
            run["metrics"]["val_accuracy"]
                .as_f64()
                .is_some_and(|accuracy| accuracy > 0.4),
            "{run}"
        );
        assert!(
            run["metrics"]
                .as_object()
                .is_some_and(|metrics| !metrics.keys().any(|name| name.starts_with('_'))),
            "{run}"
        );
    }
    // The parameters came from the sweep, not from the program's defaults.
    let again = bench
        .json_lines(&["reproduce", &format!("{id}/1"), "again", "--run", "--json"])
        .remove(0);
    assert_eq!(again["reproduced"], true, "{again}");
}

#[test]
fn what_wandb_has_written_counts_once_when_an_agent_is_killed() {
    if !has_wandb() {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    let few = [("run_cap: 16", "run_cap: 1"), ("value: 20", "value: 50")];
    let id = bench.create(&[&file(&bench, &few)]);
    let begin = || {
        let mut agent = bench.sweep(&["agent", &id, "--workdir", env!("CARGO_MANIFEST_DIR")]);
        agent.env("EPOCH_SECONDS", "0.4");
        bench.start_command(agent)
    };
    let agent = begin();
    // The library writes in bursts.
    wait_for("its run", || {
        (!bench.json_lines(&["runs", &id, "--json"]).is_empty()).then_some(())
    });
    wait_for("what was logged first", || {
        (!bench.steps(&id, 1, "val_loss").is_empty()).then_some(())
    });
    agent.kill();
    let (code, output) = begin().wait();
    assert!(code == 0 && output.contains("taken over"), "{output}");
    for metric in ["val_loss", "train.loss"] {
        assert_eq!(
            bench.steps(&id, 1, metric),
            (0..50).collect::<Vec<_>>(),
            "each point of {metric} once"
        );
    }
}

const REQUIREMENTS: &str = "tests/it/requirements.txt";

/// A sweep of two learning rates, 0.25 and 0.5, over a program that has the rate in `lr`.
struct Rates {
    bench: Bench,
    _controller: Running,
}

impl Rates {
    fn new() -> Self {
        let bench = Bench::new();
        let controller = bench.controller();
        Self {
            bench,
            _controller: controller,
        }
    }

    /// Executes a program and returns the sweep, its runs, and what the agent has said.
    fn execute(
        &self,
        program: &str,
        keys: &str,
        environment: &[(&str, &str)],
    ) -> (String, Vec<Value>, String) {
        let bench = &self.bench;
        let keys = if keys.contains("command:") {
            keys.to_owned()
        } else {
            format!("command: [\"${{env}}\", \"${{interpreter}}\", \"${{program}}\"]\n{keys}")
        };
        bench.write(
            "train.py",
            &format!("import os, sys\nlr = float(os.environ.get('SWEEP_PARAM_LR', 0))\n{program}"),
        );
        let file = bench.write(
            "sweep.yaml",
            &format!(
                "program: train.py\nmethod: grid\nretry: {{crashed: 0, machine: 0}}\n\
                 metric: {{name: val_loss, goal: minimize}}\nparameters: {{lr: {{values: [0.25, 0.5]}}}}\n{keys}"
            ),
        );
        let id = bench.create(&[&file]);
        let mut agent = bench.sweep(&["agent", &id]);
        agent
            .env_remove("WANDB_MODE")
            .envs(environment.iter().copied());
        let (_, output) = bench.start_command(agent).wait();
        let runs = bench.json_lines(&["runs", &id, "--json"]);
        assert_eq!(runs.len(), 2, "{output}");
        (id, runs, output)
    }
}

#[track_caller]
fn assert_values(runs: &[Value], values: [f64; 2], output: &str) {
    for (run, value) in runs.iter().zip(values) {
        let is_so = run["state"] == "finished"
            && run["value"]
                .as_f64()
                .is_some_and(|found| (found - value).abs() < 1e-9);
        assert!(is_so, "{value}: {run}\n{output}");
    }
}

#[test]
fn the_summary_counts_beside_the_history_and_media_are_no_metrics() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let program = |set: f64| {
        format!(
            "import wandb\nrun = wandb.init()\nrun.define_metric('acc', summary='min,max')\nfor step in range(3):\n    \
             run.log({{'val_loss': lr * (3 - step), 'acc': step, 'table': wandb.Table(columns=['a'], data=[[1]])}})\n\
             run.summary['val_loss'] = lr * {set}\nrun.summary['test'] = {{'f1': {{'macro': 0.5}}}}\nrun.finish()\n"
        )
    };
    let rates = Rates::new();
    let (id, runs, output) = rates.execute(&program(0.5), "", &[]);
    assert_values(&runs, [0.125, 0.25], &output);
    assert_eq!(
        rates.bench.steps(&id, 1, "val_loss"),
        [0, 1, 2],
        "the curve is the history"
    );
    let metrics = runs[0]["metrics"].as_object().expect("it has some");
    let found: Vec<_> = metrics
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_f64()))
        .collect();
    let expected = [
        ("acc", 2.0),
        ("acc.max", 2.0),
        ("acc.min", 0.0),
        ("test.f1.macro", 0.5),
        ("val_loss", 0.25),
        ("val_loss.summary", 0.125),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name, Some(value))));
    // W&B's search takes the best of both, its table shows the summary.
    let (_, runs, output) = rates.execute(&program(2.0), "", &[]);
    assert_values(&runs, [0.25, 0.5], &output);
    assert_eq!(
        (runs[1]["best"].as_f64(), runs[1]["last"].as_f64()),
        (Some(0.5), Some(1.0)),
        "{}",
        runs[1]
    );
}

#[test]
fn folds_are_kept_apart_and_their_mean_is_the_objective() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let program = |init: &str| {
        format!(
            "import wandb\nfor fold in range(3):\n    run = wandb.init(project='cv', {init})\n    for epoch in range(3):\n        \
             run.log({{'val_loss': fold + lr * (3 - epoch)}})\n    run.finish()\n"
        )
    };
    let rates = Rates::new();
    let (id, runs, output) = rates.execute(
        &program("group='cv', name=f'fold-{fold}', reinit='finish_previous'"),
        "",
        &[],
    );
    assert_values(&runs, [1.25, 1.5], &output);
    assert_eq!(
        output.matches("calls wandb.init several times").count(),
        1,
        "{output}"
    );
    for name in ["val_loss", "init-2/val_loss", "init-3/val_loss"] {
        assert_eq!(rates.bench.steps(&id, 2, name), [0, 1, 2], "{name}");
    }
    let (_, runs, output) = rates.execute(
        &program("reinit='finish_previous'"),
        "objective_over_inits: last\n",
        &[],
    );
    assert_values(&runs, [2.25, 2.5], &output);
    let (id, runs, output) = rates.execute(&program("id='mine', resume='allow'"), "", &[]);
    assert_values(&runs, [0.25, 0.5], &output);
    assert_eq!(
        rates.bench.steps(&id, 1, "val_loss"),
        (0..9).collect::<Vec<_>>(),
        "one run that goes on"
    );
    assert!(!output.contains("several times"), "{output}");
}

#[test]
fn rank_0_is_read_where_every_rank_begins_a_run() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let program = "import subprocess, time\nif 'RANK' not in os.environ:\n    ranks = []\n    for rank in ['1', '0']:\n        \
                   ranks.append(subprocess.Popen([sys.executable, __file__], env={**os.environ, 'RANK': rank}))\n        time.sleep(1)\n    \
                   sys.exit(max(rank.wait() for rank in ranks))\n\
                   import wandb\nrun = wandb.init()\nfor step in range(5):\n    run.log({'val_loss': lr + 10 * int(os.environ['RANK'])})\n    time.sleep(0.3)\nrun.finish()\n";
    let rates = Rates::new();
    let (id, runs, output) = rates.execute(program, "", &[]);
    assert_values(&runs, [0.25, 0.5], &output);
    assert_eq!(
        output.matches("the run of rank 0 is read").count(),
        1,
        "{output}"
    );
    assert_eq!(rates.bench.steps(&id, 1, "val_loss"), [0, 1, 2, 3, 4]);
    assert!(
        runs[0]["metrics"]
            .as_object()
            .is_some_and(|metrics| !metrics.keys().any(|name| name.starts_with("init-"))),
        "{}",
        runs[0]
    );
}

#[test]
fn folds_and_ranks_count_once_when_an_agent_is_killed() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    // Rank 1 begins first and each rank has two folds.
    let program = "import os, subprocess, sys, time\nif 'RANK' not in os.environ:\n    ranks = []\n    for rank in ['1', '0']:\n        \
                   ranks.append(subprocess.Popen([sys.executable, __file__], env={**os.environ, 'RANK': rank}))\n        time.sleep(1)\n    \
                   sys.exit(max(rank.wait() for rank in ranks))\n\
                   import wandb\nfor fold in range(2):\n    run = wandb.init(reinit='finish_previous')\n    for step in range(20):\n        \
                   run.log({'val_loss': fold + 10 * int(os.environ['RANK'])})\n        time.sleep(0.3)\n    run.finish()\n";
    bench.write("train.py", program);
    let file = "program: train.py\nmethod: grid\ncommand: [\"${env}\", \"${interpreter}\", \"${program}\"]\n\
                metric: {name: val_loss, goal: minimize}\nparameters: {x: {value: 1}}\n";
    let id = bench.create(&[&bench.write("sweep.yaml", file)]);
    for metric in ["val_loss", "init-2/val_loss"] {
        let agent = bench.start(&["agent", &id]);
        wait_for("its run", || {
            (!bench.json_lines(&["runs", &id, "--json"]).is_empty()).then_some(())
        });
        wait_for(metric, || {
            (!bench.steps(&id, 1, metric).is_empty()).then_some(())
        });
        agent.kill();
    }
    let (code, output) = bench.start(&["agent", &id]).wait();
    assert!(code == 0 && output.contains("taken over"), "{output}");
    for metric in ["val_loss", "init-2/val_loss"] {
        assert_eq!(
            bench.steps(&id, 1, metric),
            (0..20).collect::<Vec<_>>(),
            "each point of {metric} once"
        );
    }
    let run = bench.json_lines(&["runs", &id, "--json"]).remove(0);
    assert_eq!(
        run["value"].as_f64(),
        Some(0.5),
        "the mean of the folds of rank 0: {run}"
    );
}

#[test]
fn rank_0_is_read_where_a_launcher_starts_all_at_once() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let rates = Rates::new();
    let launcher = "#!/usr/bin/env python\nimport os, subprocess, sys\nranks = [subprocess.Popen([sys.executable, *sys.argv[1:]], env={**os.environ, \
                    'LOCAL_RANK': str(rank)}) for rank in range(2)]\nsys.exit(max(rank.wait() for rank in ranks))\n";
    let path = rates.bench.write("torchrun", launcher);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let program = "import time, wandb\nrank = int(os.environ['LOCAL_RANK'])\ntime.sleep(1 - time.time() % 1)\nrun = wandb.init()\n\
                   for step in range(4):\n    run.log({'val_loss': lr + 10 * rank})\n    time.sleep(0.3)\nrun.finish()\n";
    let (id, runs, output) = rates.execute(
        program,
        &format!("command: ['{path}', '${{program}}']\n"),
        &[],
    );
    assert_values(&runs, [0.25, 0.5], &output);
    assert_eq!(rates.bench.steps(&id, 1, "val_loss"), [0, 1, 2, 3]);
    assert_eq!(
        output.matches("the run of rank 0 is read").count(),
        1,
        "{output}"
    );
}

#[test]
fn a_sweep_that_the_program_defines_itself_is_named_with_the_lines_that_make_it_work() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let head = "import wandb\ndef main():\n    run = wandb.init()\n    run.log({'val_loss': run.config.lr})\n    run.finish()\n";
    let tail = "sweep_id = wandb.sweep(sweep={'method': 'random', 'metric': {'goal': 'minimize', 'name': 'val_loss'}, \
                'parameters': {'lr': {'min': 0.25, 'max': 0.5}}}, project='first')\nwandb.agent(sweep_id, function=main, count=4)\n";
    let rates = Rates::new();
    let (_, runs, output) = rates.execute(&format!("{head}{tail}"), "", &[]);
    let failure = runs[0]["executions"][0]["failure"].clone();
    let words = failure["message"].as_str().unwrap_or_default();
    assert!(
        failure["kind"] == "usage" && words.contains("`    main(); sys.exit()`"),
        "{}\n{output}",
        runs[0]
    );
    let refused = rates.bench.run(&["run", "train.py"]);
    assert!(
        refused.code == 2
            && refused.stderr.contains("\n      main(); sys.exit()")
            && refused.stderr.contains("`python -m sweep.wandb "),
        "{}",
        refused.stderr
    );
    // As the failure has them.
    let lines: Vec<&str> = words
        .split('`')
        .skip_while(|part| !part.starts_with("import os"))
        .step_by(2)
        .take(3)
        .collect();
    let (_, runs, output) = rates.execute(&format!("{head}{}\n{tail}", lines.join("\n")), "", &[]);
    assert_values(&runs, [0.25, 0.5], &output);
}

#[test]
fn what_goes_online_is_read_beside() {
    if !has_python("wandb", "wandb", REQUIREMENTS) {
        return;
    }
    let log = "for step in range(3): run.log({'val_loss': lr * (3 - step)})\nrun.finish()\n";
    let server = format!("http://{}", wandb_server());
    let key = "0123456789abcdef0123456789abcdef01234567";
    let rates = Rates::new();
    let account = [("WANDB_BASE_URL", server.as_str()), ("WANDB_API_KEY", key)];
    let (id, runs, output) = rates.execute(
        &format!("import wandb\nrun = wandb.init(mode='online')\n{log}"),
        "",
        &account,
    );
    assert_values(&runs, [0.25, 0.5], &output);
    assert_eq!(rates.bench.steps(&id, 1, "val_loss"), [0, 1, 2]);
    let online = [account[0], account[1], ("WANDB_MODE", "online")];
    let program = format!("import wandb\nrun = wandb.init()\nassert not run.offline\n{log}");
    let (_, runs, output) = rates.execute(&program, "", &online);
    assert_values(&runs, [0.25, 0.5], &output);
    let (_, runs, output) = rates.execute(
        &format!("import wandb\nrun = wandb.init(mode='online')\n{log}"),
        "",
        &[("WANDB_BASE_URL", &server)],
    );
    let failure = &runs[0]["executions"][0]["failure"];
    let words = failure["message"].as_str().unwrap_or_default();
    assert!(
        failure["kind"] == "usage"
            && words.contains("run `wandb login`")
            && words.contains("mode=\"online\""),
        "{}\n{output}",
        runs[0]
    );
}

/// Serves as much of W&B's protocol as its library needs to log a run, and returns the address.
fn wandb_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(stream: &TcpStream) -> Option<()> {
    let mut request = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        request
            .read_line(&mut line)
            .ok()
            .filter(|bytes| *bytes > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body).ok()?;
    let reply = if String::from_utf8_lossy(&body).contains("upsertBucket") {
        json!({"data": {"upsertBucket": {"inserted": true, "bucket": {
            "id": "x", "name": "r", "displayName": "r", "config": "{}", "historyLineCount": 0,
            "project": {"id": "p", "name": "p", "entity": {"id": "e", "name": "team"}},
        }}}})
    } else {
        // Without an error the library takes the answer for what it has asked for.
        json!({"data": {}, "errors": [{"message": "not known here"}]})
    };
    let reply = reply.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        reply.len()
    );
    let mut writer = stream;
    writer.write_all(format!("{head}{reply}").as_bytes()).ok()
}
