//! The state machine, step by step.

mod limits;

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    grace: Duration::from_secs(30),
    runtime: None,
    silence: None,
    settle: Duration::from_secs(2),
};
/// When a program exits that `outcome` ends, and when its failure has settled.
const EXIT: u64 = 2;
const SETTLED: u64 = 4;

fn at(seconds: u64) -> Now {
    Duration::from_secs(seconds)
}

fn running() -> AttemptState {
    started(AttemptState::new("loss", LIMITS))
}

fn started(mut attempt: AttemptState) -> AttemptState {
    assert_eq!(attempt.handle(Input::Started, at(0)), []);
    attempt
}

fn metric(name: &str, value: f64) -> Input {
    Input::Metric {
        name: name.to_owned(),
        value,
    }
}

/// Lets a program end by itself after `inputs` and returns the outcome.
fn outcome(inputs: Vec<Input>, exit: Exit) -> AttemptOutcome {
    let mut attempt = running();
    for input in inputs {
        assert_eq!(attempt.handle(input, at(1)), []);
    }
    assert_eq!(
        attempt.handle(Input::Exited(exit), at(EXIT)),
        [Action::Terminate],
        "children must not outlive their program"
    );
    finish(&mut attempt)
}

fn finish(attempt: &mut AttemptState) -> AttemptOutcome {
    assert_eq!(attempt.handle(Input::Empty, at(3)), [Action::Drain]);
    let mut actions = attempt.handle(Input::Drained, at(3));
    if actions.is_empty() {
        assert_eq!(
            attempt.handle(Input::Tick, at(SETTLED) - Duration::from_millis(1)),
            []
        );
        actions = attempt.handle(Input::Tick, at(SETTLED));
    }
    match actions.as_slice() {
        [Action::Finish(outcome)] => outcome.clone(),
        other => panic!("not an end: {other:?}"),
    }
}

fn failure(inputs: Vec<Input>, exit: Exit) -> AttemptFailure {
    match outcome(inputs, exit) {
        AttemptOutcome::Failed(failure) => failure,
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn status_0_with_the_objective_is_success() {
    assert_eq!(
        outcome(vec![metric("loss", 0.5)], Exit::Code(0)),
        AttemptOutcome::Succeeded
    );
    assert_eq!(
        outcome(
            vec![metric("loss", 0.5), metric("loss", f64::NAN)],
            Exit::Code(0)
        ),
        AttemptOutcome::Succeeded
    );
}

#[test]
fn output_that_cannot_be_written_fails_even_a_good_end_and_blames_the_machine() {
    let failure = failure(vec![metric("loss", 0.5), Input::Unwritten], Exit::Code(0));
    assert_eq!(
        (failure.kind, failure.blame, failure.exit_code),
        ("output", "machine", Some(0))
    );
    assert!(
        failure
            .message
            .contains("is the disk with its folder full?"),
        "{}",
        failure.message
    );
}

#[test]
fn each_bad_end_has_its_kind() {
    let line = |text: &str| Input::Line(text.to_owned());
    let out_of_memory = || line("RuntimeError: CUDA out of memory. Tried to allocate 2 GiB");
    let cases = [
        (vec![metric("loss", 0.5)], Exit::Code(3), "crashed"),
        (vec![metric("loss", 0.5)], Exit::Signal(9), "signal"),
        (vec![], Exit::Code(0), "no_metric"),
        (vec![metric("acc", 0.5)], Exit::Code(0), "no_metric"),
        (
            vec![metric("loss", f64::NAN)],
            Exit::Code(0),
            "nan_objective",
        ),
        (
            vec![metric("loss", 0.1), metric("loss", f64::INFINITY)],
            Exit::Code(1),
            "nan_objective",
        ),
        (
            vec![out_of_memory(), line("  at train.py")],
            Exit::Code(1),
            "cuda_out_of_memory",
        ),
    ];
    for (inputs, exit, kind) in cases {
        assert_eq!(failure(inputs.clone(), exit).kind, kind, "{inputs:?}");
    }
    assert_eq!(
        outcome(vec![out_of_memory(), metric("loss", 1.0)], Exit::Code(0)),
        AttemptOutcome::Succeeded,
        "it got over it"
    );
    let mut long_ago = vec![out_of_memory()];
    long_ago.extend((0..300).map(|index| line(&format!("epoch {index}"))));
    assert_eq!(failure(long_ago, Exit::Code(1)).kind, "crashed");
}

#[test]
fn a_failure_says_what_a_person_needs() {
    let lines = ["Traceback:", "ValueError: bad lr", ""].map(|text| Input::Line(text.to_owned()));
    let failure = failure(lines.to_vec(), Exit::Code(1));
    assert_eq!(
        (failure.message.as_str(), failure.exit_code, failure.blame),
        (
            "exit status 1: ValueError: bad lr",
            Some(1),
            "configuration"
        )
    );
    assert_eq!(failure.output_tail, "Traceback:\nValueError: bad lr\n");
}

#[test]
fn a_sweep_without_objective_needs_no_metric() {
    let mut attempt = AttemptState::new("", LIMITS);
    attempt.handle(Input::Exited(Exit::Code(0)), at(1));
    assert_eq!(finish(&mut attempt), AttemptOutcome::Succeeded);
}

#[test]
fn a_program_that_cannot_start_blames_the_machine() {
    let actions = running().handle(
        Input::CouldNotStart(Obstacle::Machine("no `train`".to_owned())),
        at(0),
    );
    assert!(
        matches!(
            &actions[..],
            [Action::Finish(AttemptOutcome::Failed(AttemptFailure {
                kind: "could_not_start",
                blame: "machine",
                ..
            }))]
        ),
        "{actions:?}"
    );
}

#[test]
fn a_machine_that_is_not_ready_is_blamed_for_it() {
    let mut attempt = AttemptState::new(
        "loss",
        Limits {
            silence: Some(Duration::from_secs(1)),
            ..LIMITS
        },
    );
    assert_eq!(
        attempt.handle(Input::Tick, at(30)),
        [],
        "time counts from the program's start"
    );
    let output = "looking\nno /data\n\n".to_owned();
    assert_eq!(
        attempt.handle(
            Input::NotReady {
                how: "it ended with exit status 1".to_owned(),
                output
            },
            at(30)
        ),
        []
    );
    let actions = attempt.handle(Input::Tick, at(32));
    let [Action::Finish(AttemptOutcome::Failed(failure))] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(
        (failure.kind, failure.blame, failure.evidence.as_str()),
        ("preflight", "machine", "no /data")
    );
    assert_eq!(
        failure.message,
        "the preflight command failed on this machine: it ended with exit status 1"
    );
}

#[test]
fn what_was_wanted_before_the_start_explains_why_there_was_none() {
    let mut attempt = AttemptState::new("loss", LIMITS);
    assert_eq!(
        attempt.handle(Input::Want(Want::Preempt), at(1)),
        [Action::Terminate]
    );
    let actions = attempt.handle(
        Input::NotReady {
            how: "it was ended by SIGTERM".to_owned(),
            output: String::new(),
        },
        at(1),
    );
    assert_eq!(actions, [Action::Finish(AttemptOutcome::Preempted)]);
}

#[test]
fn sigterm_then_grace_then_sigkill_until_nothing_is_left() {
    let mut attempt = running();
    let stop = Want::Stop {
        reason: "band 1".to_owned(),
    };
    assert_eq!(
        attempt.handle(Input::Want(stop.clone()), at(10)),
        [Action::Terminate]
    );
    assert_eq!(
        attempt.handle(Input::Want(stop), at(11)),
        [],
        "a repeated want starts no second grace"
    );
    assert_eq!(attempt.handle(Input::Tick, at(39)), []);
    assert_eq!(attempt.handle(Input::Tick, at(40)), [Action::Kill]);
    assert_eq!(attempt.handle(Input::Tick, at(41)), [Action::Kill]);
    assert_eq!(
        attempt.handle(Input::Empty, at(41)),
        [],
        "its own process has not been waited for"
    );
    assert_eq!(attempt.handle(Input::Exited(Exit::Signal(9)), at(41)), []);
    assert_eq!(
        finish(&mut attempt),
        AttemptOutcome::Stopped("band 1".to_owned())
    );
}

#[test]
fn a_program_that_reads_the_stop_file_has_a_grace_period_before_sigterm() {
    let stop = || {
        Input::Want(Want::Stop {
            reason: "band 1".to_owned(),
        })
    };
    let asked = || {
        let mut attempt = running();
        assert_eq!(attempt.handle(Input::StopWatched, at(10)), []);
        assert_eq!(attempt.handle(stop(), at(10)), []);
        assert_eq!(attempt.handle(stop(), at(11)), [], "asked already");
        attempt
    };

    let mut obeys = asked();
    assert_eq!(
        obeys.handle(Input::Exited(Exit::Code(1)), at(12)),
        [Action::Terminate],
        "its children"
    );
    assert_eq!(
        finish(&mut obeys),
        AttemptOutcome::Stopped("band 1".to_owned())
    );

    let mut deaf = asked();
    assert_eq!(deaf.handle(Input::Tick, at(39)), []);
    assert_eq!(deaf.handle(Input::Tick, at(40)), [Action::Terminate]);
    assert_eq!(deaf.handle(Input::Tick, at(69)), []);
    assert_eq!(deaf.handle(Input::Tick, at(70)), [Action::Kill]);

    for other in [
        Want::Preempt,
        Want::Cancel {
            reason: "by user".to_owned(),
        },
    ] {
        let actions = asked().handle(Input::Want(other), at(12));
        assert_eq!(actions, [Action::Terminate], "no early stopping any more");
    }
    assert_eq!(
        asked().handle(Input::Want(Want::Kill), at(12)),
        [Action::Kill]
    );
}

#[test]
fn what_was_killed_while_memory_ran_out_names_the_counter() {
    let memory = || Input::OutOfMemory("oom_kill in /proc/vmstat rose from 3 to 4".to_owned());
    for exit in [Exit::Signal(9), Exit::Code(137)] {
        let failure = failure(vec![memory()], exit);
        assert_eq!(
            (failure.kind, failure.blame),
            ("out_of_memory", "configuration"),
            "{exit:?}"
        );
        assert_eq!(
            failure.evidence,
            "oom_kill in /proc/vmstat rose from 3 to 4"
        );
    }
    assert_eq!(
        failure(vec![memory()], Exit::Code(1)).kind,
        "crashed",
        "something else was killed"
    );
    assert_eq!(failure(vec![], Exit::Signal(9)).blame, "external");
    assert_eq!(failure(vec![], Exit::Signal(11)).blame, "configuration");
}

#[test]
fn what_cannot_be_killed_is_given_up() {
    let mut attempt = running();
    assert_eq!(
        attempt.handle(Input::Want(Want::Kill), at(0)),
        [Action::Kill]
    );
    assert!(matches!(
        attempt.handle(Input::Tick, at(60)).as_slice(),
        [Action::Note(_), Action::Drain]
    ));
    assert_eq!(
        attempt.handle(Input::Drained, at(60)),
        [Action::Finish(AttemptOutcome::Preempted)]
    );
}

#[test]
fn the_end_is_called_after_who_wanted_it() {
    let stop = || Want::Stop {
        reason: "s".to_owned(),
    };
    let cancel = || Want::Cancel {
        reason: "c".to_owned(),
    };
    let abandon = || Want::Abandon {
        reason: "a".to_owned(),
    };
    let cases = [
        (
            vec![stop(), Want::Preempt],
            AttemptOutcome::Stopped("s".to_owned()),
        ),
        (
            vec![stop(), cancel()],
            AttemptOutcome::Cancelled("c".to_owned()),
        ),
        (
            vec![cancel(), stop(), Want::Kill],
            AttemptOutcome::Cancelled("c".to_owned()),
        ),
        (vec![Want::Preempt, stop()], AttemptOutcome::Preempted),
        (
            vec![cancel(), abandon(), cancel()],
            AttemptOutcome::Abandoned("a".to_owned()),
        ),
    ];
    for (wants, expected) in cases {
        let mut attempt = running();
        for want in wants {
            attempt.handle(Input::Want(want), at(1));
        }
        attempt.handle(Input::Exited(Exit::Code(0)), at(2));
        assert_eq!(finish(&mut attempt), expected);
    }
}

#[test]
fn a_want_after_the_end_changes_nothing_but_ownership() {
    let ended = || {
        let mut attempt = running();
        attempt.handle(metric("loss", 1.0), at(1));
        attempt.handle(Input::Exited(Exit::Code(0)), at(1));
        attempt
    };
    let mut attempt = ended();
    attempt.handle(
        Input::Want(Want::Stop {
            reason: "late".to_owned(),
        }),
        at(1),
    );
    assert_eq!(finish(&mut attempt), AttemptOutcome::Succeeded);
    let mut attempt = ended();
    attempt.handle(
        Input::Want(Want::Abandon {
            reason: "lost".to_owned(),
        }),
        at(1),
    );
    assert_eq!(
        finish(&mut attempt),
        AttemptOutcome::Abandoned("lost".to_owned())
    );
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(Input::Want(Want::Stop {
            reason: "s".to_owned()
        })),
        Just(Input::Want(Want::Cancel {
            reason: "c".to_owned()
        })),
        Just(Input::Want(Want::Abandon {
            reason: "a".to_owned()
        })),
        Just(Input::Want(Want::Preempt)),
        Just(Input::Want(Want::Kill)),
        Just(Input::Want(Want::PassOn(UserSignal::Usr1))),
        Just(Input::StopWatched),
        Just(Input::Exited(Exit::Code(0))),
        Just(Input::Exited(Exit::Code(1))),
        Just(Input::Empty),
        Just(Input::Drained),
        Just(Input::Tick),
        Just(metric("loss", 1.0)),
    ]
}

proptest! {
    /// After any inputs in any order, it ends once, within a bound, and never before it was emptied
    /// or given up.
    #[test]
    fn it_always_ends_once(inputs in proptest::collection::vec((any_input(), 0u64..20), 0..40)) {
        let mut attempt = running();
        let mut now = 0;
        let mut finishes = 0;
        let mut drains = 0;
        let mut exited = false;
        let end = [Input::Want(Want::Kill), Input::Exited(Exit::Signal(9)), Input::Empty, Input::Drained, Input::Tick].map(|input| (input, 2));
        for (input, seconds) in inputs.into_iter().chain(end) {
            if matches!(input, Input::Exited(_)) && std::mem::replace(&mut exited, true) {
                continue;
            }
            now += seconds;
            for action in attempt.handle(input, at(now)) {
                drains += usize::from(action == Action::Drain);
                if matches!(action, Action::Finish(_)) {
                    prop_assert_eq!(drains, 1);
                    finishes += 1;
                }
            }
        }
        prop_assert_eq!(finishes, 1);
    }
}
