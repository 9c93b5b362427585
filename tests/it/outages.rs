//! Answers that are not from an agent's own controller end no training: proxies, other controllers, tokens that were changed.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Bench, Running, finish, trainer, wait_for};
use crate::proxy::{Answer, Proxy};

/// Long enough for several tries of everything that an agent calls.
const A_WHILE: Duration = Duration::from_millis(1500);

fn create(bench: &Bench, steps: u32) -> String {
    let yaml = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, --steps={steps}]\nparameters:\n  x: {{values: [1]}}\n",
        trainer("steps.sh")
    );
    bench.create(&[&bench.write("sweep.yaml", &yaml)])
}

fn started(bench: &Bench) {
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
}

/// Starts a controller on the bench's port with data in a folder.
fn controller(bench: &Bench, data: &str) -> Running {
    bench.controller_at(data, "60s")
}

fn stop(controller: Running) {
    controller.signal(Signal::SIGTERM);
    controller.wait();
}

/// The one run was executed once, from its first step to its last.
fn went_through(bench: &Bench, runs: &[Value], id: &str, steps: i64) {
    assert_eq!(bench.lines("starts"), ["1/1"], "it was started once");
    let [run] = runs else { panic!("{runs:#?}") };
    assert_eq!(
        (&run["state"], &run["attempts"], &run["value"]),
        (&"finished".into(), &1.into(), &0.0.into()),
        "{run}"
    );
    assert_eq!(
        bench.steps(id, 1, "loss"),
        (1..=steps).collect::<Vec<_>>(),
        "each point once"
    );
}

#[test]
fn whatever_a_proxy_answers_the_training_goes_on() {
    let bench = Bench::new();
    let controller = controller(&bench, "controller");
    let proxy = Proxy::before(bench.port());
    let id = create(&bench, 300);
    let mut agent = bench.sweep(&["agent", &id, "--controller", &proxy.url()]);
    agent.env("SWEEP_TOKEN", bench.token());
    let agent = bench.start_command(agent);
    started(&bench);
    let http = [404, 403, 401, 429, 502]
        .into_iter()
        .flat_map(|status| [true, false].map(|has_body| Answer::Http { status, has_body }));
    for answer in http.chain([5, 7, 12, 14, 16].map(Answer::Grpc)) {
        proxy.answer(Some(answer));
        sleep(A_WHILE);
        let programs = bench
            .processes()
            .into_iter()
            .filter(|process| process.command.contains("steps.sh"))
            .count();
        assert!(
            programs > 0,
            "{answer:?} has ended the program: {}",
            agent.output()
        );
    }
    proxy.answer(None);
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    assert!(
        output.contains("something else than the controller answers at its address"),
        "{output}"
    );
    assert!(output.contains("Connected"), "{output}");
    went_through(
        &bench,
        &bench.json_lines(&["runs", &id, "--json"]),
        &id,
        300,
    );
    stop(controller);
    bench.nothing_left();
}

#[test]
fn a_controller_with_other_data_has_no_say() {
    let bench = Bench::new();
    let own = controller(&bench, "controller");
    let id = create(&bench, 120);
    let agent = bench.start(&["agent", &id]);
    started(&bench);
    stop(own);
    let other = controller(&bench, "other");
    wait_for("what the agent says", || {
        agent.output().contains("this is controller").then_some(())
    });
    sleep(A_WHILE);
    let said = agent.output();
    assert!(said.contains("belong to controller"), "{said}");
    let asked = bench.run(&["show", &id]);
    assert!(
        asked.code == 2 && asked.stderr.contains("no sweep"),
        "{asked:?}"
    );
    assert!(
        asked.stderr.contains(&format!(
            "the runs of {id} on this machine belong to controller"
        )),
        "{asked:?}"
    );
    stop(other);
    let own = controller(&bench, "controller");
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    went_through(
        &bench,
        &bench.json_lines(&["runs", &id, "--json"]),
        &id,
        120,
    );
    stop(own);
    bench.nothing_left();
}

#[test]
fn an_agent_whose_sweep_is_gone_says_so_and_leaves_with_a_status_of_its_own() {
    let bench = Bench::new();
    let first = controller(&bench, "controller");
    // The port listens before the database is there.
    bench.ok(&["controller", "status"]);
    bench.back_up("empty.db", "controller");
    let id = create(&bench, 600);
    let agent = bench.start(&["agent", &id, "--grace", "1s"]);
    started(&bench);
    stop(first);
    bench.restore("empty.db", "restored");
    let restored = controller(&bench, "restored");
    let (code, output) = agent.wait();
    assert_eq!(code, 4, "{output}");
    assert!(
        output.contains("does not have the sweep any more"),
        "{output}"
    );
    stop(restored);
    bench.nothing_left();
}

#[test]
fn a_changed_token_ends_no_training_and_a_restored_one_goes_on_working() {
    let bench = Bench::new();
    let serve = |data: &str| bench.controller_on("0.0.0.0", data, "60s");
    let with = |token: &str, arguments: &[&str]| -> Command {
        let mut command = bench.sweep(arguments);
        command.env("SWEEP_TOKEN", token);
        command
    };
    let first = serve("controller");
    // It listens before it has opened its data.
    let token = wait_for("the token", || {
        bench
            .lines("controller/token")
            .first()
            .map(|line| line.trim().to_owned())
    });
    let yaml = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, --steps=150]\nparameters:\n  x: {{values: [1]}}\n",
        trainer("steps.sh")
    );
    let id = finish(with(&token, &["create", &bench.write("sweep.yaml", &yaml)]))
        .stdout
        .trim()
        .to_owned();
    // By name: the agent reads the token of its own machine's controller again by itself.
    let agent = bench.sweep(&["agent", &id, "--token", &token]);
    let agent = bench.start_command(agent);
    started(&bench);
    bench.back_up("backup.db", "controller");
    stop(first);
    // A restored controller takes the token that agents have.
    bench.restore("backup.db", "restored");
    let restored = serve("restored");
    wait_for("the agent at the restored controller", || {
        let listed = finish(with(&token, &["agents", &id, "--json"]));
        (listed.code == 0 && listed.stdout.contains("\"alive\":true")).then_some(())
    });
    stop(restored);
    let new = bench
        .ok(&["controller", "rotate-token", "--data-dir", "restored"])
        .trim()
        .to_owned();
    assert!(new.starts_with("swp_") && new != token);
    let rotated = serve("restored");
    wait_for("what the agent says", || {
        agent
            .output()
            .contains("asks for a token that this agent does not have")
            .then_some(())
    });
    sleep(A_WHILE);
    agent.kill();
    let (code, output) = bench.start_command(with(&new, &["agent", &id])).wait();
    assert_eq!(code, 0, "{output}");
    assert_eq!(bench.lines("starts"), ["1/1"], "it was started once");
    let runs = finish(with(&new, &["runs", &id, "--json"])).stdout;
    let run: Value = serde_json::from_str(runs.trim()).expect("it is one run");
    assert_eq!(
        (&run["state"], &run["attempts"], &run["value"]),
        (&"finished".into(), &1.into(), &0.0.into()),
        "{run}"
    );
    stop(rotated);
    bench.nothing_left();
}
