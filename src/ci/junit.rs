//! The outcome as JUnit XML: a test case for each run, one for the gate, one for the sweep as a whole.

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};
use sweep_proto::v1::{Failure, Run};

use super::gate::GateJudgement;
use super::outcome::{
    CiVerdict, SweepOutcome, SweepRunEnd, last_attempt, number_text, params, run_duration,
};

/// Writes JUnit XML.
///
/// # Errors
/// The XML writer's; none is known to happen.
pub(crate) fn xml(
    outcome: &SweepOutcome,
    gate: Option<&GateJudgement>,
) -> Result<String, SerializeError> {
    let class = format!("sweep.{}", clean(outcome.title()));
    let mut suite = TestSuite::new(clean(outcome.title()));
    suite.set_time(outcome.duration);
    let mut whole = TestCase::new("sweep", whole_status(outcome));
    whole.set_classname(&class).set_time(outcome.duration);
    suite.add_test_case(whole);
    for run in &outcome.runs {
        let mut case = TestCase::new(format!("run {}", run.run), run_status(run));
        case.set_classname(&class)
            .set_system_out(clean(&run_text(outcome, run)));
        if let Some(duration) = run_duration(run) {
            case.set_time(duration);
        }
        suite.add_test_case(case);
    }
    if let Some(gate) = gate {
        let mut case = TestCase::new("gate", gate_status(gate));
        case.set_classname(&class)
            .set_system_out(clean(&format!("{}\n{}", gate.text, gate.explanation)));
        suite.add_test_case(case);
    }
    let mut report = Report::new(format!("sweep {}", clean(outcome.title())));
    report.set_time(outcome.duration).add_test_suite(suite);
    report.to_string()
}

/// Writes the verdict of a comparison as JUnit XML.
///
/// # Errors
/// As [`xml`].
pub(crate) fn gate(name: &str, failed: bool, words: &str) -> Result<String, SerializeError> {
    let judgement = GateJudgement {
        failed,
        text: name.to_owned(),
        explanation: words.to_owned(),
    };
    let mut case = TestCase::new(clean(name), gate_status(&judgement));
    case.set_classname("sweep.gate")
        .set_system_out(clean(words));
    let mut suite = TestSuite::new("sweep gate");
    suite.add_test_case(case);
    let mut report = Report::new("sweep gate");
    report.add_test_suite(suite);
    report.to_string()
}

fn whole_status(outcome: &SweepOutcome) -> TestCaseStatus {
    match (outcome.end, outcome.verdict(false)) {
        (SweepRunEnd::Done, CiVerdict::Passed) => TestCaseStatus::success(),
        (_, verdict) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("sweep").set_message(verdict.in_words());
            status
        }
    }
}

fn run_status(run: &Run) -> TestCaseStatus {
    match run.state.as_str() {
        "finished" | "stopped" => TestCaseStatus::success(),
        "failed" => failed_status(run),
        state => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(clean(state));
            status
        }
    }
}

fn failed_status(run: &Run) -> TestCaseStatus {
    let unknown = Failure {
        kind: "failed".to_owned(),
        message: run.reason.clone(),
        ..Failure::default()
    };
    let failure = last_attempt(run)
        .and_then(|attempt| attempt.failure.as_ref())
        .unwrap_or(&unknown);
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type(clean(&failure.kind))
        .set_message(clean(&failure.message))
        .set_description(clean(&failure.output_tail));
    status
}

fn gate_status(gate: &GateJudgement) -> TestCaseStatus {
    if !gate.failed {
        return TestCaseStatus::success();
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status
        .set_type("gate")
        .set_message(clean(&gate.text))
        .set_description(clean(&gate.explanation));
    status
}

fn run_text(outcome: &SweepOutcome, run: &Run) -> String {
    let mut lines: Vec<String> = params(run)
        .into_iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    if let Some(value) = run.value {
        lines.push(format!("{}: {}", outcome.sweep.metric, number_text(value)));
    }
    if !run.reason.is_empty() {
        lines.push(format!("{}: {}", run.state, run.reason));
    }
    lines.join("\n")
}

/// Removes what XML 1.0 cannot hold and `quick_junit` lets through.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::gate::Gate;
    use super::super::outcome::tests::outcome;
    use super::*;

    #[test]
    fn junit_of_a_sweep() {
        let outcome = outcome();
        let gate = Gate::parse("failed / total > 0.2")
            .expect("it parses")
            .judge(&outcome);
        let xml = xml(&outcome, Some(&gate)).expect("it serialises");
        assert_snapshot!(xml, @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="sweep digits" tests="6" failures="2" errors="0" time="200.000">
            <testsuite name="digits" tests="6" disabled="0" errors="0" failures="2" time="200.000">
                <testcase name="sweep" classname="sweep.digits" time="200.000">
                </testcase>
                <testcase name="run 1" classname="sweep.digits" time="2.000">
                    <system-out>lr = 0.1
        opt = adam
        val_loss: 0.5</system-out>
                </testcase>
                <testcase name="run 2" classname="sweep.digits" time="2.000">
                    <system-out>lr = 0.0123457
        opt = adam
        val_loss: 0.25</system-out>
                </testcase>
                <testcase name="run 3" classname="sweep.digits" time="2.000">
                    <system-out>lr = 0.5
        opt = sgd
        val_loss: 0.9
        stopped: hyperband: 0.9 at iteration 3 is worse than the best third</system-out>
                </testcase>
                <testcase name="run 4" classname="sweep.digits" time="2.000">
                    <failure message="exit code 1" type="crashed">step 1
        ValueError: bad &lt;/failure&gt; &amp; ``` ]]&gt;
        </failure>
                    <system-out>lr = 0.7
        opt = a|`b`&lt;i&gt;</system-out>
                </testcase>
                <testcase name="gate" classname="sweep.digits">
                    <failure message="failed / total &gt; 0.2" type="gate">the condition is true: failed = 1, total = 4</failure>
                    <system-out>failed / total &gt; 0.2
        the condition is true: failed = 1, total = 4</system-out>
                </testcase>
            </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_parser_reads_it_back() {
        let mut outcome = outcome();
        outcome.end = SweepRunEnd::TimedOut;
        outcome.runs[0].state = "running".to_owned();
        let xml = xml(&outcome, None).expect("it serialises");
        let report = Report::deserialize_from_str(&xml).expect("it is XML");
        let cases = &report.test_suites[0].test_cases;
        assert_eq!(
            cases
                .iter()
                .map(|case| case.name.as_str())
                .collect::<Vec<_>>(),
            ["sweep", "run 1", "run 2", "run 3", "run 4"]
        );
        assert_eq!((report.tests, report.failures, report.errors), (5, 1, 1));
        assert!(matches!(cases[1].status, TestCaseStatus::Skipped { .. }));
    }

    #[test]
    fn no_character_that_xml_forbids_gets_through() {
        let mut outcome = outcome();
        let every: String = (0..0x3000)
            .chain(0xfff0..0x1_0010)
            .filter_map(char::from_u32)
            .collect();
        outcome.sweep.name = every.clone();
        outcome.runs[3].params_json = serde_json::json!({ "x": every }).to_string();
        let tail = &mut outcome.runs[3].attempts[0]
            .failure
            .as_mut()
            .expect("it failed")
            .output_tail;
        *tail = every;
        let xml = xml(&outcome, None).expect("it serialises");
        let forbidden = xml.chars().find(|c| {
            (*c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
        });
        assert_eq!(forbidden, None);
        assert!(Report::deserialize_from_str(&xml).is_ok());
    }
}
