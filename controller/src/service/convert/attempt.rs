//! Converts agents' reports on attempts, and the answers to them.

use sweep_lifecycle::command::{AttemptResult, Directive};
use sweep_lifecycle::event::MetricPoint;
use sweep_lifecycle::state::{
    AttemptRecord, AttemptRef, Failure, HeldAttempt, StopKind, SweepId, Timestamp,
};
use sweep_proto::v1;
use sweep_proto::v1::acquire_response::Next;
use sweep_proto::v1::directive::Kind;
use sweep_proto::v1::finish_attempt_request::Result as Ending;
use tonic::Status;

use super::super::limits;
use super::super::refusal::invalid;
use super::{from_word, program};
use crate::engine::Acquired;
use crate::store::{RunRow, word};

/// Names an attempt. Runs and attempts are numbered from 1.
pub(in crate::service) fn attempt_ref(
    sweep: &str,
    run: u64,
    attempt: u32,
) -> Result<AttemptRef, Status> {
    limits::name("sweep_id", sweep)?;
    limits::stored("run", run)?;
    if run == 0 || attempt == 0 {
        return Err(invalid("runs and attempts are numbered from 1"));
    }
    Ok(AttemptRef {
        sweep: SweepId(sweep.to_owned()),
        run,
        attempt,
    })
}

/// The attempts that an agent holds, of one sweep.
pub(in crate::service) fn held_attempts(
    sweep: &str,
    attempts: Vec<v1::LiveAttempt>,
) -> Result<Vec<HeldAttempt>, Status> {
    let held = |live: v1::LiveAttempt| {
        let v1::LiveAttempt {
            run,
            attempt,
            incarnation,
            record_json,
            unread: _,
        } = live;
        limits::optional_name("incarnation", &incarnation)?;
        let record = if record_json.is_empty() {
            None
        } else {
            Some(record(run, attempt, &record_json)?)
        };
        Ok(HeldAttempt {
            attempt: attempt_ref(sweep, run, attempt)?,
            incarnation,
            record,
        })
    };
    attempts.into_iter().map(held).collect()
}

fn record(run: u64, attempt: u32, json: &str) -> Result<Box<AttemptRecord>, Status> {
    let wrong = |error| {
        invalid(format!(
            "the record of run {run} attempt {attempt} is not the one that its assignment gave: {error}"
        ))
    };
    serde_json::from_str(json).map_err(wrong)
}

/// How an attempt ended.
pub(in crate::service) fn attempt_result(
    result: i32,
    failure: Option<v1::Failure>,
) -> Result<AttemptResult, Status> {
    match Ending::try_from(result) {
        Ok(Ending::Succeeded) => Ok(AttemptResult::Succeeded),
        Ok(Ending::Failed) => {
            let failure = failure.ok_or_else(|| invalid("a failed attempt needs its failure"))?;
            Ok(AttemptResult::Failed(from_failure(failure)?))
        }
        Ok(Ending::Stopped) => Ok(AttemptResult::Stopped(StopKind::Early)),
        Ok(Ending::Cancelled) => Ok(AttemptResult::Stopped(StopKind::Cancel)),
        Ok(Ending::Preempted) => Ok(AttemptResult::Preempted),
        Ok(Ending::Returned) => Ok(AttemptResult::Returned),
        Ok(Ending::Unspecified) | Err(_) => Err(invalid(format!(
            "result {result} does not state how the attempt ended"
        ))),
    }
}

/// Any word names a kind or a party, since a newer agent may have others; none at all does not.
fn named<'a>(field: &str, word: &'a str) -> Result<&'a str, Status> {
    if word.is_empty() {
        Err(invalid(format!("{field} is empty")))
    } else {
        Ok(word)
    }
}

fn from_failure(failure: v1::Failure) -> Result<Failure, Status> {
    Ok(Failure {
        kind: from_word("failure.kind", named("failure.kind", &failure.kind)?)?,
        blame: from_word("failure.blame", named("failure.blame", &failure.blame)?)?,
        message: limits::tail(&failure.message).to_owned(),
        exit_code: failure.exit_code,
        signal: failure.signal,
        output_tail: limits::tail(&failure.output_tail).to_owned(),
        evidence: limits::tail(&failure.evidence).to_owned(),
    })
}

/// Reported points, checked against the limits.
pub(in crate::service) fn points(points: Vec<v1::MetricPoint>) -> Result<Vec<MetricPoint>, Status> {
    limits::points(points.iter().map(|point| point.name.as_str()))?;
    let ours = |point: v1::MetricPoint| MetricPoint {
        name: point.name,
        step: point.step,
        wall: Timestamp(point.wall_ms),
        value: point.value,
    };
    Ok(points.into_iter().map(ours).collect())
}

/// A stored point as the wire has it.
pub(in crate::service) fn metric_point(point: MetricPoint) -> v1::MetricPoint {
    v1::MetricPoint {
        name: point.name,
        step: point.step,
        wall_ms: point.wall.0,
        value: point.value,
    }
}

/// The directive of the controller for an attempt.
pub(in crate::service) fn directive(directive: Directive) -> v1::Directive {
    let (kind, reason) = match directive {
        Directive::Continue => (Kind::Continue, String::new()),
        Directive::Stop {
            kind: StopKind::Early,
            reason,
        } => (Kind::Stop, reason),
        Directive::Stop {
            kind: StopKind::Cancel | StopKind::Requeue,
            reason,
        } => (Kind::Cancel, reason),
        Directive::Abandon { reason } => (Kind::Abandon, reason),
    };
    v1::Directive {
        kind: kind.into(),
        reason,
    }
}

/// The answer to an agent that asked for a run.
pub(in crate::service) fn acquired(acquired: Acquired) -> v1::AcquireResponse {
    let next = match acquired {
        Acquired::Assigned(assignment) => Next::Assignment(v1::Assignment {
            sweep_id: assignment.attempt.sweep.0,
            run: assignment.attempt.run,
            attempt: assignment.attempt.attempt,
            params_json: assignment.config.to_nested().to_json().to_string(),
            repeat: assignment.repeat,
            seed: assignment.seed,
            code_version: assignment.code.0,
            code_prefix: assignment.code.1,
            program: assignment.edited.as_deref().map(program),
            incarnation: assignment.incarnation,
            // A record is maps, words and numbers: that can always be written. Without it the attempt would only not survive a restore.
            record_json: serde_json::to_string(&assignment.record).unwrap_or_default(),
            early_stop_note: String::new(),
        }),
        Acquired::Wait(reason) => Next::Wait(v1::Wait { reason }),
        Acquired::Ended(state, reason) => Next::Done(v1::Done {
            state: word(state),
            reason,
        }),
    };
    v1::AcquireResponse { next: Some(next) }
}

/// Converts the record of a past attempt.
pub(in crate::service) fn assignment_of(
    row: &RunRow,
    attempt: AttemptRef,
    sweep_seed: u64,
) -> v1::Assignment {
    v1::Assignment {
        sweep_id: attempt.sweep.0,
        run: attempt.run,
        attempt: attempt.attempt,
        params_json: row.params_json.clone(),
        repeat: row.repeats.as_ref().map_or(1, |repeats| repeats.number),
        seed: sweep_lifecycle::repeats::seed(sweep_seed, attempt.run),
        // The caller wants to know how it is executed, and finds the code by itself.
        code_version: String::new(),
        code_prefix: String::new(),
        program: None,
        incarnation: String::new(),
        record_json: String::new(),
        early_stop_note: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use sweep_lifecycle::state::{Blame, FailureKind, UnknownWord};
    use sweep_search::space::{Config, Path, Value};
    use sweep_search::why::Why;

    use super::*;
    use crate::engine::Assignment;

    fn failure(kind: &str, blame: &str) -> v1::Failure {
        v1::Failure {
            kind: kind.into(),
            blame: blame.into(),
            exit_code: Some(1),
            ..v1::Failure::default()
        }
    }

    #[test]
    fn a_failure_keeps_its_kind_and_blame() {
        let result = attempt_result(
            Ending::Failed.into(),
            Some(failure("cuda_out_of_memory", "configuration")),
        )
        .unwrap();
        let AttemptResult::Failed(failure) = result else {
            panic!("{result:?}")
        };
        assert_eq!(
            (failure.kind, failure.blame, failure.exit_code),
            (FailureKind::CudaOutOfMemory, Blame::Configuration, Some(1))
        );
    }

    #[test]
    fn words_of_a_newer_agent_are_kept() {
        let result =
            attempt_result(Ending::Failed.into(), Some(failure("melted", "provider"))).unwrap();
        let AttemptResult::Failed(failure) = result else {
            panic!("{result:?}")
        };
        assert_eq!(
            (failure.kind, failure.blame),
            (
                FailureKind::Other(UnknownWord::new("melted")),
                Blame::Other(UnknownWord::new("provider"))
            )
        );
    }

    #[test]
    fn the_old_word_for_external_is_read() {
        for word in ["external", "nobody"] {
            assert_eq!(
                from_failure(failure("lost", word)).unwrap().blame,
                Blame::External
            );
        }
        assert_eq!(serde_json::to_value(Blame::External).unwrap(), "external");
    }

    #[test]
    fn missing_words_and_unknown_numbers_are_refused_by_name() {
        let kind = attempt_result(Ending::Failed.into(), Some(failure("", "nobody"))).unwrap_err();
        assert_eq!(kind.message(), "failure.kind is empty");
        let blame =
            attempt_result(Ending::Failed.into(), Some(failure("crashed", ""))).unwrap_err();
        assert_eq!(blame.message(), "failure.blame is empty");
        assert!(attempt_result(Ending::Failed.into(), None).is_err());
        assert!(attempt_result(0, None).is_err());
        assert!(attempt_result(99, None).is_err());
        assert!(attempt_ref("abc", 0, 1).is_err());
        assert!(attempt_ref("abc", 1, 0).is_err());
        assert!(attempt_ref("abc", u64::MAX, 1).is_err());
    }

    #[test]
    fn parameters_travel_nested_with_floats_that_json_lacks() {
        let entry = |path: &[&str], value| {
            (
                Path(path.iter().map(|key| (*key).to_owned()).collect()),
                value,
            )
        };
        let config = Config(
            [
                entry(&["model", "depth"], Value::Int(3)),
                entry(&["clip"], Value::Float(f64::INFINITY)),
            ]
            .into(),
        );
        let attempt = attempt_ref("abcdefgh", 1, 2).unwrap();
        let record = AttemptRecord {
            config: config.clone(),
            why: Why::default(),
            history: 0,
            repeat: 1,
            again: String::new(),
            code_version: "0123".to_owned(),
            pinned: true,
        };
        let response = acquired(Acquired::Assigned(Box::new(Assignment {
            attempt,
            config,
            why: Why::default(),
            history: 0,
            code: Default::default(),
            incarnation: "a1.1.0".to_owned(),
            record: record.clone(),
            repeat: 1,
            seed: 7,
            edited: None,
        })));
        let Some(Next::Assignment(assignment)) = response.next else {
            panic!("{response:?}")
        };
        assert_eq!(
            assignment.params_json,
            r#"{"clip":{"$float":"inf"},"model":{"depth":3}}"#
        );
        let live = v1::LiveAttempt {
            run: 1,
            attempt: 2,
            incarnation: assignment.incarnation,
            record_json: assignment.record_json,
            unread: String::new(),
        };
        let held = held_attempts("abcdefgh", vec![live.clone()]).unwrap();
        assert_eq!(
            held[0].record.as_deref(),
            Some(&record),
            "what an agent gives back is what it was given"
        );
        let wrong = v1::LiveAttempt {
            record_json: "{}".to_owned(),
            ..live
        };
        let refused = held_attempts("abcdefgh", vec![wrong]).unwrap_err();
        assert!(
            refused
                .message()
                .starts_with("the record of run 1 attempt 2 is not the one"),
            "{refused}"
        );
    }
}
