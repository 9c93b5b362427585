//! Programs and other users that put something else into the places of the agent's files: nothing waits for it, nothing follows it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, by, finish, requires, wait_for};

/// Puts something else into the place of each file of its attempt and of its run, and fails; succeeds the second time.
const REPLACES: &str = r#"
echo "begins $SWEEP_ATTEMPT" >>"$SWEEP_TEST_STARTS"
if [ "$SWEEP_ATTEMPT" = 2 ]; then echo '{"loss": 1}'; exit 0; fi
echo '{"loss": 2}' >>"$SWEEP_METRICS"
echo 'before'
sleep 0.5
folder=$(dirname "$SWEEP_METRICS")
put() {
    rm -rf "$1"
    case $KIND in
    fifo) mkfifo "$1" ;;
    folder) mkdir "$1" && touch "$1/x" ;;
    link) ln -s "$VICTIM" "$1" ;;
    device) ln -s /dev/zero "$1" ;;
    socket) python3 -c 'import os, socket, sys; os.chdir(os.path.dirname(sys.argv[1])); socket.socket(socket.AF_UNIX).bind(os.path.basename(sys.argv[1]))' "$1" ;;
    esac
}
for file in "$folder"/* "$folder/output.log" "$folder/spool.log" "$folder/preempted" "$folder/numbers.json" "$folder/../checkpoint.lock" "$folder/../checkpoint"; do
    put "$file"
done
echo 'after'
sleep "${LONG:-1}"
exit 1
"#;

fn create(bench: &Bench) -> String {
    let program = bench.write("replaces.sh", REPLACES);
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {program}]\nretry: {{crashed: 1}}\nparameters:\n  x: {{values: [1]}}\n"
    );
    bench.create(&[&bench.write("sweep.yaml", &text)])
}

fn has_python() -> bool {
    Command::new("python3")
        .arg("--version")
        .output()
        .is_ok_and(|done| done.status.success())
}

fn nothing_was_written(folder: &Path) {
    assert_eq!(
        fs::read_dir(folder).expect("it is there").count(),
        0,
        "nothing was written there"
    );
}

#[test]
fn a_program_that_replaces_its_files_holds_up_neither_its_agent_nor_its_next_attempt() {
    for kind in ["fifo", "folder", "link", "device", "socket"] {
        if kind == "socket" && !requires("python", has_python(), "sockets are made with python3") {
            continue;
        }
        let bench = Bench::new();
        let victim = bench.write("victim", "theirs\n");
        let controller = bench.controller();
        let id = create(&bench);
        let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "runs"]);
        agent.env("KIND", kind).env("VICTIM", &victim);
        let ended = finish(agent);
        assert_eq!(ended.code, 0, "{kind}: {}", ended.stderr);
        assert_eq!(
            bench.lines("starts"),
            ["begins 1", "begins 2"],
            "{kind}: {}",
            ended.stderr
        );
        let run = bench.json_lines(&["runs", &id, "--json"]).remove(0);
        assert_eq!(
            (&run["state"], &run["value"]),
            (&"finished".into(), &1.0.into()),
            "{kind}: {run}"
        );
        assert_eq!(bench.read("victim"), "theirs\n", "{kind}");
        assert!(
            bench
                .path("victim")
                .metadata()
                .expect("it is there")
                .permissions()
                .mode()
                & 0o044
                != 0,
            "{kind}"
        );
        let name = match kind {
            "fifo" => "a FIFO",
            "folder" => "a folder",
            "socket" => "a socket",
            _ => "a link",
        };
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(
            said.contains(&format!("metrics.jsonl is {name}, not a regular file")),
            "{kind}: {said}"
        );
        assert!(
            said.contains(&format!("output.log is {name}, not a regular file")),
            "{kind}: {said}"
        );
        drop(controller);
        bench.nothing_left();
    }
}

#[test]
fn a_program_that_replaces_a_folder_above_its_attempt_holds_up_nothing() {
    for above in ["1", "."] {
        let bench = Bench::new();
        let controller = bench.controller();
        // The folder of the run, or that of the sweep, becomes a FIFO, which blocks on opening.
        let text = "echo begins >>\"$SWEEP_TEST_STARTS\"\n[ \"$SWEEP_ATTEMPT\" = 2 ] && { echo '{\"loss\": 1}'; exit 0; }\nsleep 0.5\n\
            mv \"$ABOVE\" \"$ABOVE.away\" && mkfifo \"$ABOVE\"\nsleep 1\nexit 1\n";
        let program = bench.write("replaces.sh", text);
        let sweep = QUICK.replace(
            "[sh, -c, 'echo \"{\\\"loss\\\": 1}\"']",
            &format!("[sh, {program}]\nretry: {{crashed: 1}}"),
        );
        let id = bench.create(&[&bench.write("sweep.yaml", &sweep)]);
        let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "runs"]);
        agent.env(
            "ABOVE",
            bench
                .path("runs")
                .join(&id)
                .join(above)
                .components()
                .collect::<std::path::PathBuf>(),
        );
        let ended = finish(agent);
        assert_eq!(ended.code, 0, "{above}: {}", ended.stderr);
        assert_eq!(
            bench.lines("starts"),
            ["begins", "begins"],
            "{above}: {}",
            ended.stderr
        );
        assert_eq!(
            bench.json_lines(&["runs", &id, "--json"])[0]["state"],
            "finished",
            "{above}: {}",
            ended.stderr
        );
        assert!(
            format!("{}{}", ended.stdout, ended.stderr).contains("is a FIFO, not a folder"),
            "{above}: {}",
            ended.stderr
        );
        drop(controller);
        bench.nothing_left();
    }
}

#[test]
fn an_agent_that_comes_later_does_not_wait_for_what_lies_in_the_place_of_files() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench);
    let agent = || {
        let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "runs"]);
        agent.env("KIND", "fifo").env("LONG", "600");
        bench.start_command(agent)
    };
    let first = agent();
    let replaced = |file: &str| {
        fs::symlink_metadata(bench.path("runs").join(&id).join("1").join(file))
            .is_ok_and(|found| !found.is_file() && !found.is_dir())
    };
    wait_for("all files to be replaced", || {
        (replaced("checkpoint.lock") && replaced("1/job.json") && replaced("checkpoint"))
            .then_some(())
    });
    first.kill();
    let (code, output) = agent().wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(
        bench.json_lines(&["runs", &id, "--json"])[0]["state"],
        "finished",
        "{output}"
    );
    assert!(
        output.contains("job.json is a FIFO, not a regular file"),
        "{output}"
    );
    drop(controller);
    bench.nothing_left();
}

const QUICK: &str = "method: grid\nmetric: {name: loss}\ncommand: [sh, -c, 'echo \"{\\\"loss\\\": 1}\"']\nparameters: {x: {values: [1]}}\n";

#[test]
fn links_that_others_have_planted_in_a_shared_folder_are_not_followed() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", QUICK)]);
    let shared = |name: &str| {
        fs::create_dir_all(bench.path(name)).expect("the temporary folder can be written");
        fs::set_permissions(bench.path(name), fs::Permissions::from_mode(0o1777))
            .expect("it is ours");
    };
    fs::create_dir(bench.path("victim")).expect("the temporary folder can be written");
    for planted in ["agents", &id] {
        let runs = format!("shared-{planted}");
        shared(&runs);
        symlink(bench.path("victim"), bench.path(&runs).join(planted)).expect("it can be made");
        let ended = bench.run(&["agent", &id, "--runs-dir", &runs]);
        assert_ne!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .contains(&format!("{planted} is a link, not a folder")),
            "{}",
            ended.stderr
        );
    }
    nothing_was_written(&bench.path("victim"));
    if requires(
        "root",
        nix::unistd::geteuid().is_root(),
        "only root can give a folder to another user",
    ) {
        for planted in ["agents", &id] {
            let runs = format!("theirs-{planted}");
            shared(&runs);
            let folder = bench.path(&runs).join(planted);
            fs::create_dir(&folder).expect("it can be made");
            chown(&folder, Some(12345), None).expect("root may");
            let ended = bench.run(&["agent", &id, "--runs-dir", &runs]);
            assert_ne!(ended.code, 0, "{}", ended.stderr);
            assert!(
                ended.stderr.contains("belongs to another user (uid 12345"),
                "{}",
                ended.stderr
            );
            nothing_was_written(&folder);
        }
    }
    // What captures code is no reason not to run; it says why it does not.
    shared("code-planted");
    symlink(bench.path("victim"), bench.path("code-planted/code")).expect("it can be made");
    let ended = bench.run(&["agent", &id, "--runs-dir", "code-planted"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("code is a link, not a folder"),
        "{}",
        ended.stderr
    );
    nothing_was_written(&bench.path("victim"));
}

#[test]
fn a_folder_for_runs_that_others_can_replace_holds_no_code_and_is_no_link_of_theirs() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = bench.create(&[&bench.write("sweep.yaml", &QUICK.replace("[1]", "[1, 2]"))]);
    fs::create_dir(bench.path("open")).expect("the temporary folder can be written");
    fs::set_permissions(bench.path("open"), fs::Permissions::from_mode(0o777)).expect("it is ours");
    let ended = bench.run(&["agent", &id, "--runs-dir", "open", "--count", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("other users can replace folders in"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("code: version"),
        "it is captured all the same: {}",
        ended.stderr
    );
    assert!(
        !bench.path("open/code").exists(),
        "another user could put a folder there and read it"
    );
    if requires(
        "root",
        nix::unistd::geteuid().is_root(),
        "only root can make a link of another user",
    ) {
        fs::create_dir(bench.path("victim")).expect("the temporary folder can be written");
        symlink(bench.path("victim"), bench.path("open/mine")).expect("it can be made");
        std::os::unix::fs::lchown(bench.path("open/mine"), Some(12345), None).expect("root may");
        let ended = bench.run(&["agent", &id, "--runs-dir", "open/mine"]);
        assert_ne!(ended.code, 0, "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .contains("is a link of another user, not a folder"),
            "{}",
            ended.stderr
        );
        nothing_was_written(&bench.path("victim"));
    }
}

#[test]
fn what_the_agent_makes_is_for_its_user_alone_whatever_the_umask() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let program = bench.write(
        "lists.sh",
        "ls -l \"$(dirname \"$SWEEP_METRICS\")\" >\"$LISTED\"; echo '{\"loss\": 1}'\n",
    );
    let text = QUICK.replace("-c, 'echo \"{\\\"loss\\\": 1}\"'", &program);
    let id = bench.create(&[&bench.write("sweep.yaml", &text)]);
    // Its index is copied.
    let git = |arguments: &[&str]| {
        let done = Command::new("git")
            .current_dir(bench.path(""))
            .args(["-c", "user.name=a", "-c", "user.email=a@b"])
            .args(arguments)
            .output();
        assert!(
            done.is_ok_and(|done| done.status.success()),
            "{arguments:?}"
        );
    };
    git(&["init", "--quiet"]);
    git(&["add", "lists.sh"]);
    git(&["commit", "--quiet", "-m", "x"]);
    fs::set_permissions(bench.path(".git/index"), fs::Permissions::from_mode(0o666))
        .expect("it is ours");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    let mut agent = bench.sweep(&["agent", &id, "--runs-dir", "runs"]);
    agent.env("LISTED", bench.path("listed"));
    let ended = finish(by(shell, &agent));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let mode = |path: &Path| {
        path.symlink_metadata()
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    for folder in [
        "",
        "agents",
        "code",
        &id,
        &format!("{id}/1"),
        &format!("{id}/1/1"),
    ] {
        assert_eq!(mode(&bench.path("runs").join(folder)), 0o700, "{folder}");
    }
    for folder in [
        "agents".to_owned(),
        id.clone(),
        format!("{id}/1"),
        format!("{id}/1/1"),
    ] {
        for entry in fs::read_dir(bench.path("runs").join(&folder))
            .expect("it is there")
            .flatten()
        {
            if entry.path().is_file() {
                assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            }
        }
    }
    let mut folders = vec![bench.path("runs/code")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it is there").flatten() {
            assert_eq!(mode(&entry.path()) & 0o077, 0, "{}", entry.path().display());
            folders.extend(entry.path().is_dir().then(|| entry.path()));
        }
    }
    let listed = bench.read("listed");
    assert!(
        listed.contains("spool.log") && listed.contains("job.json") && !listed.contains("-rw-r"),
        "{listed}"
    );
}
