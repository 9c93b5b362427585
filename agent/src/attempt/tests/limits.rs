//! `max_runtime` and `max_silence`.

use super::*;

fn limited(runtime: Option<u64>, silence: Option<u64>) -> AttemptState {
    let seconds = |limit: Option<u64>| limit.map(Duration::from_secs);
    started(AttemptState::new(
        "loss",
        Limits {
            runtime: seconds(runtime),
            silence: seconds(silence),
            ..LIMITS
        },
    ))
}

/// Ends a program that was told to.
fn ended(mut attempt: AttemptState) -> AttemptOutcome {
    assert_eq!(attempt.handle(Input::Exited(Exit::Signal(15)), at(200)), []);
    finish(&mut attempt)
}

#[test]
fn what_takes_too_long_is_ended_and_blamed() {
    let mut attempt = limited(Some(100), None);
    assert_eq!(
        attempt.handle(Input::Line("epoch 7".to_owned()), at(99)),
        []
    );
    assert_eq!(attempt.handle(Input::Tick, at(99)), []);
    assert_eq!(attempt.handle(Input::Tick, at(100)), [Action::Terminate]);
    assert_eq!(attempt.handle(Input::Tick, at(101)), [], "it is told once");
    assert_eq!(attempt.handle(Input::Tick, at(130)), [Action::Kill]);
    let AttemptOutcome::Failed(failure) = ended(attempt) else {
        panic!("it did not fail")
    };
    assert_eq!(
        (failure.kind, failure.blame, failure.evidence.as_str()),
        ("max_runtime", "configuration", "the last line: epoch 7")
    );
    assert_eq!(
        failure.message,
        "it has taken 100 s, and max_runtime is 100 s"
    );
}

#[test]
fn a_metric_or_a_line_breaks_the_silence() {
    let mut attempt = limited(None, Some(60));
    assert_eq!(attempt.handle(Input::Tick, at(59)), []);
    attempt.handle(metric("loss", 1.0), at(59));
    assert_eq!(attempt.handle(Input::Tick, at(118)), []);
    attempt.handle(Input::Line("epoch 1".to_owned()), at(118));
    assert_eq!(attempt.handle(Input::Tick, at(177)), []);
    assert_eq!(attempt.handle(Input::Tick, at(178)), [Action::Terminate]);
    let AttemptOutcome::Failed(failure) = ended(attempt) else {
        panic!("it did not fail")
    };
    assert_eq!(
        (failure.kind, failure.blame),
        ("max_silence", "configuration")
    );
}

#[test]
fn what_took_too_long_is_not_restarted_as_interrupted_but_may_be_cancelled() {
    let overdue = |want| {
        let mut attempt = limited(Some(100), None);
        attempt.handle(Input::Tick, at(100));
        attempt.handle(Input::Want(want), at(101));
        ended(attempt)
    };
    assert!(matches!(
        overdue(Want::Preempt),
        AttemptOutcome::Failed(AttemptFailure {
            kind: "max_runtime",
            ..
        })
    ));
    assert_eq!(
        overdue(Want::Cancel {
            reason: "c".to_owned()
        }),
        AttemptOutcome::Cancelled("c".to_owned())
    );
    assert_eq!(
        overdue(Want::Abandon {
            reason: "a".to_owned()
        }),
        AttemptOutcome::Abandoned("a".to_owned())
    );
}
