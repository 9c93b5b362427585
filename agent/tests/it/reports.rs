//! Reports of a program while it runs.

use sweep_agent::Notice;
use sweep_proto::v1::MetricPattern;

use crate::harness::one;

#[tokio::test]
async fn metrics_are_read_in_all_three_ways() {
    let harness = one(&["./metrics.sh"]).await;
    let pattern = MetricPattern {
        name: String::new(),
        regex: r"epoch (?<step>\d+): from_pattern=(?<from_pattern>\S+)".to_owned(),
    };
    harness.fake.paper().program.metric_patterns.push(pattern);
    assert_eq!(harness.run().await.finished, 1);
    let paper = harness.fake.paper();
    let mut found: Vec<_> = paper.points[&(1, 1)]
        .iter()
        .map(|point| (point.name.as_str(), point.step, point.value))
        .collect();
    found.sort_by(|left, right| left.0.cmp(right.0));
    assert_eq!(
        found,
        [
            ("from_file", Some(3), 3.5),
            ("from_json", Some(1), 1.5),
            ("from_pattern", Some(2), 2.5),
            ("loss", Some(3), 0.25)
        ]
    );
}

#[tokio::test]
async fn a_loud_program_is_kept_whole_here_and_bounded_there() {
    let harness = one(&["./loud.sh"]).await;
    let mut running = harness.start();
    let mut notes = Vec::new();
    while let Some(notice) = running.notices.recv().await {
        if let Notice::Note(note) = notice {
            notes.push(note);
        }
    }
    assert_eq!(running.end().await.unwrap().finished, 1);
    assert_eq!(harness.values(1, "loss"), [0.5]);
    let whole = std::fs::read(harness.folder(1, 1).join("output.log")).unwrap();
    assert!(whole.len() > 16 << 20 && whole.ends_with(b"the end\n"));
    assert_eq!(harness.fake.paper().logs[&(1, 1)], whole[..10 << 20]);
    let (offset, tail) = harness.fake.paper().tails[&(1, 1)].clone();
    assert_eq!(
        (offset, tail.as_slice()),
        (whole.len() - (1 << 20), &whole[whole.len() - (1 << 20)..])
    );
    let expected =
        "its output is longer than 10 MiB: the controller has the first 10 MiB and the last 1 MiB";
    assert!(
        notes.iter().any(|note| note.contains(expected)),
        "{notes:?}"
    );
}

#[tokio::test]
async fn slots_work_side_by_side() {
    // Each run waits for the other one: with fewer than two at once they would wait for ever.
    let meet = "touch \"$SWEEP_RUN_DIR/here\"; until test -e \"$SWEEP_RUN_DIR/../../1/1/here\" && test -e \"$SWEEP_RUN_DIR/../../2/1/here\"; do sleep 0.05; done; echo '{\"loss\": 1}'";
    let mut harness =
        crate::harness::harness(&["sh", "-c", meet], &vec![serde_json::json!({}); 2]).await;
    harness.options.slots = Some(2);
    assert_eq!(harness.run().await.finished, 2);
    assert_eq!(harness.fake.paper().registrations[0].slots, 2);
}
