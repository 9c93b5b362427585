//! Program and agent are signalled together, in any order: what is a preemption and what is a
//! crash.

use proptest::prelude::*;

use super::*;

const SETTLE: Duration = Duration::from_secs(2);
const LIMITS: Limits = Limits {
    grace: Duration::from_secs(20),
    runtime: None,
    silence: None,
    settle: SETTLE,
};
const TRACE: [&str; 3] = [
    "Traceback (most recent call last):",
    "  File \"train.py\", line 3, in <module>",
    "ValueError: bad lr",
];

fn ms(milliseconds: u64) -> Now {
    Duration::from_millis(milliseconds)
}

/// Plays inputs at their times as the runner does, which looks every 100 ms, and returns the
/// outcome and its time.
fn play(inputs: &[(u64, Input)]) -> (AttemptOutcome, Now) {
    let mut attempt = AttemptState::new("loss", LIMITS);
    attempt.handle(Input::Started, Now::ZERO);
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(|(time, _)| *time);
    let mut waiting = inputs.into_iter().peekable();
    for time in (0..100_000).step_by(10) {
        let now = ms(time);
        let mut due = Vec::new();
        while let Some((_, input)) = waiting.next_if(|(at, _)| *at <= time) {
            due.push(input);
        }
        if time % 100 == 0 {
            if attempt.awaits_empty() {
                due.push(Input::Empty);
            }
            due.push(Input::Tick);
        }
        while !due.is_empty() {
            for action in attempt.handle(due.remove(0), now) {
                match action {
                    Action::Drain => due.push(Input::Drained),
                    Action::Finish(outcome) => return (outcome, now),
                    _ => {}
                }
            }
        }
    }
    panic!("it does not end");
}

fn lines(time: u64, lines: &[&str]) -> Vec<(u64, Input)> {
    lines
        .iter()
        .map(|line| (time, Input::Line((*line).to_owned())))
        .collect()
}

fn crash_with(
    printed: &[(u64, Input)],
    exit: (u64, Exit),
    preempted: Option<u64>,
) -> (AttemptOutcome, Now) {
    let mut inputs = printed.to_vec();
    inputs.push((exit.0, Input::Exited(exit.1)));
    inputs.extend(preempted.map(|time| (time, Input::Want(Want::Preempt))));
    play(&inputs)
}

fn is_crash(outcome: &AttemptOutcome) -> bool {
    matches!(
        outcome,
        AttemptOutcome::Failed(AttemptFailure {
            kind: "crashed",
            blame: "configuration",
            ..
        })
    )
}

#[test]
fn a_failure_waits_for_a_preemption_and_no_longer() {
    let (outcome, ended) = crash_with(&[], (1000, Exit::Code(1)), Some(2900));
    assert_eq!(
        (outcome, ended),
        (AttemptOutcome::Preempted, ms(2900)),
        "the preemption is not waited for any longer"
    );
    let (outcome, ended) = crash_with(&[], (1000, Exit::Code(1)), Some(3100));
    assert!(is_crash(&outcome), "{outcome:?}");
    assert_eq!(ended, ms(3000));
}

#[test]
fn success_does_not_wait() {
    let loss = (
        10,
        Input::Metric {
            name: "loss".to_owned(),
            value: 1.0,
        },
    );
    let (outcome, ended) = crash_with(&[loss], (1000, Exit::Code(0)), Some(1500));
    assert_eq!(
        (outcome, ended),
        (AttemptOutcome::Succeeded, ms(1100)),
        "as soon as nothing is left of it"
    );
}

#[test]
fn an_error_that_is_older_than_the_signal_is_a_crash_and_waits_for_nothing() {
    for preempted in [None, Some(700), Some(1200), Some(2900)] {
        let (outcome, ended) = crash_with(&lines(500, &TRACE), (1000, Exit::Code(1)), preempted);
        assert!(is_crash(&outcome), "{preempted:?}: {outcome:?}");
        assert!(ended <= ms(1100), "{preempted:?}: {ended:?}");
    }
    let panic = [
        "thread 'main' (7) panicked at src/main.rs:2:5:",
        "no such layer",
    ];
    assert!(is_crash(
        &crash_with(&lines(900, &panic), (1000, Exit::Code(101)), Some(1200)).0
    ));
}

#[test]
fn an_error_that_follows_the_signal_is_a_preemption() {
    assert_eq!(
        crash_with(&lines(600, &TRACE), (1000, Exit::Code(1)), Some(550)).0,
        AttemptOutcome::Preempted
    );
    assert_eq!(
        crash_with(&lines(600, &TRACE), (1000, Exit::Code(1)), Some(650)).0,
        AttemptOutcome::Preempted,
        "too close to tell"
    );
}

#[test]
fn an_error_that_the_program_got_over_is_none() {
    assert_eq!(
        crash_with(&lines(500, &TRACE), (9000, Exit::Code(1)), Some(8900)).0,
        AttemptOutcome::Preempted
    );
    assert_eq!(
        crash_with(&lines(500, &TRACE), (1000, Exit::Signal(15)), Some(1200)).0,
        AttemptOutcome::Preempted
    );
    assert_eq!(
        crash_with(&lines(500, &TRACE), (1000, Exit::Code(143)), Some(1200)).0,
        AttemptOutcome::Preempted
    );
}

#[test]
fn an_error_that_a_signal_causes_settles() {
    for error in [
        "KeyboardInterrupt",
        "torch.distributed.elastic.multiprocessing.api.SignalException: Process 1234 got signal: 15",
        "lightning.pytorch.utilities.exceptions.SIGTERMException",
        "RuntimeError: DataLoader worker (pid 812) is killed by signal: Terminated. ",
        "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:825, remote process exited or there was a network error",
    ] {
        let printed = lines(500, &[TRACE[0], TRACE[1], error]);
        assert_eq!(
            crash_with(&printed, (600, Exit::Code(1)), Some(1500)).0,
            AttemptOutcome::Preempted,
            "{error}"
        );
        let (outcome, ended) = crash_with(&printed, (600, Exit::Code(1)), None);
        assert!(
            matches!(outcome, AttemptOutcome::Failed(_)),
            "{error}: {outcome:?}"
        );
        assert_eq!(ended, ms(2600), "{error}");
    }
    let mut launcher = lines(500, &TRACE);
    launcher.extend(lines(
        550,
        &["W1129 10:00:00 api.py:900] Sending process 812 closing signal SIGTERM"],
    ));
    assert!(
        is_crash(&crash_with(&launcher, (600, Exit::Code(1)), Some(1500)).0),
        "torchrun ends the other processes of one that crashed"
    );
}

#[test]
fn a_preemption_does_not_excuse_what_took_too_long_or_was_cancelled() {
    let mut attempt = AttemptState::new(
        "loss",
        Limits {
            runtime: Some(ms(1000)),
            ..LIMITS
        },
    );
    attempt.handle(Input::Started, Now::ZERO);
    attempt.handle(Input::Tick, ms(1000));
    attempt.handle(Input::Want(Want::Preempt), ms(1100));
    attempt.handle(Input::Exited(Exit::Signal(15)), ms(1200));
    attempt.handle(Input::Empty, ms(1200));
    let actions = attempt.handle(Input::Drained, ms(1200));
    assert!(
        matches!(
            &actions[..],
            [Action::Finish(AttemptOutcome::Failed(AttemptFailure {
                kind: "max_runtime",
                ..
            }))]
        ),
        "{actions:?}"
    );
    let cancel = Want::Cancel {
        reason: "c".to_owned(),
    };
    let inputs = [
        (900, Input::Want(cancel)),
        (1000, Input::Exited(Exit::Code(1))),
        (1100, Input::Want(Want::Preempt)),
    ];
    assert_eq!(play(&inputs).0, AttemptOutcome::Cancelled("c".to_owned()));
}

#[test]
fn an_attempt_that_settles_can_lose_its_run() {
    let abandon = Want::Abandon {
        reason: "lost".to_owned(),
    };
    let (outcome, ended) = play(&[
        (1000, Input::Exited(Exit::Code(1))),
        (1500, Input::Want(abandon)),
    ]);
    assert_eq!(
        (outcome, ended),
        (AttemptOutcome::Abandoned("lost".to_owned()), ms(1500))
    );
    let late = Want::Stop {
        reason: "late".to_owned(),
    };
    assert!(
        is_crash(
            &play(&[
                (1000, Input::Exited(Exit::Code(1))),
                (1500, Input::Want(late))
            ])
            .0
        ),
        "it had ended by itself"
    );
}

#[test]
fn the_command_before_the_program_is_preempted_too() {
    let not_ready = Input::NotReady {
        how: "it was ended by SIGTERM".to_owned(),
        output: String::new(),
    };
    assert_eq!(
        play(&[(100, not_ready.clone()), (600, Input::Want(Want::Preempt))]).0,
        AttemptOutcome::Preempted
    );
    assert!(matches!(
        play(&[(100, not_ready)]).0,
        AttemptOutcome::Failed(AttemptFailure {
            kind: "preflight",
            ..
        })
    ));
}

#[test]
fn what_a_program_leaves_behind_gets_little_grace_in_every_state() {
    for first in [Input::Want(Want::Preempt), Input::Tick] {
        let mut attempt = AttemptState::new("loss", LIMITS);
        attempt.handle(Input::Started, Now::ZERO);
        attempt.handle(first, ms(1000));
        attempt.handle(Input::Exited(Exit::Code(1)), ms(2000));
        assert_eq!(attempt.handle(Input::Tick, ms(6900)), []);
        assert_eq!(attempt.handle(Input::Tick, ms(7000)), [Action::Kill]);
    }
}

#[test]
fn a_signal_is_passed_on_while_the_program_runs() {
    let mut attempt = AttemptState::new("loss", LIMITS);
    attempt.handle(Input::Started, Now::ZERO);
    let pass_on = || Input::Want(Want::PassOn(UserSignal::Usr2));
    assert_eq!(
        attempt.handle(pass_on(), ms(10)),
        [Action::PassOn(UserSignal::Usr2)]
    );
    attempt.handle(Input::Exited(Exit::Code(1)), ms(20));
    assert_eq!(attempt.handle(pass_on(), ms(30)), []);
}

proptest! {
    /// With the signal first at the agent or the program, and with any exit: up to two seconds
    /// apart it is a preemption.
    #[test]
    fn any_order_of_signals_is_a_preemption(
        program in 5000u64..7000,
        agent in 5000u64..7000,
        takes in 0u64..50,
        traces in any::<bool>(),
        exit in prop_oneof![Just(Exit::Code(1)), Just(Exit::Code(143)), Just(Exit::Code(3)), Just(Exit::Signal(15)), Just(Exit::Signal(10))],
    ) {
        let exits = (program + takes).min(agent + 1990);
        let says = [TRACE[0], TRACE[1], "torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 15"];
        let mut printed = lines(exits, if traces { &says } else { &[] });
        // An error of long ago that the program has got over.
        printed.extend(lines(1000, &TRACE));
        prop_assert_eq!(crash_with(&printed, (exits, exit), Some(agent)).0, AttemptOutcome::Preempted);
    }

    /// However close the preemption follows: a program that said why it crashed has crashed.
    #[test]
    fn a_named_crash_stays_one(printed in 1000u64..2000, exits in 0u64..1000, preempted in 110u64..5000) {
        let (outcome, _) = crash_with(&lines(printed, &TRACE), (printed + exits, Exit::Code(1)), Some(printed + preempted));
        prop_assert!(is_crash(&outcome), "{:?}", outcome);
    }
}
