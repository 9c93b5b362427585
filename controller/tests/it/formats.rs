//! Data of every version that ever wrote any is opened, and is continued.

use sweep_controller::serve::{self, ServeError};
use sweep_controller::store::{FORMAT, StoreError};
use sweep_lifecycle::event::EVENT_KINDS;
use sweep_proto::v1::ListRunsRequest;

use crate::{fixture, house};

/// Begins with two sweeps of the first version: one at random with failures and a constraint, one asked for with repeats and an import.
const FORMAT_1: &str = include_str!("../fixtures/format-1.dump");

/// Returns the fixture of a format.
fn fixture(format: u32) -> String {
    let path = fixture::path(format);
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "format {format} has no fixture: {}: {error}",
            path.display()
        )
    })
}

fn write(sql: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let database = rusqlite::Connection::open(dir.path().join("sweep.db")).expect("it can be made");
    database.execute_batch(sql).expect("it is SQL");
    dir
}

#[tokio::test]
async fn data_of_format_1_is_served_as_it_was() {
    let dir = write(FORMAT_1);
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let sweeps = clients.list().await;
    let mut said: Vec<_> = sweeps
        .iter()
        .map(|sweep| {
            (
                sweep.method.as_str(),
                sweep.state.as_str(),
                sweep.best_run,
                sweep.best_value,
            )
        })
        .collect();
    said.sort_by_key(|(method, ..)| *method);
    assert_eq!(said[0], ("bayes", "paused", Some(5), Some(0.9)));
    let sweep_id = sweeps
        .iter()
        .find(|sweep| sweep.name == "fixture" && sweep.state == "finished")
        .unwrap()
        .id
        .clone();
    let mut pages = clients
        .sweeps
        .list_runs(ListRunsRequest {
            sweep_id: sweep_id.clone(),
            ..ListRunsRequest::default()
        })
        .await
        .unwrap()
        .into_inner();
    let mut runs = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        runs.extend(
            page.runs
                .into_iter()
                .map(|run| (run.state, run.attempts.len())),
        );
    }
    let finished = ("finished".to_owned(), 1);
    let failed = ("failed".to_owned(), 2);
    assert_eq!(
        runs,
        [&finished, &failed, &finished, &finished, &finished, &failed].map(Clone::clone)
    );
    controller.stop().await.unwrap();
    let verified = serve::verify(dir.path()).unwrap();
    assert_eq!(
        (verified.sweeps, verified.runs, verified.problems),
        (6, 32, Vec::new())
    );
}

#[test]
fn the_fixture_of_a_format_holds_every_kind_of_event_up_to_it() {
    for format in 1..=FORMAT {
        let dir = write(&fixture(format));
        let database = rusqlite::Connection::open(dir.path().join("sweep.db")).unwrap();
        assert_eq!(
            database
                .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
                .unwrap(),
            format
        );
        let found = fixture::kinds(&database);
        for kind in EVENT_KINDS.iter().filter(|kind| kind.format <= format) {
            assert!(
                found.contains_key(kind.name),
                "{}: no event of type `{}`",
                fixture::path(format).display(),
                kind.name
            );
        }
        let mislabelled: u32 = database
            .query_row(
                "SELECT count(*) FROM events WHERE type <> json_extract(body, '$.type')",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(mislabelled, 0, "the column `type` is the type of the event");
    }
}

#[tokio::test]
async fn data_of_every_format_is_opened_and_goes_on() {
    for format in 1..=FORMAT {
        let dir = write(&fixture(format));
        assert_eq!(
            serve::verify(dir.path()).unwrap().problems,
            Vec::<String>::new(),
            "format {format}, as it was written"
        );
        let controller = house::start(dir.path()).await;
        let mut clients = house::clients(&controller).await;
        let sweeps = clients.list().await;
        let training = sweeps.iter().find(|sweep| sweep.id == "trainfix").unwrap();
        assert_eq!(
            (
                training.state.as_str(),
                training.best_run,
                training.best_value
            ),
            ("paused", Some(1), Some(0.4))
        );
        let stalled = sweeps.iter().find(|sweep| sweep.id == "stalling").unwrap();
        assert!(
            stalled
                .reason
                .contains("run after run fails on the only agent"),
            "{}",
            stalled.reason
        );
        let next = clients.create("program: train\nmethod: random\nmetric: {name: loss}\nparameters: {x: {min: 0, max: 1}}").await;
        clients.register(&next, "ann-of-today").await;
        clients.execute(&next, "ann-of-today", 0.5).await;
        controller.stop().await.unwrap();
        let verified = serve::verify(dir.path()).unwrap();
        assert_eq!(
            verified.problems,
            Vec::<String>::new(),
            "format {format}, written on by this version"
        );
    }
}

#[tokio::test]
async fn data_of_a_later_format_is_left_alone() {
    let dir = write(&FORMAT_1.replace("user_version = 1;", "user_version = 999;"));
    let before = std::fs::read(dir.path().join("sweep.db")).unwrap();
    let start = serve::start(house::options(dir.path())).await.map(drop);
    let verify = serve::verify(dir.path()).map(drop);
    for error in [start.unwrap_err(), verify.unwrap_err()] {
        assert!(
            matches!(
                error,
                ServeError::Store(StoreError::TooNew { found: 999, .. })
            ),
            "{error}"
        );
    }
    assert_eq!(
        std::fs::read(dir.path().join("sweep.db")).unwrap(),
        before,
        "nothing was written"
    );
}
