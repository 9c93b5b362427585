//! Processes that stop for a while, and networks that are cut, both ways and one way: what goes on afterwards is right.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::harness::{Bench, by, requires, trainer, wait_for};

fn create(bench: &Bench, points: usize, steps: u32) -> String {
    let text = format!(
        "method: grid\nmetric: {{name: loss, goal: minimize}}\ncommand: [sh, {}, --steps={steps}]\nparameters:\n  x: {{values: {:?}}}\n",
        trainer("steps.sh"),
        (0..points).collect::<Vec<_>>()
    );
    let file = bench.write("sweep.yaml", &text);
    bench.create(&[&file])
}

fn runs(bench: &Bench, id: &str) -> Vec<Value> {
    bench.json_lines(&["runs", id, "--json"])
}

fn no_program_is_left(bench: &Bench) {
    let left: Vec<_> = bench
        .processes()
        .into_iter()
        .filter(|process| process.command.contains("steps.sh"))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
}

/// Every point finished once, and nothing left.
fn all_is_well(bench: &Bench, id: &str, points: usize) {
    let runs = runs(bench, id);
    assert!(
        runs.len() == points && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
    no_program_is_left(bench);
}

#[test]
fn a_controller_that_stood_still_takes_nothing_away() {
    let bench = Bench::new();
    let controller = bench.controller();
    let id = create(&bench, 4, 25);
    let agents: Vec<_> = (0..2).map(|_| bench.start(&["agent", &id])).collect();
    wait_for("two starts", || {
        (bench.lines("starts").len() >= 2).then_some(())
    });
    controller.signal(Signal::SIGSTOP);
    // Longer than a lease of three seconds.
    sleep(Duration::from_secs(5));
    controller.signal(Signal::SIGCONT);
    for agent in agents {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    all_is_well(&bench, &id, 4);
    assert!(
        runs(&bench, &id).iter().all(|run| run["attempts"] == 1),
        "the agents were there all the time"
    );
}

#[test]
fn an_agent_that_stood_still_too_long_finds_its_run_taken_and_lets_go() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, 1, 60);
    let sleeper = bench.start(&["agent", &id]);
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    // It trains: an agent that looks at the code of a folder keeps others of the same folder waiting.
    wait_for("its first points", || {
        (bench.steps_reported(&id, 1) > 15).then_some(())
    });
    sleeper.signal(Signal::SIGSTOP);
    let other = bench.start(&["agent", &id]);
    wait_for("the second start", || {
        (bench.lines("starts").len() == 2).then_some(())
    });
    sleeper.signal(Signal::SIGCONT);
    let programs = || {
        bench
            .processes()
            .iter()
            .filter(|process| {
                process.command.contains("steps.sh") && !process.command.contains("__shim")
            })
            .count()
    };
    wait_for("the end of the first program", || {
        (programs() == 1).then_some(())
    });
    for agent in [sleeper, other] {
        let (code, output) = agent.wait();
        assert_eq!(code, 0, "{output}");
    }
    all_is_well(&bench, &id, 1);
    assert_eq!(bench.lines("starts"), ["1/1", "1/2"]);
}

#[test]
fn a_program_that_was_stopped_is_ended_all_the_same() {
    let bench = Bench::new();
    let _controller = bench.controller();
    let id = create(&bench, 1, 600);
    let agent = bench.start(&["agent", &id, "--grace", "1s"]);
    wait_for("a start", || {
        (!bench.lines("starts").is_empty()).then_some(())
    });
    for process in bench
        .processes()
        .iter()
        .filter(|process| process.command.contains("steps.sh"))
    {
        kill(Pid::from_raw(process.pid), Signal::SIGSTOP).expect("it runs");
    }
    bench.ok(&["cancel", &id]);
    assert_eq!(agent.wait().0, 0);
    no_program_is_left(&bench);
}

/// A network with two ends: `10.231.N.1` here and `10.231.N.2` in its own namespace.
struct Wire {
    name: String,
    here: Ipv4Addr,
}

impl Wire {
    /// `None`, said loudly, where nobody may make one.
    fn lay(number: u8) -> Option<Self> {
        let name = format!("swp{}{number}", std::process::id() % 100_000);
        let (here, there) = (
            Ipv4Addr::new(10, 231, number, 1),
            Ipv4Addr::new(10, 231, number, 2),
        );
        let wire = Self { name, here };
        let name = &wire.name;
        let made = [
            format!("netns add {name}"),
            format!("link add {name}h type veth peer name {name}n netns {name}"),
            format!("addr add {here}/24 dev {name}h"),
            format!("link set {name}h up"),
            format!("-n {name} addr add {there}/24 dev {name}n"),
            format!("-n {name} link set {name}n up"),
            format!("-n {name} link set lo up"),
        ]
        .iter()
        .all(|line| ip(line));
        requires(
            "netns",
            made,
            "only root may cut a network, and `ip` has to be here",
        )
        .then_some(wire)
    }

    fn cut(&self) {
        assert!(ip(&format!("link set {}h down", self.name)));
    }

    fn mend(&self) {
        assert!(ip(&format!("link set {}h up", self.name)));
    }

    /// Drops packets from the other end; packets from this end arrive.
    fn cut_one_way(&self) -> bool {
        ip(&format!(
            "route add blackhole {}/32 metric 1",
            Ipv4Addr::from(u32::from(self.here) + 1)
        ))
    }

    fn mend_one_way(&self) {
        ip(&format!(
            "route del blackhole {}/32 metric 1",
            Ipv4Addr::from(u32::from(self.here) + 1)
        ));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.mend_one_way();
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(line: &str) -> bool {
    Command::new("ip")
        .args(line.split(' '))
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Runs six points with an agent at the far end of a wire that is damaged meanwhile.
fn with_a_wire(number: u8, damage: impl Fn(&Wire)) -> Option<Vec<Value>> {
    let wire = Wire::lay(number)?;
    let bench = Bench::new();
    let address = format!("{}:{}", wire.here, bench.port());
    let data = bench.path("controller").display().to_string();
    let controller = bench.start(&[
        "controller",
        "--listen",
        &address,
        "--data-dir",
        &data,
        "--lease",
        "3s",
    ]);
    wait_for("the token", || {
        bench.path("controller/token").exists().then_some(())
    });
    let token = bench.read("controller/token").trim().to_owned();
    let world = |mut command: Command| {
        command
            .env("SWEEP_CONTROLLER", format!("http://{address}"))
            .env("SWEEP_TOKEN", &token);
        command
    };
    let text = format!(
        "method: grid\nmetric: {{name: loss}}\ncommand: [sh, {}, --steps=15]\nparameters:\n  x: {{values: [1, 2, 3, 4, 5, 6]}}\n",
        trainer("steps.sh")
    );
    let file = bench.write("sweep.yaml", &text);
    let created = wait_for("the sweep", || {
        let ended = crate::harness::finish(world(bench.sweep(&["create", &file])));
        (ended.code == 0).then_some(ended)
    });
    let id = created.stdout.trim().to_owned();
    let agent = world(bench.sweep(&["agent", &id, "--slots", "2"]));
    let mut far = Command::new("ip");
    far.args(["netns", "exec", &wire.name]);
    let agent = bench.start_command(by(far, &agent));
    wait_for("two starts", || {
        (bench.lines("starts").len() >= 2).then_some(())
    });
    damage(&wire);
    let (code, output) = agent.wait();
    assert_eq!(code, 0, "{output}");
    let listed = crate::harness::finish(world(bench.sweep(&["runs", &id, "--json"])));
    let runs: Vec<Value> = listed
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("it is JSON"))
        .collect();
    assert!(
        runs.len() == 6 && runs.iter().all(|run| run["state"] == "finished"),
        "{runs:#?}"
    );
    controller.signal(Signal::SIGTERM);
    controller.wait();
    bench.nothing_left();
    Some(runs)
}

#[test]
fn a_network_that_is_cut_for_less_than_a_lease_costs_nothing() {
    let cut = |wire: &Wire| {
        wire.cut();
        sleep(Duration::from_millis(1500));
        wire.mend();
    };
    if let Some(runs) = with_a_wire(1, cut) {
        assert!(runs.iter().all(|run| run["attempts"] == 1), "{runs:#?}");
    }
}

#[test]
fn a_network_that_is_cut_for_longer_than_a_lease_costs_no_result() {
    let cut = |wire: &Wire| {
        wire.cut();
        sleep(Duration::from_secs(8));
        wire.mend();
    };
    if let Some(runs) = with_a_wire(2, cut) {
        assert!(
            runs.iter().all(|run| run["attempts"] == 1),
            "nobody else had begun what the agent went on with: {runs:#?}"
        );
    }
}

#[test]
fn answers_that_get_lost_on_their_way_cost_nothing_either() {
    let cut = |wire: &Wire| {
        assert!(wire.cut_one_way(), "a route can be added");
        sleep(Duration::from_secs(6));
        wire.mend_one_way();
    };
    with_a_wire(3, cut);
}
