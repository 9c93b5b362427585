//! How attempts end by themselves.

use serde_json::json;
use sweep_proto::v1::finish_attempt_request::Result as Verdict;

use crate::harness::{assignment, harness, one};

#[tokio::test]
async fn a_good_run_is_finished_with_its_metrics() {
    let harness = harness(
        &["./good.sh", "${args}"],
        &[json!({"lr": 1e-5, "name": "two words"})],
    )
    .await;
    let summary = harness.run().await;
    assert_eq!((summary.finished, summary.failed), (1, 0));
    assert_eq!(
        summary.ended_because,
        "the sweep is finished: all points have been tried"
    );
    assert_eq!(harness.only_end().0, Verdict::Succeeded);
    assert_eq!(harness.values(1, "loss"), [0.8, 0.7, 0.6]);
    let paper = harness.fake.paper();
    assert_eq!(
        paper.started[0].command,
        ["./good.sh", "--lr=1e-05", "--name=two words"]
    );
    let steps: Vec<_> = paper.points[&(1, 1)]
        .iter()
        .map(|point| point.step)
        .collect();
    assert_eq!(steps, [Some(1), Some(2), Some(3)]);
    let log = String::from_utf8_lossy(&paper.logs[&(1, 1)]).into_owned();
    assert!(
        log.ends_with("arguments: --lr=1e-05 --name=two words\n"),
        "{log}"
    );
    assert_eq!(
        std::fs::read(harness.folder(1, 1).join("output.log")).unwrap(),
        paper.logs[&(1, 1)]
    );
    assert_eq!(paper.left.len(), 1);
}

#[tokio::test]
async fn each_bad_end_is_reported_as_what_it_is() {
    let cases = [
        ("exit", "crashed", "exit status 3: ValueError: no good"),
        ("signal", "signal", "ended by SIGSEGV"),
        (
            "silent",
            "no_metric",
            "exit status 0, but no metric was seen and the sweep wants `loss`",
        ),
        (
            "typo",
            "no_metric",
            "exit status 0, but the sweep wants `loss` and the program gave `epoch`, `los`; did you mean `los`?",
        ),
        (
            "nan",
            "nan_objective",
            "exit status 0, but `loss` was never a finite number: its last value is NaN",
        ),
        (
            "cuda",
            "cuda_out_of_memory",
            "exit status 1, out of GPU memory: torch.cuda.OutOfMemoryError: CUDA out of memory.",
        ),
    ];
    for (how, kind, message) in cases {
        let harness = one(&["./crash.sh", how]).await;
        let summary = harness.run().await;
        assert_eq!((summary.finished, summary.failed), (0, 1), "{how}");
        let (verdict, failure) = harness.only_end();
        assert_eq!(
            (verdict, failure.kind.as_str(), failure.blame.as_str()),
            (Verdict::Failed, kind, "configuration"),
            "{how}"
        );
        assert!(
            failure.message.starts_with(message),
            "{how}: {}",
            failure.message
        );
        if how == "exit" {
            assert_eq!(
                (
                    failure.exit_code,
                    failure.signal,
                    failure.output_tail.as_str()
                ),
                (Some(3), None, "ValueError: no good")
            );
        }
        if how == "signal" {
            assert_eq!((failure.exit_code, failure.signal), (None, Some(11)));
        }
    }
}

#[tokio::test]
async fn code_that_does_not_come_blames_the_machine_and_nothing_else_is_executed() {
    let harness = one(&["./good.sh"]).await;
    harness.fake.paper().queue[0].code_version = "a".repeat(40);
    let summary = harness.run().await;
    assert_eq!((summary.finished, summary.failed), (0, 1));
    let (verdict, failure) = harness.only_end();
    assert_eq!(
        (verdict, failure.kind.as_str(), failure.blame.as_str()),
        (Verdict::Failed, "could_not_start", "machine")
    );
    assert!(
        failure
            .message
            .contains("the controller does not give code version aaaaaaaa"),
        "{}",
        failure.message
    );
    assert!(harness.fake.paper().started.is_empty());
}

#[tokio::test]
async fn what_cannot_start_blames_the_machine_and_says_what_was_tried() {
    let cases: [(&[&str], &str); 4] = [
        (
            &["no-such-program"],
            "there is no program `no-such-program` on the PATH of this machine (looked in /",
        ),
        (
            &["${env}", "no-such-program"],
            "there is no program `no-such-program`",
        ),
        (&["good.sh"], "did you mean `./good.sh`?"),
        (&["./no-such.sh"], "no-such.sh: No such file or directory"),
    ];
    for (command, message) in cases {
        let harness = one(command).await;
        harness.run().await;
        let (verdict, failure) = harness.only_end();
        assert_eq!(
            (verdict, failure.kind.as_str(), failure.blame.as_str()),
            (Verdict::Failed, "could_not_start", "machine")
        );
        assert!(failure.message.contains(message), "{}", failure.message);
        assert!(harness.fake.paper().started.is_empty());
    }
}

#[tokio::test]
async fn a_command_that_can_start_nowhere_blames_the_configuration() {
    let long = "x".repeat(3 << 20);
    let cases = [
        (
            "${unknown}",
            json!({}),
            "the command is empty once its macros are expanded",
        ),
        ("./good.sh", json!({"a": "x\0y"}), "holds a NUL character"),
        (
            "./good.sh",
            json!({"a": long}),
            "longer than this system allows",
        ),
    ];
    for (program, params, message) in cases {
        let command: &[&str] = if program.starts_with('$') {
            &[program]
        } else {
            &[program, "${args}"]
        };
        let harness = harness(command, &[params]).await;
        harness.run().await;
        let (_, failure) = harness.only_end();
        assert_eq!(
            (failure.kind.as_str(), failure.blame.as_str()),
            ("could_not_start", "configuration")
        );
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_machine_on_which_nothing_starts_takes_no_more_runs() {
    let harness = harness(&["no-such-program"], &vec![json!({}); 10]).await;
    let error = harness.start().end().await.unwrap_err().to_string();
    assert!(
        error.starts_with("3 programs in a row could not be started on this machine"),
        "{error}"
    );
    assert_eq!(harness.fake.paper().finished.len(), 3);
}

#[tokio::test]
async fn children_that_ignore_sigterm_and_leave_the_session_do_not_outlive_their_program() {
    let mut harness = one(&["./forks.sh"]).await;
    harness.options.grace = std::time::Duration::from_millis(300);
    assert_eq!(harness.run().await.finished, 1);
    assert_eq!(harness.left_behind(), Vec::<String>::new());
    let empty = std::fs::read_to_string(harness.folder(1, 1).join("children")).unwrap();
    for pid in empty.split_whitespace() {
        // Zombies are in the table without an environment.
        assert!(
            !std::path::Path::new("/proc").join(pid).exists(),
            "process {pid} has not been reaped"
        );
    }
}

#[tokio::test]
async fn a_program_finds_no_input_to_wait_for() {
    let harness = one(&["./reads_input.sh"]).await;
    assert_eq!(harness.run().await.finished, 1);
}

#[tokio::test]
async fn a_second_attempt_finds_the_checkpoint_of_the_first() {
    let harness = harness(&["./resumes.sh"], &[json!({"lr": 0.5, "opt": {"b": [1]}})]).await;
    let again = assignment(1, 2, &json!({"lr": 0.5, "opt": {"b": [1]}}));
    harness.fake.paper().queue.push(again);
    harness.run().await;
    let output =
        |attempt| std::fs::read_to_string(harness.folder(1, attempt).join("output.log")).unwrap();
    assert!(
        !output(1).contains("resumed") && output(1).contains("SWEEP_RESUMED=0\n"),
        "{}",
        output(1)
    );
    let second = output(2);
    for line in [
        "resumed from first",
        "SWEEP_RESUMED=1",
        "SWEEP_ATTEMPT=2",
        "SWEEP_RUN=1",
        "SWEEP_ID=wine1234",
        "SWEEP_PARAM_LR=0.5",
        "WANDB_MODE=offline",
        "WANDB_RUN_ID=wine1234-1",
        "WANDB_SWEEP_ID=wine1234",
        r#"{"lr": 0.5, "opt": {"b": [1]}}"#,
    ] {
        assert!(
            second.lines().any(|found| found == line),
            "{line} is not in:\n{second}"
        );
    }
    let wandb = std::fs::read_to_string(harness.folder(1, 2).join("wandb-config.yaml")).unwrap();
    assert_eq!(
        wandb,
        "wandb_version: 1\n\"lr\": {value: 0.5}\n\"opt\": {value: {\"b\": [1]}}\n"
    );
}

#[tokio::test]
async fn count_counts_runs_that_ended_in_any_way() {
    let mut harness = harness(&["./crash.sh", "exit"], &vec![json!({}); 5]).await;
    harness.options.count = Some(2);
    let summary = harness.run().await;
    assert_eq!(
        (summary.failed, summary.ended_because.as_str()),
        (2, "2 runs have ended (--count 2)")
    );
    assert_eq!(harness.fake.paper().queue.len(), 3);
}
