use std::fs;

use super::events::tests::{hparams, scalar};
use super::*;

mod replaced;

struct World {
    root: tempfile::TempDir,
    asked: String,
}

impl World {
    fn new(asked: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["runs/abcd1234/1/1", "runs/abcd1234/1/checkpoint", "work"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Self {
            root,
            asked: asked.to_owned(),
        }
    }

    fn open(&self, again: bool) -> Files {
        let root = self.root.path();
        let place = Workplace {
            folder: root.join("runs/abcd1234/1/1"),
            checkpoints: root.join("runs/abcd1234/1/checkpoint"),
            workdir: root.join("work"),
            runs_dir: root.join("runs"),
            sweep: "abcd1234".to_owned(),
            run: 1,
            metric_files: vec!["curves.jsonl".to_owned(), "plain.csv".to_owned()],
            mlflow_store: None,
        };
        Files::open(place, self.asked.clone(), SystemTime::now(), again)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.root.path().join("work").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A name, a step, and a value.
type Point = (String, Option<i64>, f64);

/// Returns all that can be read now, and what the user is told.
fn read(files: &mut Files, last: bool) -> (Vec<Point>, Vec<String>) {
    let tree = Tree {
        marker: "no attempt".to_owned(),
        ..Tree::default()
    };
    let (mut readings, mut complaints) = (Vec::new(), Vec::new());
    loop {
        let seen = files.look(&tree, last);
        readings.extend(
            seen.readings
                .into_iter()
                .map(|reading| (reading.name, reading.step, reading.value)),
        );
        complaints.extend(seen.complaints);
        if !seen.more {
            return (readings, complaints);
        }
    }
}

fn points(points: &[(&str, i64, f64)]) -> Vec<Point> {
    points
        .iter()
        .map(|(name, step, value)| ((*name).to_owned(), Some(*step), *value))
        .collect()
}

#[test]
fn each_point_counts_once_over_kills_of_the_agent() {
    let world = World::new("loss");
    let mut files = world.open(false);
    let events: Vec<_> = (0..4).map(|step| scalar("loss", step, 0.5)).collect();
    world.write("runs/x/events.out.tfevents.1.box", &events[..2].concat());
    world.write("logs/metrics.csv", b"epoch,step,acc\n0,1,0.25\n");
    assert_eq!(read(&mut files, true).0.len(), 4);
    drop(files);

    let mut files = world.open(true);
    world.write("runs/x/events.out.tfevents.1.box", &events.concat());
    world.write(
        "logs/metrics.csv",
        b"acc,epoch,step,b\n0.25,0,1,\n0.5,1,2,7\n",
    );
    let (found, complaints) = read(&mut files, true);
    let before = points(&[
        ("loss", 0, 0.5),
        ("loss", 1, 0.5),
        ("epoch", 1, 0.0),
        ("acc", 1, 0.25),
    ]);
    assert_eq!(
        found[..4]
            .iter()
            .filter(|point| before.contains(point))
            .count(),
        4,
        "{found:?}"
    );
    let mut rest = found[4..].to_vec();
    rest.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    assert_eq!(
        rest,
        points(&[
            ("acc", 2, 0.5),
            ("b", 2, 7.0),
            ("epoch", 2, 1.0),
            ("loss", 2, 0.5),
            ("loss", 3, 0.5)
        ])
    );
    assert_eq!(complaints, [""; 0]);
    drop(files);
    assert_eq!(read(&mut world.open(true), true).0, found, "the same again");
}

#[test]
fn a_file_of_objects_may_be_written_again_each_time() {
    let world = World::new("loss");
    let mut files = world.open(false);
    for (step, loss) in [(0, 0.9), (1, 0.8), (2, 0.7)] {
        world.write(
            "curves.jsonl",
            format!("{{\"loss\": {loss}, \"step\": {step}}}").as_bytes(),
        );
        assert_eq!(
            read(&mut files, false).0,
            points(&[("loss", step, loss)]),
            "another object of the same length"
        );
    }
    world.write("curves.jsonl", b"{\n  \"loss\": 0.6,\n  \"step\": 3\n}\n");
    assert_eq!(read(&mut files, false).0, points(&[("loss", 3, 0.6)]));
    world.write("curves.jsonl", b"{\"loss\": 0.5, \"step\": 4}\n");
    assert_eq!(read(&mut files, false).0, points(&[("loss", 4, 0.5)]));
    world.write(
        "curves.jsonl",
        b"{\"loss\": 0.5, \"step\": 4}\n{\"loss\": 0.4, \"step\": 5}\n",
    );
    assert_eq!(
        read(&mut files, true).0,
        points(&[("loss", 5, 0.4)]),
        "all of it each time"
    );
}

#[test]
fn a_file_written_again_with_the_same_edges_and_length_is_another_one() {
    let world = World::new("loss");
    let mut files = world.open(false);
    let same = "the same in every epoch ".repeat(90);
    for (step, loss) in [(0, 0.9), (1, 0.8)] {
        let content =
            format!(r#"{{"a": "{same}", "loss": {loss}, "step": {step}, "b": "{same}"}}"#);
        world.write("curves.jsonl", content.as_bytes());
        assert_eq!(read(&mut files, false).0, points(&[("loss", step, loss)]));
    }
}

#[test]
fn what_was_read_outlives_its_file() {
    let world = World::new("loss");
    let mut files = world.open(false);
    world.write(
        "out/checkpoint-2/trainer_state.json",
        br#"{"log_history": [{"loss": 0.5, "step": 2}]}"#,
    );
    assert_eq!(read(&mut files, true).0, points(&[("loss", 2, 0.5)]));
    drop(files);
    fs::remove_dir_all(world.root.path().join("work/out/checkpoint-2")).unwrap();
    world.write(
        "out/checkpoint-4/trainer_state.json",
        br#"{"log_history": [{"loss": 0.5, "step": 2}, {"loss": 0.25, "step": 4}]}"#,
    );
    assert_eq!(
        read(&mut world.open(true), true).0,
        points(&[("loss", 2, 0.5), ("loss", 4, 0.25)])
    );
}

#[test]
fn rows_that_were_there_before_the_attempt_are_not_its_own() {
    let world = World::new("loss");
    world.write("log.csv", b"epoch,loss\n0,0.5\n");
    world.write("old/log.csv", b"epoch,loss\n0,0.5\n");
    let mut files = world.open(false);
    world.write("log.csv", b"epoch,loss\n0,0.5\n1,0.25\n");
    assert_eq!(read(&mut files, true).0, points(&[("loss", 1, 0.25)]));
    drop(files);
    assert_eq!(
        read(&mut world.open(true), true).0,
        points(&[("loss", 1, 0.25)])
    );
    let mut files = world.open(false);
    world.write("log.csv", b"epoch,loss\n0,0.75\n1,0.25\n");
    assert_eq!(
        read(&mut files, true).0,
        points(&[("loss", 0, 0.75), ("loss", 1, 0.25)]),
        "it was restarted"
    );
}

#[test]
fn objectives_of_keras_are_read_by_their_own_names() {
    let world = World::new("val_loss");
    let mut files = world.open(false);
    world.write(
        "logs/train/events.out.tfevents.1.box.v2",
        &scalar("epoch_loss", 0, 0.5),
    );
    world.write(
        "logs/validation/events.out.tfevents.1.box.v2",
        &scalar("epoch_loss", 0, 0.25),
    );
    let (mut found, complaints) = read(&mut files, true);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        found,
        points(&[
            ("train/epoch_loss", 0, 0.5),
            ("val_loss", 0, 0.25),
            ("validation/epoch_loss", 0, 0.25)
        ])
    );
    assert_eq!(complaints, [""; 0]);
    drop(files);
    assert_eq!(
        read(&mut world.open(true), true).0.len(),
        3,
        "its names are the same again"
    );

    let world = World {
        asked: "epoch_loss".to_owned(),
        ..world
    };
    let (_, complaints) = read(&mut world.open(false), true);
    assert_eq!(complaints, [""; 0], "they were there before");
}

#[test]
fn a_tag_that_only_sounds_like_the_objective_is_not_it_where_the_objective_is_there() {
    let world = World::new("val_loss");
    let mut files = world.open(false);
    world.write(
        "logs/train/events.out.tfevents.1.box",
        &scalar("loss", 0, 0.5),
    );
    let file = "logs/val/events.out.tfevents.1.box";
    let events = [scalar("loss", 0, 3.9), scalar("val_loss", 9, 0.25)];
    world.write(file, &events[0]);
    assert!(
        read(&mut files, false)
            .0
            .iter()
            .all(|(name, ..)| name != "val_loss"),
        "it may still come"
    );
    world.write(file, &events.concat());
    let found = read(&mut files, true).0;
    let asked: Vec<_> = found
        .iter()
        .filter(|(name, ..)| name == "val_loss")
        .map(|(_, step, value)| (*step, *value))
        .collect();
    assert_eq!(asked, [(Some(9), 0.25)]);
}

#[test]
fn what_is_written_while_a_name_is_open_is_read_at_the_end() {
    let world = World::new("val_loss");
    let mut files = world.open(false);
    let file = "logs/validation/events.out.tfevents.1.box.v2";
    let events: Vec<_> = (0..3).map(|step| scalar("epoch_loss", step, 0.5)).collect();
    world.write(file, &events[..2].concat());
    assert_eq!(
        read(&mut files, false).0,
        [],
        "another folder may have the same tag"
    );
    world.write(file, &events.concat());
    let found = read(&mut files, true).0;
    let steps = |name: &str| {
        found
            .iter()
            .filter(|point| point.0 == name)
            .filter_map(|point| point.1)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (steps("val_loss"), steps("epoch_loss")),
        (vec![0, 1, 2], vec![0, 1, 2])
    );
}

#[test]
fn an_objective_that_two_folders_have_is_not_guessed() {
    let world = World::new("loss");
    let mut files = world.open(false);
    world.write("logs/a/events.out.tfevents.1.box", &scalar("loss", 0, 0.5));
    world.write("logs/b/events.out.tfevents.1.box", &scalar("loss", 0, 0.25));
    let (found, complaints) = read(&mut files, true);
    assert!(
        found
            .iter()
            .all(|(name, ..)| name == "a/loss" || name == "b/loss"),
        "{found:?}"
    );
    assert!(
        complaints[0].contains("the objective `loss` is logged in")
            && complaints[0].ends_with("as `b/loss`"),
        "{complaints:?}"
    );
}

#[test]
fn results_beside_hyperparameters_are_not_read_twice() {
    let world = World::new("loss");
    let mut files = world.open(false);
    world.write("runs/x/events.out.tfevents.1.box", &scalar("loss", 0, 0.5));
    world.write(
        "runs/x/1764.5/events.out.tfevents.2.box",
        &[
            hparams(),
            scalar("loss", 0, 0.5),
            scalar("hparam/loss", 0, 0.5),
        ]
        .concat(),
    );
    assert_eq!(read(&mut files, true).0, points(&[("loss", 0, 0.5)]));
    let world = World::new("hparam/loss");
    let mut files = world.open(false);
    world.write(
        "runs/x/1764.5/events.out.tfevents.2.box",
        &[
            hparams(),
            scalar("hparam/loss", 0, 0.5),
            scalar("hp_metric", 0, -1.0),
        ]
        .concat(),
    );
    assert_eq!(
        read(&mut files, true).0,
        points(&[("hparam/loss", 0, 0.5)]),
        "unless the sweep file asks for it"
    );
}

#[test]
fn damaged_and_foreign_files_are_named() {
    let world = World::new("loss");
    let mut files = world.open(false);
    let mut damaged = [scalar("loss", 0, 0.5), scalar("loss", 1, 0.25)].concat();
    damaged[14] ^= 1;
    world.write("runs/x/events.out.tfevents.1.box", &damaged);
    world.write("out/trainer_state.json", b"{\"log_history\": [");
    world.write("results.csv", b"fold,loss\n0,0.5\n");
    let (found, mut complaints) = read(&mut files, true);
    complaints.sort();
    assert_eq!(found, points(&[("loss", 1, 0.25)]));
    assert!(
        complaints[0].contains("trainer_state.json is not complete")
            && complaints[1].contains("events.out.tfevents.1.box is damaged"),
        "{complaints:?}"
    );
}

#[test]
fn files_that_the_sweep_file_names_are_read() {
    let world = World::new("loss");
    let mut files = world.open(false);
    world.write("curves.jsonl", b"{\"loss\": 0.5, \"step\": 1}\n{\"lo");
    assert_eq!(read(&mut files, false).0, points(&[("loss", 1, 0.5)]));
    world.write(
        "curves.jsonl",
        b"{\"loss\": 0.5, \"step\": 1}\n{\"loss\": 0.25, \"step\": 2}",
    );
    assert_eq!(read(&mut files, true).0, points(&[("loss", 2, 0.25)]));

    let mut files = world.open(false);
    world.write("plain.csv", b"fold,acc\n1,0.5\n");
    assert_eq!(
        read(&mut files, true).0.len(),
        2,
        "a table that is named needs no column of steps"
    );
    drop(files);
    world.write("plain.csv", b"fold,acc\n1,0.5\n2,0.75\n");
    assert_eq!(read(&mut world.open(true), true).0.len(), 4);
}

#[test]
fn two_loggers_of_one_program_count_once() {
    let world = World::new("val_loss");
    let mut files = world.open(false);
    let events = |steps: std::ops::Range<i64>| -> Vec<u8> {
        let scalars = steps.map(|step| scalar("val_loss", step, 0.5));
        [hparams()].into_iter().chain(scalars).flatten().collect()
    };
    world.write("tb/version_0/events.out.tfevents.1.box", &events(0..1));
    let mut found = read(&mut files, false).0;
    world.write(
        "csv/version_0/metrics.csv",
        b"epoch,step,val_loss\n0,0,0.5\n",
    );
    files.discovery.hurry();
    found.extend(read(&mut files, false).0);
    drop(files);
    // The next agent knows it.
    let mut files = world.open(true);
    world.write("tb/version_0/events.out.tfevents.1.box", &events(0..2));
    world.write(
        "csv/version_0/metrics.csv",
        b"epoch,step,val_loss\n0,0,0.5\n1,1,0.5\n",
    );
    let again = read(&mut files, true).0;
    let losses = |found: &[Point]| -> Vec<Option<i64>> {
        let losses = found.iter().filter(|(name, ..)| name == "val_loss");
        losses.map(|(_, step, _)| *step).collect()
    };
    assert_eq!(losses(&found), [Some(0)]);
    assert_eq!(losses(&again), [Some(0), Some(1)], "{again:?}");
}

#[test]
fn rows_of_a_table_that_is_sorted_the_other_way_count_once() {
    let world = World::new("loss");
    let mut files = world.open(false);
    world.write("results.csv", b"epoch,loss,best\n0,0.5,1\n");
    let mut found = read(&mut files, false).0;
    world.write("results.csv", b"epoch,loss,best\n1,0.4,1\n0,0.5,0\n");
    found.extend(read(&mut files, true).0);
    let before = found.clone();
    drop(files);
    let mut files = world.open(true);
    world.write(
        "results.csv",
        b"epoch,loss,best\n3,0.2,1\n2,0.3,0\n1,0.4,0\n0,0.5,0\n",
    );
    let again = read(&mut files, true).0;
    let losses = |found: &[Point]| -> Vec<Point> {
        let losses = found.iter().filter(|(name, ..)| name == "loss");
        losses.cloned().collect()
    };
    assert_eq!(
        losses(&before),
        points(&[("loss", 0, 0.5), ("loss", 1, 0.4)])
    );
    assert_eq!(
        losses(&again),
        points(&[
            ("loss", 0, 0.5),
            ("loss", 1, 0.4),
            ("loss", 2, 0.3),
            ("loss", 3, 0.2)
        ])
    );
}

#[test]
fn files_that_hold_the_objective_and_are_not_read_are_named() {
    let unread = |path: &str, text: &[u8]| {
        let world = World::new("loss");
        let mut files = world.open(false);
        world.write(path, text);
        let seen = files.look(&Tree::default(), true);
        (seen.unread_files.join(""), seen.unread.join(""))
    };
    let (files, _) = unread("log/history.csv", b"loss,acc\n0.5,0.5\n");
    assert!(
        files.starts_with("`loss` is in ")
            && files.ends_with("add to the sweep file: metric_files: ['log/history.csv']"),
        "{files}"
    );
    assert_eq!(unread("log/history.csv", b"acc\n0.5\n").0, "");
    assert_eq!(unread("log/metrics.csv", b"epoch,loss\n0,0.5\n").0, "");
    let database = b"SQLite format 3\0\x10\0 CREATE TABLE latest_metrics (".as_slice();
    let (_, server) = unread("own.db", database);
    assert!(
        server.contains("own.db are not read: leave MLFLOW_TRACKING_URI"),
        "{server}"
    );
    assert_eq!(
        unread("other.db", b"SQLite format 3\0 CREATE TABLE x").1,
        ""
    );
}
