//! The report as people read it.

use insta::assert_snapshot;

use super::super::super::SweepRunEnd;
use super::super::super::gate::Gate;
use super::super::super::outcome::tests::{outcome, run};
use super::*;

fn reproduce() -> Reproduce {
    Reproduce {
        sweep: "sweep run examples/digits/sweep.yaml --count 4".to_owned(),
        best: Some("python3 train.py --lr=0.0123456789 --opt=adam".to_owned()),
    }
}

#[test]
fn report_of_a_sweep_with_a_failing_gate() {
    let outcome = outcome();
    let gate = Gate::parse("failed / total > 0.2")
        .expect("it parses")
        .judge(&outcome);
    assert_snapshot!(markdown(&outcome, Some(&gate), &reproduce()), @r#"
    <!-- sweep-report:digits -->

    ## ❌ Sweep `digits`: the gate failed

    **Gate failed** · fails if `failed / total > 0.2` · the condition is true: failed = 1, total = 4

    4 runs by bayes search in 3 min 20 s: 2 finished, 1 stopped early, 1 failed.

    ### Best: `val_loss` = 0.25 (run 2)

    | parameter | value |
    |---|---|
    | `lr` | `0.0123457` |
    | `opt` | `adam` |

    ### Top 3 (lowest `val_loss`)

    | run | value | state | parameters |
    |---:|---:|---|---|
    | 2 | 0.25 | finished | `lr=0.0123457 opt=adam` |
    | 1 | 0.5 | finished | `lr=0.1 opt=adam` |
    | 3 | 0.9 | stopped | `lr=0.5 opt=sgd` |

    ### Failures

    - **crashed** · exit code 1 · 1 run (4)

    <details><summary>Last output of run 4</summary>

    ````
    step 1
    ValueError: bad </failure> & ``` ]]>
    ````

    </details>

    ### Reproduce

    ```sh
    # the best configuration
    python3 train.py --lr=0.0123456789 --opt=adam
    # the whole sweep
    sweep run examples/digits/sweep.yaml --count 4
    ```
    "#);
}

#[test]
fn report_of_a_sweep_without_any_result() {
    let mut outcome = outcome();
    outcome.runs.clear();
    outcome.sweep = sweep_proto::v1::Sweep {
        id: "abcd1234".to_owned(),
        method: "random".to_owned(),
        planned: 9,
        ..sweep_proto::v1::Sweep::default()
    };
    outcome.end = SweepRunEnd::TimedOut;
    assert_snapshot!(markdown(&outcome, None, &Reproduce::default()), @r#"
    <!-- sweep-report:abcd1234 -->

    ## ❌ Sweep `abcd1234`: timed out

    0 of 9 runs by random search in 3 min 20 s.

    No run has a result.
    "#);
}

#[test]
fn the_marker_stays_a_comment() {
    assert_eq!(marker("a --> b\n`c`"), "<!-- sweep-report:a_____b__c_ -->");
}

#[test]
fn failures_are_grouped_and_the_most_frequent_come_first() {
    let mut outcome = outcome();
    for number in 5..20 {
        let mut failed = run(number, "failed", "{}", None);
        failed.reason = format!(
            "reason {}",
            ["a", "b", "c", "d", "e", "f", "g"][number as usize % 7]
        );
        failed.attempts.clear();
        outcome.runs.push(failed);
    }
    let text = failures(&outcome);
    assert!(
        text.starts_with("### Failures\n\n- **unknown** · reason f · 3 runs (5, 12, 19)\n"),
        "{text}"
    );
    assert!(text.ends_with("And 3 further kinds of failure."), "{text}");
}
