//! Programs whose metrics are in the files that their frameworks write.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Bench, has_python, wait_for};

/// A program's text behind the lines that all have: its arguments.
fn program(bench: &Bench, text: &str) {
    let head = "import argparse, os, sys, time\np = argparse.ArgumentParser()\np.add_argument('--x', type=float)\na = p.parse_args()\n";
    bench.write("train.py", &format!("{head}{text}"));
}

fn create(bench: &Bench, objective: &str, more: &str) -> String {
    let text = format!(
        "program: train.py\nmethod: grid\nretry: {{crashed: 0}}\nmetric: {{name: {objective}, goal: minimize}}\n{more}parameters: {{x: {{values: [0.25, 0.5]}}}}\n"
    );
    let file = bench.write("sweep.yaml", &text);
    bench.create(&[&file])
}

/// Runs all of a sweep with one agent, and returns its runs and what the agent has said.
fn execute(bench: &Bench, id: &str, more: &[&str]) -> (Vec<Value>, String) {
    let (_, output) = bench.start(&[&["agent", id], more].concat()).wait();
    (bench.json_lines(&["runs", id, "--json"]), output)
}

/// Executes the only run with an agent that is killed in the middle, and another one that takes it over.
fn taken_over(bench: &Bench, id: &str, metric: &str) -> (Vec<Value>, String) {
    let agent = bench.start(&["agent", id]);
    first_points(bench, id, metric);
    agent.kill();
    let (runs, output) = execute(bench, id, &[]);
    assert!(
        output.contains("taken over") && runs[0]["state"] == "finished",
        "{output}"
    );
    (runs, output)
}

/// Waits until a run has more than a few points.
fn first_points(bench: &Bench, id: &str, metric: &str) {
    wait_for("the run", || {
        (!bench.json_lines(&["runs", id, "--json"]).is_empty()).then_some(())
    });
    wait_for("the first points", || {
        (bench.steps(id, 1, metric).len() > 3).then_some(())
    });
}

/// Checks that each run has finished with the value of its parameter.
fn values_are_those_of_the_parameter(runs: &[Value], output: &str) {
    assert_eq!(runs.len(), 2, "{output}");
    for run in runs {
        assert_eq!(
            (&run["state"], run["value"].as_f64()),
            (&"finished".into(), run["params"]["x"].as_f64()),
            "{run}\n{output}"
        );
    }
}

/// Writes event files without any package.
const EVENTS: &str = r#"
import struct
TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ 0x82F63B78 if n & 1 else n >> 1
    TABLE.append(n)
def masked(data):
    c = 0xFFFFFFFF
    for b in data:
        c = TABLE[(c ^ b) & 255] ^ c >> 8
    c ^= 0xFFFFFFFF
    return struct.pack('<I', ((c >> 15 | c << 17) + 0xA282EAD8) & 0xFFFFFFFF)
def field(number, content):
    return bytes([number << 3 | 2, len(content)]) + content
def scalar(file, tag, step, value):
    data = bytes([2 << 3, step]) + field(5, field(1, field(1, tag.encode()) + b'\x15' + struct.pack('<f', value)))
    head = struct.pack('<Q', len(data))
    file.write(head + masked(head) + data + masked(data))
    file.flush()
"#;

#[test]
fn a_metric_that_a_bar_prints_too_is_read_from_the_file_with_its_steps() {
    let bench = Bench::new();
    let _controller = bench.controller();
    // Everything comes at once: what is read first must not decide.
    program(
        &bench,
        &format!(
            "{EVENTS}\nos.makedirs(f'logs/{{a.x}}')\nwith open(f'logs/{{a.x}}/events.out.tfevents.1.host', 'wb') as file:\n    for step in (3, 7, 11, 15, 19):\n        \
             scalar(file, 'val_loss', step, a.x + (19 - step) / 100)\nprint(f'Epoch 4/4 [=====] 8/8 val_loss: {{a.x}}')\ntime.sleep(0.3)\n"
        ),
    );
    let id = create(
        &bench,
        "val_loss",
        "metric_patterns: {val_loss: 'val_loss: ([-+.0-9eE]+)'}\n",
    );
    let (runs, output) = execute(&bench, &id, &[]);
    values_are_those_of_the_parameter(&runs, &output);
    for run in [1, 2] {
        assert_eq!(
            bench.steps(&id, run, "val_loss"),
            [3, 7, 11, 15, 19],
            "run {run}: {output}"
        );
    }
    assert!(!output.contains("is not read"), "{output}");
}

#[test]
fn event_files_of_attempts_in_one_folder_are_told_apart() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        &format!(
            "{EVENTS}os.makedirs('runs/x', exist_ok=True)\nwith open(f'runs/x/events.out.tfevents.1.box.{{os.getpid()}}.0', 'wb') as file:\n    \
             for step in range(20):\n        scalar(file, 'Loss/val', step, a.x)\n        time.sleep(0.1)\n"
        ),
    );
    let id = create(&bench, "Loss/val", "");
    let (runs, output) = execute(&bench, &id, &["--slots", "2"]);
    values_are_those_of_the_parameter(&runs, &output);
    for run in [1, 2] {
        assert_eq!(
            bench.steps(&id, run, "Loss/val"),
            (0..20).collect::<Vec<_>>(),
            "each point once"
        );
    }
    assert!(!output.contains("is not read"), "{output}");
}

#[test]
fn tables_that_are_written_again_give_each_row_once_over_kills_of_the_agent() {
    let bench = Bench::new();
    let _controller = bench.controller();
    // As Lightning's CSVLogger: all rows are written again when a column is new.
    program(
        &bench,
        "os.makedirs('logs/version_0', exist_ok=True)\nrows = []\nfor step in range(40):\n    rows.append({'epoch': step // 4, 'step': step, 'loss': a.x})\n    \
         if step >= 20: rows[-1]['val/loss'] = a.x\n    names = sorted({name for row in rows for name in row})\n    \
         with open('logs/version_0/metrics.csv', 'w') as file:\n        print(*names, sep=',', file=file)\n        \
         for row in rows: print(*[row.get(name, '') for name in names], sep=',', file=file)\n    time.sleep(0.1)\n",
    );
    let id = create(&bench, "val/loss", "run_cap: 1\n");
    let (_, output) = taken_over(&bench, &id, "loss");
    assert_eq!(
        bench.steps(&id, 1, "loss"),
        (0..40).collect::<Vec<_>>(),
        "each row once: {output}"
    );
    assert_eq!(
        bench.steps(&id, 1, "val/loss"),
        (20..40).collect::<Vec<_>>(),
        "{output}"
    );
}

#[test]
fn a_table_that_either_of_two_attempts_can_have_written_is_not_read_and_named() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "time.sleep(2)\nname = f'{a.x}/metrics.csv'\nos.makedirs(str(a.x))\nfor step in range(5):\n    with open(name, 'a') as file:\n        \
         if step == 0: print('epoch,loss', file=file)\n        print(step, a.x, sep=',', file=file)\n    time.sleep(0.2)\n",
    );
    let id = create(&bench, "loss", "");
    let (runs, output) = execute(&bench, &id, &["--slots", "2"]);
    for run in &runs {
        // To be seen while it is written is luck.
        let value = run["value"].as_f64();
        assert!(
            value.is_none() || value == run["params"]["x"].as_f64(),
            "{run}"
        );
        if value.is_none() {
            assert!(
                output.contains(
                    "metrics.csv is not read: another attempt runs in the same working folder"
                ),
                "{output}"
            );
        }
    }
    program(
        &bench,
        "with open(os.environ['SWEEP_RUN_DIR'] + '/metrics.csv', 'w') as file:\n    print('epoch,loss', 0, sep='\\n', end=f',{a.x}', file=file)\n",
    );
    let id = create(&bench, "loss", "name: own\n");
    let (runs, output) = execute(&bench, &id, &["--slots", "2"]);
    values_are_those_of_the_parameter(&runs, &output);
}

#[test]
fn files_that_the_sweep_file_names_are_read() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "os.makedirs('curves', exist_ok=True)\nwith open('curves/run.jsonl', 'w') as file: print('{\"step\": 3, \"loss\": %s}' % a.x, file=file)\n",
    );
    let id = create(&bench, "loss", "metric_files: ['curves/*.jsonl']\n");
    let (runs, output) = execute(&bench, &id, &[]);
    values_are_those_of_the_parameter(&runs, &output);
    assert_eq!(bench.steps(&id, 1, "loss"), [3]);
}

#[test]
fn a_file_that_every_run_replaces_is_read() {
    let bench = Bench::new();
    let _controller = bench.controller();
    // The second run writes as many bytes as the first one, the third run the same ones.
    bench.write(
        "train.py",
        "import json, sys\nwith open('result.json', 'w') as file: json.dump({'loss': 0.5 if '--x=0.25' in sys.argv else 0.7}, file)\n",
    );
    let file = bench.write(
        "sweep.yaml",
        "program: train.py\nmethod: grid\nmetric: {name: loss, goal: minimize}\nmetric_files: [result.json]\nparameters: {x: {values: [0.25, 0.5, 0.75]}}\n",
    );
    let id = bench.create(&[&file]);
    let (runs, output) = execute(&bench, &id, &[]);
    let values: Vec<_> = runs.iter().map(|run| run["value"].as_f64()).collect();
    assert_eq!(values, [Some(0.5), Some(0.7), Some(0.7)], "{output}");
}

#[test]
fn checkpoints_of_transformers_have_a_history() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "import json, shutil\nlog = []\nfor step in (8, 16, 24):\n    log += [{'loss': 0.7, 'step': step}, {'eval_loss': a.x, 'epoch': step / 8, 'step': step}]\n    \
         os.makedirs(f'out/checkpoint-{step}', exist_ok=True)\n    json.dump({'log_history': log}, open(f'out/checkpoint-{step}/trainer_state.json', 'w'), indent=2)\n    \
         time.sleep(1.5)\n    shutil.rmtree(f'out/checkpoint-{step - 8}', ignore_errors=True)\n",
    );
    let id = create(&bench, "eval_loss", "");
    let (runs, output) = execute(&bench, &id, &[]);
    values_are_those_of_the_parameter(&runs, &output);
    assert_eq!(bench.steps(&id, 1, "eval_loss"), [8, 16, 24], "{output}");
}

#[test]
fn what_tensorboardx_has_written_counts_once_when_an_agent_is_killed() {
    if !has_python("tensorboardX", "tensorboardx", "tests/it/requirements.txt") {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "from tensorboardX import SummaryWriter\nw = SummaryWriter('runs/x', flush_secs=1)\nfor e in range(30):\n    w.add_scalar('Loss/val', a.x, e)\n    \
         w.add_histogram('weights', __import__('numpy').arange(10), e)\n    w.flush()\n    time.sleep(0.2)\nw.add_hparams({'x': a.x}, {'hparam/loss': 1.0})\nw.close()\n",
    );
    let id = create(&bench, "Loss/val", "run_cap: 1\n");
    let (runs, output) = taken_over(&bench, &id, "Loss/val");
    assert_eq!(
        bench.steps(&id, 1, "Loss/val"),
        (0..30).collect::<Vec<_>>(),
        "each point once: {output}"
    );
    assert!(
        runs[0]["metrics"].get("hparam/loss").is_none(),
        "what stands beside hyperparameters repeats results: {}",
        runs[0]
    );
}

/// A program that talks to MLflow's endpoint as its client does, without it.
const MLFLOW: &str = "import json, urllib.request\ndef call(path, **body):\n    request = urllib.request.Request(os.environ['MLFLOW_TRACKING_URI'] + '/api/2.0/mlflow/' + path, \
    json.dumps(body).encode(), {'Content-Type': 'application/json'})\n    return json.load(urllib.request.urlopen(request))\n";

#[test]
fn the_mlflow_endpoint_outlives_the_agent() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        &format!(
            "{MLFLOW}run = call('runs/create', experiment_id='0')['run']['info']['run_id']\nfor step in range(100):\n    \
             call('runs/log-batch', run_id=run, metrics=[dict(key='loss', value=a.x, step=step, timestamp=0)], params=[], tags=[])\n    time.sleep(0.1)\n"
        ),
    );
    let id = create(&bench, "loss", "run_cap: 1\n");
    let (_, output) = taken_over(&bench, &id, "loss");
    assert_eq!(
        bench.steps(&id, 1, "loss"),
        (0..100).collect::<Vec<_>>(),
        "each point once: {output}"
    );
}

#[test]
fn the_mlflow_endpoint_is_for_its_own_program_alone() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "import urllib.request, urllib.error\nuri = os.environ['MLFLOW_TRACKING_URI']\n\
         for path in ('/api/2.0/mlflow/runs/search', '/' + 32 * '0' + '/api/2.0/mlflow/experiments/search'):\n    \
         try: urllib.request.urlopen(uri.rsplit('/', 1)[0] + path); sys.exit('open')\n    except urllib.error.HTTPError as error: assert error.code == 404\n\
         assert uri.startswith('http://127.0.0.1:')\nprint('{\"loss\": %s}' % a.x)\n",
    );
    let id = create(&bench, "loss", "");
    let (runs, output) = execute(&bench, &id, &[]);
    values_are_those_of_the_parameter(&runs, &output);
}

#[test]
fn a_server_of_the_users_own_is_left_alone_and_said() {
    let bench = Bench::new();
    let _controller = bench.controller();
    program(
        &bench,
        "print('{\"loss\": %s}' % a.x if os.environ['MLFLOW_TRACKING_URI'] == 'http://box:5000' else 0)\n",
    );
    let id = create(&bench, "loss", "");
    let mut agent: Command = bench.sweep(&["agent", &id]);
    agent.env("MLFLOW_TRACKING_URI", "http://box:5000");
    let (_, output) = bench.start_command(agent).wait();
    values_are_those_of_the_parameter(&bench.json_lines(&["runs", &id, "--json"]), &output);
    assert_eq!(
        output.matches("names a server of your own (http)").count(),
        1,
        "{output}"
    );
}
