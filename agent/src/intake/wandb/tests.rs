use std::fs;
use std::path::Path;

use prost::Message;

use super::messages::{ExitRecord, HistoryRecord, Item, StepRecord, SummaryChange, WandbRecord};
use super::*;

fn item(name: &str, json: &str) -> Item {
    let nested_key = name.split('.').map(str::to_owned).collect();
    Item {
        nested_key,
        value_json: json.to_owned(),
        ..Item::default()
    }
}

fn logged(step: i64, items: &[(&str, &str)]) -> Vec<u8> {
    let mut items: Vec<_> = items.iter().map(|(name, json)| item(name, json)).collect();
    items.extend([
        item("_runtime", "0.25"),
        item("_timestamp", "1.7e9"),
        item("_step", &step.to_string()),
    ]);
    WandbRecord {
        history: Some(HistoryRecord {
            item: items,
            step: Some(StepRecord { num: step }),
        }),
        ..WandbRecord::default()
    }
    .encode_to_vec()
}

fn summed(items: &[(&str, &str)]) -> Vec<u8> {
    let update = items.iter().map(|(name, json)| item(name, json)).collect();
    WandbRecord {
        summary: Some(SummaryChange {
            update,
            remove: Vec::new(),
        }),
        ..WandbRecord::default()
    }
    .encode_to_vec()
}

fn ended() -> Vec<u8> {
    WandbRecord {
        exit: Some(ExitRecord { exit_code: 0 }),
        ..WandbRecord::default()
    }
    .encode_to_vec()
}

fn write(folder: &Path, run: &str, bytes: &[u8]) {
    fs::write(path(folder, run), bytes).unwrap();
}

fn path(folder: &Path, run: &str) -> PathBuf {
    folder.join(format!("run-{run}.wandb"))
}

fn of(folder: &Path) -> WandbRuns {
    let mut runs = WandbRuns::default();
    runs.add(path(folder, "1"));
    runs
}

async fn all(runs: &mut WandbRuns, last: bool) -> (Vec<(String, Option<i64>, f64)>, Vec<String>) {
    let (mut readings, mut complaints) = (Vec::new(), Vec::new());
    loop {
        let seen = runs.read(last).await;
        readings.extend(
            seen.readings
                .into_iter()
                .map(|reading| (reading.name, reading.step, reading.value)),
        );
        complaints.extend(seen.complaint);
        if !seen.more {
            return (readings, complaints);
        }
    }
}

fn reading(name: &str, step: Option<i64>, value: f64) -> (String, Option<i64>, f64) {
    (name.to_owned(), step, value)
}

#[tokio::test]
async fn what_is_logged_is_read_as_it_comes_and_what_is_only_summed_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = of(folder.path());
    assert_eq!(all(&mut runs, false).await, (vec![], vec![]));
    let mut records = vec![
        b"an unknown record".to_vec(),
        summed(&[("loss", "0.5"), ("best", "0.9"), ("_step", "0")]),
        logged(
            0,
            &[
                ("loss", "0.5"),
                ("val.acc", "1"),
                ("image", "{\"_type\": \"image-file\"}"),
                ("ok", "true"),
                ("name", "\"x\""),
            ],
        ),
    ];
    write(folder.path(), "1", &frames::file(&records));
    let first = vec![
        reading("loss", Some(0), 0.5),
        reading("val.acc", Some(0), 1.0),
    ];
    assert_eq!(all(&mut runs, false).await, (first.clone(), vec![]));
    records.extend([
        logged(7, &[("loss", "\"Infinity\"")]),
        summed(&[("best", "0.95")]),
    ]);
    let whole = frames::file(&records);
    write(folder.path(), "1", &whole[..whole.len() - 3]);
    let second = vec![reading("loss", Some(7), f64::INFINITY)];
    assert_eq!(all(&mut runs, false).await.0, second);
    write(folder.path(), "1", &whole);
    assert_eq!(all(&mut runs, false).await.0, vec![]);
    let third = vec![reading("best", None, 0.95)];
    assert_eq!(all(&mut runs, true).await.0, third);
    assert_eq!(all(&mut runs, true).await.0, vec![]);
    // A later reader gets the same.
    assert_eq!(
        all(&mut of(folder.path()), true).await.0,
        [first, second, third].concat()
    );
}

#[tokio::test]
async fn a_run_is_read_when_the_one_before_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = WandbRuns::default();
    ["2", "3", "4"]
        .iter()
        .for_each(|run| runs.add(path(folder.path(), run)));
    write(
        folder.path(),
        "2",
        &frames::file(&[logged(0, &[("loss", "2")]), ended()]),
    );
    assert_eq!(
        all(&mut runs, false).await.0,
        vec![reading("loss", Some(0), 2.0)]
    );
    write(
        folder.path(),
        "3",
        &frames::file(&[logged(0, &[("loss", "3")])]),
    );
    write(
        folder.path(),
        "4",
        &frames::file(&[logged(0, &[("loss", "4")])]),
    );
    assert_eq!(
        all(&mut runs, false).await.0,
        vec![reading("init-2/loss", Some(0), 3.0)]
    );
    assert_eq!(all(&mut runs, false).await.0, vec![]);
    assert_eq!(
        all(&mut runs, true).await.0,
        vec![reading("init-3/loss", Some(0), 4.0)]
    );
}

#[tokio::test]
async fn files_of_another_form_are_named() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "1", b"something else");
    let (readings, complaints) = all(&mut of(folder.path()), true).await;
    assert!(
        readings.is_empty() && complaints[0].contains("run-1.wandb is not in a known format"),
        "{complaints:?}"
    );
    let mut damaged = frames::file(&[logged(0, &[("loss", "1")])]);
    damaged[20] ^= 1;
    write(folder.path(), "1", &damaged);
    let (readings, complaints) = all(&mut of(folder.path()), true).await;
    assert!(
        readings.is_empty()
            && complaints == ["run-1.wandb is damaged; some of its metrics are not seen"],
        "{complaints:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_complained_of() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(path(folder.path(), "1")).unwrap();
    let (readings, complaints) = all(&mut of(folder.path()), true).await;
    assert!(
        readings.is_empty() && complaints[0].contains("is not read while"),
        "{complaints:?}"
    );
}

fn begun(id: &str, resumes: bool) -> Vec<u8> {
    WandbRecord {
        run: Some(RunHead {
            id: id.to_owned(),
            resumes,
            ..RunHead::default()
        }),
        ..WandbRecord::default()
    }
    .encode_to_vec()
}

fn names(readings: &[(String, Option<i64>, f64)]) -> Vec<(&str, Option<i64>, f64)> {
    readings
        .iter()
        .map(|(name, step, value)| (name.as_str(), *step, *value))
        .collect()
}

#[tokio::test]
async fn the_summary_is_told_where_it_differs_from_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let mut changed = SummaryChange {
        update: vec![item("gone", "7"), item("a", "{\"max\": 3, \"mean\": 2.5}")],
        remove: Vec::new(),
    };
    changed.update.push(Item {
        key: "nested".to_owned(),
        value_json: "{\"p\": 1, \"q\": {\"r\": NaN}}".to_owned(),
        ..Item::default()
    });
    changed.update.push(Item {
        key: "deep".to_owned(),
        value_json: "{\"p\": 1, \"q\": {\"r\": 2}}".to_owned(),
        ..Item::default()
    });
    let removed = SummaryChange {
        update: Vec::new(),
        remove: vec![item("gone", "")],
    };
    let records = [
        summed(&[("loss", "0.5"), ("same", "1"), ("later", "1")]),
        logged(
            0,
            &[
                ("loss", "0.5"),
                ("same", "1"),
                ("later", "1"),
                ("a", "3"),
                ("nan", "\"NaN\""),
            ],
        ),
        summed(&[("loss", "0.25"), ("later", "9"), ("nan", "NaN")]),
        WandbRecord {
            summary: Some(changed),
            ..WandbRecord::default()
        }
        .encode_to_vec(),
        WandbRecord {
            summary: Some(removed),
            ..WandbRecord::default()
        }
        .encode_to_vec(),
        summed(&[("later", "2")]),
        logged(1, &[("later", "2"), ("a", "2")]),
        ended(),
    ];
    write(folder.path(), "1", &frames::file(&records));
    let (readings, _) = all(&mut of(folder.path()), false).await;
    let found = names(&readings);
    let summary = [
        ("a.max", None, 3.0),
        ("a.mean", None, 2.5),
        ("deep.p", None, 1.0),
        ("deep.q.r", None, 2.0),
        ("loss.summary", None, 0.25),
    ];
    assert_eq!(
        found[found.len() - 5..],
        summary,
        "what was logged after it was set is as the history has it"
    );
    assert_eq!(found.len(), 5 + 2 + 5);
}

#[tokio::test]
async fn media_are_no_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let image = [
        ("img._type", "\"image-file\""),
        ("img.width", "8"),
        ("images.size", "9"),
        ("loss", "1"),
    ];
    let records = [
        summed(&image),
        logged(0, &image),
        WandbRecord {
            summary: Some(SummaryChange {
                update: vec![
                    Item {
                        key: "t".to_owned(),
                        value_json: "{\"_type\": \"table-file\", \"nrows\": 3}".to_owned(),
                        ..Item::default()
                    },
                    Item {
                        key: "all".to_owned(),
                        value_json: "{\"t\": {\"_type\": \"histogram\", \"n\": 3}}".to_owned(),
                        ..Item::default()
                    },
                ],
                remove: Vec::new(),
            }),
            ..WandbRecord::default()
        }
        .encode_to_vec(),
        ended(),
    ];
    write(folder.path(), "1", &frames::file(&records));
    let (readings, _) = all(&mut of(folder.path()), true).await;
    assert_eq!(
        names(&readings),
        [("images.size", Some(0), 9.0), ("loss", Some(0), 1.0)]
    );
}

#[tokio::test]
async fn several_runs_of_one_program_are_kept_apart_and_it_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = WandbRuns::new("acc");
    for (run, value) in [("1", "0.5"), ("2", "0.6"), ("3", "0.7")] {
        runs.add(path(folder.path(), run));
        let own: &[(&str, &str)] = if run == "3" {
            &[("acc", value), ("mean", "0.6")]
        } else {
            &[("acc", value)]
        };
        write(
            folder.path(),
            run,
            &frames::file(&[
                begun("s-1", false),
                logged(0, own),
                summed(&[("acc", "0.9")]),
                ended(),
            ]),
        );
    }
    let (mut readings, mut remarks) = (Vec::new(), Vec::new());
    loop {
        let seen = runs.read(false).await;
        readings.extend(
            seen.readings
                .into_iter()
                .map(|reading| (reading.name, reading.step, reading.value)),
        );
        remarks.extend(seen.remark);
        if !seen.more {
            break;
        }
    }
    let expected = [
        ("acc", Some(0), 0.5),
        ("acc.summary", None, 0.9),
        ("init-2/acc", Some(0), 0.6),
        ("init-2/acc.summary", None, 0.9),
        ("init-3/acc", Some(0), 0.7),
        ("mean", Some(0), 0.6),
        ("init-3/acc.summary", None, 0.9),
    ];
    assert_eq!(names(&readings), expected);
    assert!(
        remarks.len() == 1 && remarks[0].contains("`init-2/acc`"),
        "{remarks:?}"
    );
    assert!(
        ["acc", "init-2/acc", "init-12/acc.summary"]
            .iter()
            .all(|name| name_in_run(name) == "acc")
    );
    assert!(
        ["init-x/acc", "init/acc"]
            .iter()
            .all(|name| name_in_run(name) == *name)
    );
}

#[tokio::test]
async fn a_run_that_is_resumed_is_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = WandbRuns::new("acc");
    // The library counts from 0 again; the last program gives the steps itself.
    for (run, id, steps) in [
        ("1", "s-1", [0, 1]),
        ("2", "s-1", [0, 1]),
        ("3", "s-1", [4, 5]),
        ("4", "other", [0, 1]),
    ] {
        runs.add(path(folder.path(), run));
        let history = steps.map(|step| logged(step, &[("acc", "0.5")]));
        write(
            folder.path(),
            run,
            &frames::file(&[&[begun(id, true)][..], &history, &[ended()]].concat()),
        );
    }
    let (readings, _) = all(&mut runs, true).await;
    let steps: Vec<_> = readings
        .iter()
        .filter(|(name, ..)| name == "acc")
        .map(|(_, step, _)| step.unwrap())
        .collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        readings
            .iter()
            .filter(|(name, ..)| name == "init-2/acc")
            .count(),
        2
    );
}

#[test]
fn the_library_says_where_it_keeps_its_run() {
    let folder = "/x/my runs/wandb/offline-run-20261130_133416-98knwfaa";
    for line in [
        format!("wandb: Run data is saved locally in {folder}"),
        format!(
            "\u{1b}[34m\u{1b}[1mwandb\u{1b}[0m: Run data is saved locally in {folder}\u{1b}[0m"
        ),
        format!(
            "\u{1b}[1;34mwandb\u{1b}[0m: Run data is saved locally in \u{1b}[35m\u{1b}[1m{folder}\u{1b}[0m"
        ),
    ] {
        assert_eq!(folder_in(&line), Some(folder.to_owned()), "{line}");
    }
    assert_eq!(
        folder_in("wandb: View this run in the terminal with `wandb leet`"),
        None
    );
}
