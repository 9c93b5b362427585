//! `OfferRuns`: the search of a sweep is its own program.

use sweep_proto::v1::{OfferRunsRequest, OfferRunsResponse, OfferedRun, acquire_response};
use tonic::{Code, Status};

use crate::house::{self, Clients};

const EXTERNAL: &str = "method: external\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {min: 0.0, max: 1.0}\n  depth: {values: [1, 2]}\n";

const GRID: &str =
    "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2]}\n";

fn request(sweep: &str, request_id: &str, params: &[&str], end: bool) -> OfferRunsRequest {
    let run = |params: &&str| OfferedRun {
        params_json: (*params).to_owned(),
        why: "trial".to_owned(),
    };
    OfferRunsRequest {
        sweep_id: sweep.to_owned(),
        request_id: request_id.to_owned(),
        runs: params.iter().map(run).collect(),
        end,
    }
}

async fn offer(
    clients: &mut Clients,
    request: OfferRunsRequest,
) -> Result<OfferRunsResponse, Status> {
    clients
        .sweeps
        .offer_runs(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn agents_get_what_is_offered_until_the_end() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(EXTERNAL).await;
    clients.register(&id, "agent-1").await;
    let offered = offer(
        &mut clients,
        request(&id, "one", &[r#"{"x": 0.5, "depth": 2}"#], false),
    )
    .await
    .unwrap();
    assert_eq!((offered.runs, offered.skipped), (vec![1], vec![]));
    let assignment = clients.acquire(&id, "agent-1").await;
    assert_eq!(
        (assignment.run, assignment.params_json.as_str()),
        (1, r#"{"depth":2,"x":0.5}"#)
    );
    clients.begin("agent-1", &assignment).await;
    clients.report("agent-1", &assignment, 0, &[0.25]).await;
    assert_eq!(clients.finish("agent-1", &assignment).await, "finished");

    let repeated = offer(
        &mut clients,
        request(&id, "one", &[r#"{"x": 0.5, "depth": 2}"#], false),
    )
    .await
    .unwrap();
    assert_eq!(
        (repeated.runs, repeated.skipped),
        (vec![1], vec![]),
        "the first answer again"
    );
    let again = offer(
        &mut clients,
        request(&id, "two", &[r#"{"x": 0.5, "depth": 2}"#], true),
    )
    .await
    .unwrap();
    assert_eq!(again.runs, [1]);
    assert_eq!(
        again.skipped,
        ["entry 1: the sweep has a run with these parameters: run 1"]
    );
    let next = clients.next(&id, "agent-1").await;
    assert!(
        matches!(&next, acquire_response::Next::Done(done) if done.reason == "no more runs will be offered"),
        "{next:?}"
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_name_and_nothing_is_queued() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(EXTERNAL).await;
    let params = [
        r#"{"x": 0.5, "depth": 1}"#,
        r#"{"x": 7, "depth": 3}"#,
        "{x: 1}",
    ];
    let refused = offer(&mut clients, request(&id, "", &params, false))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let lines: Vec<_> = refused.message().lines().collect();
    assert_eq!(
        lines[0],
        "entry 2: `depth` is 3, which is none of its values; `x` is 7, out of its range from 0 to 1"
    );
    assert!(
        lines[1].starts_with("entry 3: params_json is not JSON: "),
        "{lines:?}"
    );
    assert_eq!(
        offer(&mut clients, request(&id, "", &params[..1], false))
            .await
            .unwrap()
            .runs,
        [1],
        "nothing was queued before"
    );
    let nothing = offer(&mut clients, request(&id, "", &[], false))
        .await
        .unwrap_err();
    assert_eq!(
        nothing.message(),
        "nothing is offered: name runs, or set `end` if there are no more"
    );
    let two_lines = OfferedRun {
        params_json: params[0].to_owned(),
        why: "a\nb".to_owned(),
    };
    let refused = offer(
        &mut clients,
        OfferRunsRequest {
            runs: vec![two_lines],
            ..request(&id, "", &[], false)
        },
    )
    .await
    .unwrap_err();
    assert_eq!(
        refused.message(),
        "entry 1: `why` holds a control character, and it must be one line"
    );

    let grid = clients.create(GRID).await;
    let refused = offer(&mut clients, request(&grid, "", &[r#"{"x": 1}"#], false))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("is a grid"), "{refused}");
    controller.stop().await.unwrap();
}
