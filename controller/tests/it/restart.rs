//! The data directory has one holder at a time, and no controller outlives its database.

use sweep_controller::serve::{self, ServeError};
use sweep_proto::v1::CreateSweepRequest;
use tonic::Code;

use crate::house::{self, PATIENCE};

const GRID: &str =
    "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2]}\n";

#[tokio::test]
async fn a_second_controller_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let card = std::fs::read_to_string(dir.path().join("controller.json")).unwrap();
    assert!(
        card.contains(&format!("\"address\": \"{}\"", controller.address())),
        "{card}"
    );
    let refused = serve::start(house::options(dir.path())).await.unwrap_err();
    let ServeError::Held { holder, .. } = &refused else {
        panic!("{refused}")
    };
    assert_eq!(
        *holder,
        format!("process {} ({})", std::process::id(), controller.address())
    );
    controller.stop().await.unwrap();
    house::start(dir.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let controller = house::start(first.path()).await;
    let options = serve::ServeOptions {
        listen: controller.address(),
        ..house::options(second.path())
    };
    let error = serve::start(options).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot listen on {}", controller.address())),
        "{error}"
    );
    // Nothing of the failed start holds the directory.
    house::start(second.path()).await.stop().await.unwrap();
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_database_ends_the_controller_and_says_so() {
    let (dir, mut controller, mut clients) = house::fresh().await;
    clients.create(GRID).await;
    let database = rusqlite::Connection::open(dir.path().join("sweep.db")).unwrap();
    database.execute_batch("DROP TABLE events").unwrap();
    let request = CreateSweepRequest {
        yaml: GRID.to_owned(),
        ..CreateSweepRequest::default()
    };
    assert_eq!(
        clients
            .sweeps
            .create_sweep(request)
            .await
            .unwrap_err()
            .code(),
        Code::Unavailable
    );
    let ended = tokio::time::timeout(PATIENCE, controller.ended())
        .await
        .expect("it ends");
    assert!(matches!(ended, Err(ServeError::Store(_))), "{ended:?}");
    assert!(
        controller.ended().await.is_ok(),
        "asked again, there is no more to say"
    );
}
