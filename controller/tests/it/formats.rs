//! Data of every version that ever wrote any is opened, and goes on.

use sweep_controller::serve::{self, ServeError};
use sweep_controller::store::StoreError;
use sweep_proto::v1::{ListRunsRequest, ListSweepsRequest};

use crate::house;

/// Two sweeps, written by the first version: one at random with failures and a constraint, one asked for with repeats and an import.
const FORMAT_1: &str = include_str!("../fixtures/format-1.sql");

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
    let sweeps = clients.sweeps.list_sweeps(ListSweepsRequest::default()).await.unwrap().into_inner().sweeps;
    let mut said: Vec<_> =
        sweeps.iter().map(|sweep| (sweep.method.as_str(), sweep.state.as_str(), sweep.best_run, sweep.best_value)).collect();
    said.sort_by_key(|(method, ..)| *method);
    assert_eq!(said[0], ("bayes", "paused", Some(5), Some(0.9)));
    assert_eq!((said[1].0, said[1].1, said[1].2), ("random", "finished", Some(1)));
    let sweep_id = sweeps.iter().find(|sweep| sweep.method == "random").unwrap().id.clone();
    let mut pages =
        clients.sweeps.list_runs(ListRunsRequest { sweep_id: sweep_id.clone(), ..ListRunsRequest::default() }).await.unwrap().into_inner();
    let mut runs = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        runs.extend(page.runs.into_iter().map(|run| (run.state, run.attempts.len())));
    }
    let finished = ("finished".to_owned(), 1);
    let failed = ("failed".to_owned(), 2);
    assert_eq!(runs, [&finished, &failed, &finished, &finished, &finished, &failed].map(Clone::clone));
    controller.stop().await.unwrap();
    let verified = serve::verify(dir.path()).unwrap();
    assert_eq!((verified.sweeps, verified.runs, verified.problems), (2, 11, Vec::new()));
}

#[tokio::test]
async fn data_of_a_later_format_is_left_alone() {
    let dir = write(&FORMAT_1.replace("user_version = 1", "user_version = 999"));
    let before = std::fs::read(dir.path().join("sweep.db")).unwrap();
    let start = serve::start(house::options(dir.path())).await.map(drop);
    let verify = serve::verify(dir.path()).map(drop);
    for error in [start.unwrap_err(), verify.unwrap_err()] {
        assert!(matches!(error, ServeError::Store(StoreError::TooNew { found: 999, .. })), "{error}");
    }
    assert_eq!(std::fs::read(dir.path().join("sweep.db")).unwrap(), before, "nothing was written");
}
