//! Sweep files: what is wrong with one is said at once, and a repeated call makes one sweep.

use sweep_proto::v1::CreateSweepRequest;
use tonic::Code;

use crate::house;

const GRID: &str = "method: grid\nprogram: train.py\nname: first\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";

#[tokio::test]
async fn a_wrong_file_is_answered_with_all_its_mistakes() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let yaml = "method: grdi\nprogram: train.py\nparameters:\n  x: {min: 2, max: 1}\n";
    let refused = clients.refused(yaml).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("line 1") && refused.message().contains("line 4"),
        "{}",
        refused.message()
    );
    assert_eq!(
        refused.message().lines().count(),
        2,
        "{}",
        refused.message()
    );
    // Ten thousand mistakes still make an answer that a client can read.
    let many = (0..10_000)
        .map(|number| format!("  p{number}: {{min: 2, max: 1}}\n"))
        .collect::<String>();
    let yaml = format!("method: random\nprogram: t\nparameters:\n{many}");
    let refused = clients.refused(&yaml).await;
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let yaml = "x".repeat(2 << 20);
    let refused = clients.refused(&yaml).await;
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::InvalidArgument,
            "the sweep file has 2097152 bytes; at most 1048576 are accepted"
        )
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_repeated_create_makes_one_sweep() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let request = CreateSweepRequest {
        yaml: GRID.to_owned(),
        request_id: "request-1".to_owned(),
        name: "other".to_owned(),
        code: None,
    };
    let first = clients
        .sweeps
        .create_sweep(request.clone())
        .await
        .unwrap()
        .into_inner();
    let second = clients
        .sweeps
        .create_sweep(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.sweep_id, second.sweep_id);
    let listed = clients.list().await;
    assert_eq!(
        listed
            .iter()
            .map(|sweep| sweep.name.as_str())
            .collect::<Vec<_>>(),
        ["other"]
    );
    let changed = CreateSweepRequest {
        name: "changed".to_owned(),
        ..request
    };
    assert_eq!(
        clients
            .sweeps
            .create_sweep(changed)
            .await
            .unwrap_err()
            .code(),
        Code::AlreadyExists
    );
    controller.stop().await.unwrap();
}
