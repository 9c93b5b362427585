//! Captures the environment, data and usage of a run without configuration.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::thread;

use crate::harness::{Bench, finish, requires};

const SWEEP: &str = "method: random
seed: 1
metric: {name: loss, goal: minimize}
program: ./train.py
command: ['${program}', '${args_no_hyphens}']
run_cap: 4
data: {train: data, bucket: 's3://b/p', lost: nowhere}
parameters:
  x: {min: 0.0, max: 1.0}
";

/// A program that claims to be Python.
const PYTHON: &str = "#!/bin/sh
if [ \"$1\" = -c ]; then echo cpython 3.12.1; echo /venv/bin/python3; echo \"$SITE\"; exit; fi
sleep 1.5
echo '{\"loss\": 0.5}'
";

fn program(bench: &Bench, name: &str, text: &str) {
    let path = bench.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

#[test]
fn the_environment_and_the_data_of_a_run_are_known() {
    let bench = Bench::new();
    for folder in [
        "project",
        "project/data",
        "bin",
        "site/numpy-2.1.0.dist-info",
        "site/hostile\u{1b}[2J-1.0.dist-info",
    ] {
        fs::create_dir_all(bench.path(folder)).expect("the temporary folder can be written");
    }
    program(
        &bench,
        "bin/python3",
        &PYTHON.replace("$SITE", &bench.path("site").display().to_string()),
    );
    program(
        &bench,
        "bin/aws",
        "#!/bin/sh\necho '[[\"p/a\", \"etag\", 7]]'\n",
    );
    program(
        &bench,
        "project/train.py",
        &format!("#!{}\n", bench.path("bin/python3").display()),
    );
    bench.write("project/data/a.csv", "1\n");
    let file = bench.write("project/sweep.yaml", SWEEP);
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let path = format!(
        "{}:{}",
        bench.path("bin").display(),
        std::env::var("PATH").expect("there is one")
    );
    let variables = [
        ("PATH", path.as_str()),
        ("OMP_NUM_THREADS", "3"),
        ("SECRET_TOKEN", "hidden"),
    ];
    let agent = |count: &str| {
        let mut command = bench.sweep(&["agent", &id, "--workdir", "project", "--count", count]);
        command.envs(variables);
        finish(command)
    };
    let first = agent("2");
    assert_eq!(first.code, 0, "{}", first.stderr);
    bench.write("project/data/a.csv", "2\n");
    assert_eq!(agent("1").code, 0);

    let run = |number: u32| {
        bench
            .json_lines(&["show", &format!("{id}/{number}"), "--json"])
            .remove(0)
    };
    let (one, two, three) = (run(1), run(2), run(3));
    let digest = |run: &serde_json::Value| {
        run["executions"][0]["environment"]
            .as_str()
            .expect("it is known")
            .to_owned()
    };
    assert_eq!(digest(&one), digest(&two));
    assert_ne!(digest(&one), digest(&three), "the data has changed");
    let environment = &one["environments"][0];
    assert_eq!(environment["facts"]["python"], "cpython 3.12.1");
    assert_eq!(
        environment["packages"],
        serde_json::json!(["numpy==2.1.0"]),
        "{environment}"
    );
    let variables = environment["variables"].to_string();
    assert!(
        variables.contains("OMP_NUM_THREADS=3")
            && variables.contains("SECRET_TOKEN")
            && !variables.contains("hidden"),
        "{variables}"
    );
    let set = |name: &str| {
        environment["data"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|set| set["name"] == name)
            .expect("it is declared")
            .clone()
    };
    assert_eq!(
        (&set("train")["basis"], &set("train")["files"]),
        (&"content".into(), &1.into())
    );
    assert_eq!(
        (&set("bucket")["basis"], &set("bucket")["bytes"]),
        (&"versions".into(), &7.into()),
        "{}",
        set("bucket")
    );
    assert!(
        set("lost")["digest"].is_null() && set("lost")["note"].to_string().contains("not there"),
        "{}",
        set("lost")
    );

    let attempt = &one["executions"][0];
    assert!(
        attempt["system"]["system/memory_mb"]
            .as_f64()
            .is_some_and(|used| used > 0.0),
        "{attempt}"
    );
    assert_eq!(
        attempt["metrics"].as_object().map(serde_json::Map::len),
        Some(1),
        "what is measured is no metric of the program: {attempt}"
    );
    let shown = bench.ok(&["show", &format!("{id}/1")]);
    assert!(
        shown.contains("interpreter: cpython 3.12.1 (/venv/bin/python3), 1 package\n")
            && shown.contains("at last it used:"),
        "{shown}"
    );
    let full = bench.ok(&["show", "--environment", &format!("{id}/1")]);
    assert!(
        full.contains("numpy==2.1.0") && !full.contains('\u{1b}'),
        "{full}"
    );
    let diff = bench.ok(&["diff", &format!("{id}/1"), &format!("{id}/3")]);
    assert!(
        diff.contains("data train") && !diff.contains("numpy"),
        "{diff}"
    );
    let diff = bench.ok(&["diff", &format!("{id}/1"), &format!("{id}/2")]);
    assert!(diff.contains("The same environment and data."), "{diff}");
    let again = bench
        .json_lines(&["reproduce", &format!("{id}/1"), "again", "--json"])
        .remove(0);
    let differs = again["differs"].to_string();
    assert!(
        differs.contains("data bucket")
            && differs.contains("OMP_NUM_THREADS")
            && !differs.contains("numpy")
            && !differs.contains("data train"),
        "{differs}"
    );
}

#[test]
fn a_run_that_is_over_in_a_moment_has_used_something() {
    let bench = Bench::new();
    let file = bench.write(
        "sweep.yaml",
        "method: random\nmetric: {name: loss, goal: minimize}\ncommand: [sh, -c, 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo \"{\\\"loss\\\": 1}\"']\nrun_cap: 1\nparameters: {x: {min: 0.0, max: 1.0}}\n",
    );
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let ended = finish(bench.sweep(&["agent", &id]));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = bench
        .json_lines(&["show", &format!("{id}/1"), "--json"])
        .remove(0);
    let used = &run["executions"][0]["system"];
    assert!(
        used["system/cpu_percent"].as_f64() > Some(0.0)
            && used["system/memory_mb"].as_f64() > Some(0.0),
        "{run}"
    );
    assert!(used["system/disk_free_gb"].as_f64() > Some(0.0), "{run}");
}

/// The answers of an object store for `p` in its bucket `b`, of either kind.
fn listing(request: &str) -> (&'static str, &'static str) {
    if request.contains("/storage/v1/") {
        let objects = r#"{"kind": "storage#objects", "items": [{"kind": "storage#object", "bucket": "b", "name": "p/a", "generation": "17", "size": "7"}]}"#;
        return ("application/json", objects);
    }
    let objects = r#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>
<IsTruncated>false</IsTruncated><Contents><Key>p/a</Key><ETag>"tag"</ETag><Size>7</Size></Contents></ListBucketResult>"#;
    ("application/xml", objects)
}

/// Serves that on its own port, until the test ends.
fn object_store() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let (kind, body) = listing(lines.first().map_or("", String::as_str));
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            // One that does not listen any more says so itself.
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    port
}

fn is_installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn buckets_are_listed_with_the_programs_of_who_keeps_them() {
    let here: Vec<_> = [("s3", "aws"), ("gs", "gcloud")]
        .into_iter()
        .filter(|(_, program)| is_installed(program))
        .collect();
    if !requires(
        "buckets",
        here.len() == 2,
        "neither s3:// nor gs:// can be listed without `aws` and `gcloud`",
    ) && here.is_empty()
    {
        return;
    }
    let bench = Bench::new();
    let sources: Vec<_> = here
        .iter()
        .map(|(scheme, _)| format!("{scheme}: '{scheme}://b/p'"))
        .collect();
    let text = SWEEP
        .replace(
            "train: data, bucket: 's3://b/p', lost: nowhere",
            &sources.join(", "),
        )
        .replace("./train.py", "train.sh");
    let file = bench.write(
        "sweep.yaml",
        &text
            .replace("run_cap: 4", "run_cap: 1")
            .replace("['${program}'", "[sh, '${program}'"),
    );
    bench.write("train.sh", "echo '{\"loss\": 0.5}'\n");
    let _controller = bench.controller();
    let id = bench.create(&[&file]);
    let mut agent = bench.sweep(&["agent", &id]);
    let port = object_store();
    agent
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_EC2_METADATA_DISABLED", "true");
    agent
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "nothing")
        .env("AWS_DEFAULT_REGION", "us-east-1");
    agent.env(
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",
        format!("http://127.0.0.1:{port}/storage/v1/"),
    );
    agent
        .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
        .env("CLOUDSDK_CONFIG", bench.path("gcloud"));
    agent
        .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
        .env("CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK", "true");
    let ended = finish(agent);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let run = bench
        .json_lines(&["show", &format!("{id}/1"), "--json"])
        .remove(0);
    let sets = run["environments"][0]["data"].as_array().expect("a list");
    assert_eq!(sets.len(), here.len(), "{run}\n{}", ended.stderr);
    for set in sets {
        assert_eq!(
            (&set["basis"], &set["files"], &set["bytes"]),
            (&"versions".into(), &1.into(), &7.into()),
            "{set}\n{}",
            ended.stderr
        );
    }
}
