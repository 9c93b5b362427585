//! Nothing goes without a token, on loopback too; the owner's commands find it by themselves, and other users of the machine do not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::harness::{Bench, CommandResult, Running, finish, requires, wait_for};

/// The user `nobody` and its group.
const NOBODY: u32 = 65534;

const YAML: &str = "method: grid\nmetric: {name: loss}\ncommand: [sh, -c, 'echo \"{\\\"loss\\\": 1}\"']\nparameters:\n  x: {values: [1, 2]}\n";

fn stop(controller: Running) {
    controller.signal(Signal::SIGTERM);
    controller.wait();
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .mode()
        & 0o777
}

/// Whatever is in a folder is for its owner alone.
fn assert_private(folder: &Path) {
    assert_eq!(mode(folder), 0o700, "{}", folder.display());
    for entry in fs::read_dir(folder).expect("it is ours").flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_private(&path);
        } else {
            assert_eq!(
                mode(&path) & 0o077,
                0,
                "{}: {:o}",
                path.display(),
                mode(&path)
            );
        }
    }
}

#[test]
fn a_controller_beyond_loopback_asks_for_its_token() {
    let bench = Bench::new();
    let data = bench.path("controller").display().to_string();
    let controller = bench.start(&[
        "controller",
        "--listen",
        &format!("0.0.0.0:{}", bench.port()),
        "--data-dir",
        &data,
    ]);
    bench.listening(&controller);
    wait_for("what to do on a GPU box", || {
        controller.output().contains("On a GPU box").then_some(())
    });
    let token = bench.read("controller/token").trim().to_owned();
    let output = controller.output();
    assert!(
        output.contains(&format!("http://{}:{}", host(), bench.port()))
            && output.contains("controller/token"),
        "{output}"
    );
    assert!(!output.contains(&token), "it is in no log: {output}");

    // As on another machine: nothing is noted there.
    let elsewhere = |token: Option<&str>| {
        let mut command = bench.sweep(&["ls"]);
        command.env("XDG_STATE_HOME", bench.path("elsewhere"));
        if let Some(token) = token {
            command.env("SWEEP_TOKEN", token);
        }
        finish(command)
    };
    let refused = elsewhere(None);
    assert!(
        refused.code != 0 && refused.stderr.contains("SWEEP_TOKEN"),
        "{refused:?}"
    );
    assert_ne!(elsewhere(Some("wrong")).code, 0);
    assert_eq!(elsewhere(Some(&token)).code, 0);
    // At home it is found, also where the variable is that of another controller.
    bench.ok(&["ls"]);
    let mut other = bench.sweep(&["ls"]);
    other.env("SWEEP_TOKEN", "that-of-another-controller");
    assert_eq!(finish(other).code, 0);
    stop(controller);
}

fn host() -> String {
    nix::unistd::gethostname()
        .expect("it has a name")
        .to_string_lossy()
        .into_owned()
}

#[test]
fn what_a_controller_writes_is_for_its_owner_alone() {
    let bench = Bench::new();
    let listen = format!("127.0.0.1:{}", bench.port());
    // An earlier version's directory, and a umask that takes nothing.
    fs::create_dir_all(bench.path("data/sweep")).expect("the folder is ours");
    fs::write(bench.path("data/sweep/controller.log"), "").expect("the folder is ours");
    fs::set_permissions(bench.path("data/sweep"), Permissions::from_mode(0o755))
        .expect("it is ours");
    fs::set_permissions(
        bench.path("data/sweep/controller.log"),
        Permissions::from_mode(0o644),
    )
    .expect("it is ours");
    let mut start = Command::new("sh");
    start.args(["-c", "umask 0; exec \"$0\" \"$@\""]);
    let started = finish(crate::harness::by(
        start,
        &bench.sweep(&["controller", "start", "--listen", &listen]),
    ));
    assert_eq!(started.code, 0, "{started:?}");
    let id = bench.create(&[&bench.write("sweep.yaml", YAML)]);
    bench.ok(&["agent", &id]);
    bench.ok(&["controller", "backup", "backup.db"]);
    assert_eq!(mode(&bench.path("backup.db")), 0o600);
    assert_private(&bench.path("data/sweep"));
    assert_private(&bench.path("state/sweep/controllers"));
    let log = bench.read("data/sweep/controller.log");
    assert!(log.contains("the mode is repaired"), "{log}");
    assert!(!log.contains("swp_"), "{log}");
    bench.ok(&["controller", "stop"]);
    bench.nothing_left();
}

#[test]
fn a_token_that_is_there_is_used_and_one_that_is_given_too() {
    let bench = Bench::new();
    fs::create_dir(bench.path("controller")).expect("the folder is ours");
    bench.write("controller/token", "laid-down-by-the-platform-team\n");
    let given = bench.write("given", "mounted-by-kubernetes\n");
    let mut command = bench.sweep(&[
        "controller",
        "--listen",
        &format!("127.0.0.1:{}", bench.port()),
        "--data-dir",
        "controller",
    ]);
    command.args(["--token-file", &given]);
    let controller = bench.start_command(command);
    bench.listening(&controller);
    assert_eq!(
        bench.read("controller/token"),
        "laid-down-by-the-platform-team\n"
    );
    let lists = |token: &str| bench.run(&["ls", "--token", token]).code == 0;
    assert!(
        lists("laid-down-by-the-platform-team")
            && lists("mounted-by-kubernetes")
            && !lists("some-other-long-token")
    );
    assert_eq!(bench.run(&["ls", "--token-file", &given]).code, 0);
    stop(controller);
    let short = bench.write("short", "abc");
    let refused = bench.run(&[
        "controller",
        "--data-dir",
        "controller",
        "--token-file",
        &short,
    ]);
    assert!(
        refused.code != 0 && refused.stderr.contains("at least 16 characters"),
        "{refused:?}"
    );
    let both = bench.run(&[
        "controller",
        "--data-dir",
        "controller",
        "--token-file",
        &given,
        "--no-token",
    ]);
    assert!(
        both.code != 0 && both.stderr.contains("leave one of them out"),
        "{both:?}"
    );
    let beyond = bench.run(&[
        "controller",
        "--data-dir",
        "controller",
        "--no-token",
        "--listen",
        "0.0.0.0:0",
    ]);
    assert!(
        beyond.code != 0 && beyond.stderr.contains("leave out --no-token"),
        "{beyond:?}"
    );
}

#[test]
fn a_local_agent_goes_on_with_a_token_that_was_rotated() {
    let bench = Bench::new();
    let controller = bench.controller();
    let yaml = YAML
        .replace("'echo", "'while ! [ -e go ]; do sleep 0.1; done; echo")
        .replace("[1, 2]", "[1]");
    let id = bench.create(&[&bench.write("sweep.yaml", &yaml)]);
    let agent = bench.start(&["agent", &id]);
    wait_for("a run that runs", || {
        bench.ok(&["show", &id]).contains("1 running").then_some(())
    });
    stop(controller);
    bench.ok(&["controller", "rotate-token", "--data-dir", "controller"]);
    let controller = bench.controller();
    bench.write("go", "");
    one_run_is_finished_at_once(&bench, &id, agent);
    stop(controller);
    bench.nothing_left();
}

/// Waits for an agent, which executes the only run in one attempt.
fn one_run_is_finished_at_once(bench: &Bench, id: &str, agent: Running) {
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let runs = bench.json_lines(&["runs", id, "--json"]);
    assert!(
        runs.len() == 1 && runs[0]["state"] == "finished" && runs[0]["attempts"] == 1,
        "{runs:#?}"
    );
}

/// Another user of the machine, with its own copy of the program, and its own home.
struct Attacker<'a> {
    bench: &'a Bench,
    folder: tempfile::TempDir,
}

impl<'a> Attacker<'a> {
    fn new(bench: &'a Bench) -> Option<Self> {
        if !requires(
            "root",
            geteuid().is_root(),
            "another user's attack: only root can become nobody",
        ) {
            return None;
        }
        // Not in the bench's folder, which others cannot enter.
        let folder = tempfile::tempdir_in("/tmp").expect("the temporary folder can be written");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
        fs::copy(env!("CARGO_BIN_EXE_sweep"), folder.path().join("sweep"))
            .expect("it can be copied");
        Some(Self { bench, folder })
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .uid(NOBODY)
            .gid(NOBODY);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path());
        command.env(
            "SWEEP_CONTROLLER",
            format!("http://127.0.0.1:{}", self.bench.port()),
        );
        command
    }

    fn sweep(&self, arguments: &[&str]) -> CommandResult {
        let program = self.folder.path().join("sweep").display().to_string();
        finish(self.command(&program, arguments))
    }

    fn shell(&self, script: &str) -> CommandResult {
        finish(self.command("sh", &["-c", script]))
    }

    /// Starts a program that catches what comes to it.
    fn start_python(&self, program: &str) -> Child {
        fs::write(self.folder.path().join("catch.py"), program).expect("the folder is ours");
        self.command("python3", &["catch.py"])
            .spawn()
            .expect("Python is here")
    }
}

#[test]
fn another_user_of_the_machine_changes_nothing_and_reads_nothing() {
    let bench = Bench::new();
    let Some(attacker) = Attacker::new(&bench) else {
        return;
    };
    let controller = bench.controller();
    // Others may enter the folder above, as on a login node.
    fs::set_permissions(bench.path(""), Permissions::from_mode(0o755)).expect("it is ours");
    let id = bench.create(&[&bench.write("sweep.yaml", YAML)]);

    let evil = attacker.folder.path().join("evil.yaml");
    fs::write(&evil, YAML.replace("echo", "id > /tmp/owned; echo")).expect("the folder is ours");
    let evil = evil.display().to_string();
    for arguments in [
        &["edit", &id, &evil][..],
        &["create", &evil],
        &["ls"],
        &["agent", &id],
        &["cancel", &id],
        &["controller", "status"],
        &["controller", "stop"],
    ] {
        let refused = attacker.sweep(arguments);
        assert!(
            refused.code != 0 && refused.stderr.contains("token"),
            "{arguments:?}: {refused:?}"
        );
    }
    let data = bench.path("controller").display().to_string();
    let reads = attacker.shell(&format!(
        "ls {data} || cat {data}/token || cat {data}/sweep.db"
    ));
    assert!(reads.code != 0 && reads.stdout.is_empty(), "{reads:?}");
    let body = format!("{{\"sweepId\": \"{id}\", \"action\": \"ACTION_CANCEL\"}}");
    for path in [
        "/",
        "/metrics",
        "/api/v1/SetSweepState",
        "/login",
        "/login?code=0",
    ] {
        let data = if path.starts_with("/api") {
            format!("b'{body}'")
        } else {
            "None".to_owned()
        };
        let script = format!(
            "import urllib.request, urllib.error\nheaders = {{'content-type': 'application/json', 'host': 'localhost'}}\n\
             request = urllib.request.Request('http://127.0.0.1:{}{path}', {data}, headers)\n\
             try:\n    print(urllib.request.urlopen(request).status)\nexcept urllib.error.HTTPError as error:\n    print(error.code)\n",
            bench.port()
        );
        let answer = finish(attacker.command("python3", &["-c", &script]));
        assert_eq!(answer.stdout.trim(), "401", "{path}: {answer:?}");
    }
    let sweep = bench.ok(&["show", &id]);
    assert!(sweep.contains("running"), "{sweep}");
    stop(controller);

    // The port is free now: another program there gets no token from the owner's commands.
    let catch = format!(
        "import socket\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ns.bind(('127.0.0.1', {}))\ns.listen()\nopen('ready', 'w')\nc, _ = s.accept()\nc.settimeout(3)\ngot = b''\ntry:\n    while chunk := c.recv(4096):\n        got += chunk\nexcept OSError:\n    pass\nopen('caught', 'wb').write(got)\n",
        bench.port()
    );
    let mut trap = attacker.start_python(&catch);
    wait_for("the trap", || {
        attacker.folder.path().join("ready").exists().then_some(())
    });
    // The note of where the data is may have stayed behind, as after SIGKILL.
    fs::write(
        bench.path(&format!(
            "state/sweep/controllers/127.0.0.1:{}",
            bench.port()
        )),
        &data,
    )
    .expect("the folder is ours");
    let mut asks = bench.sweep(&["ls"]);
    let mut asks = asks
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    wait_for("what was caught", || {
        attacker.folder.path().join("caught").exists().then_some(())
    });
    let caught = fs::read(attacker.folder.path().join("caught")).expect("it is ours");
    assert!(caught.is_empty(), "{}", String::from_utf8_lossy(&caught));
    let _ = asks.kill();
    let _ = (asks.wait(), trap.kill(), trap.wait());
}

#[test]
fn an_agent_sends_nothing_to_another_user_who_has_taken_the_port_of_its_controller() {
    let bench = Bench::new();
    let Some(attacker) = Attacker::new(&bench) else {
        return;
    };
    let controller = bench.controller();
    bench.write(
        "train.sh",
        "touch started\nuntil test -e go; do sleep 0.1; done\necho '{\"loss\": 1}'\n",
    );
    let yaml = "method: grid\nrun_cap: 1\nmetric: {name: loss}\ncommand: [sh, train.sh]\nparameters: {x: {values: [1]}}\n";
    let id = bench.create(&[&bench.write("sweep.yaml", yaml)]);
    let agent = bench.start(&["agent", &id]);
    wait_for("the program", || {
        bench.path("started").exists().then_some(())
    });
    stop(controller);

    let catch = format!(
        "import socket, threading\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\ns.bind(('127.0.0.1', {}))\ns.listen()\nopen('ready', 'w')\n\
         def read(c):\n    try:\n        while chunk := c.recv(4096):\n            open('caught', 'ab').write(chunk)\n    except OSError:\n        pass\n\
         while True:\n    c, _ = s.accept()\n    open('connections', 'a').write('x')\n    threading.Thread(target=read, args=(c,)).start()\n",
        bench.port()
    );
    let mut trap = attacker.start_python(&catch);
    let connections = || {
        fs::read(attacker.folder.path().join("connections"))
            .unwrap_or_default()
            .len()
    };
    wait_for("the agent to come back several times", || {
        (connections() >= 3).then_some(())
    });
    trap.kill().expect("it runs");
    trap.wait().expect("it was killed");
    assert!(
        !attacker.folder.path().join("caught").exists(),
        "{:?}",
        fs::read(attacker.folder.path().join("caught"))
    );
    assert!(
        agent.output().contains("is of the user nobody"),
        "{}",
        agent.output()
    );

    let controller = bench.controller();
    bench.write("go", "");
    one_run_is_finished_at_once(&bench, &id, agent);
    stop(controller);
}
