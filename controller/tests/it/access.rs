//! Who is let in: every method and every route, with and without the token.

use sweep_proto::METHODS;
use sweep_proto::v1::StopControllerRequest;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request};
use tonic_prost::ProstCodec;

use crate::house::{self, PATIENCE};

/// Calls a method with an empty message, which every request can be, and returns the code with which the answer begins.
async fn call(channel: &Channel, method: &str, authorization: Option<&str>) -> Code {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.expect("the controller listens");
    let mut request = Request::new(());
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse::<AsciiMetadataValue>().expect("printable"));
    }
    let path = PathAndQuery::try_from(method).expect("a path");
    let answer = client.server_streaming(request, path, ProstCodec::<(), ()>::default());
    match tokio::time::timeout(PATIENCE, answer).await.expect("in time") {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn beyond_loopback_every_method_is_refused_without_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start_open(dir.path()).await.unwrap();
    let token = controller.new_token().expect("the first start makes a token").to_owned();
    let channel = house::channel(&controller).await;
    let wrong = format!("Bearer {}0", &token[..token.len() - 1]);
    let wrong = if wrong == format!("Bearer {token}") { format!("Bearer {}1", &token[..token.len() - 1]) } else { wrong };
    let basic = format!("Basic {token}");
    for method in METHODS {
        for refused in [None, Some(wrong.as_str()), Some("Bearer "), Some("Bearer swp_"), Some(basic.as_str()), Some(token.as_str())] {
            assert_eq!(call(&channel, method, refused).await, Code::Unauthenticated, "{method} with {refused:?}");
        }
    }
    for unknown in ["/sweep.v1.SweepService/Unknown", "/sweep.v1.NewService/New", "/grpc.reflection.v1.ServerReflection/X"] {
        assert_ne!(call(&channel, unknown, None).await, Code::Ok, "{unknown}");
        assert_ne!(call(&channel, unknown, None).await, Code::Unimplemented, "{unknown}");
    }
    let right = format!("Bearer {token}");
    // That ends it, and comes last.
    let (stop, others): (Vec<&str>, Vec<&str>) = METHODS.iter().partition(|method| method.ends_with("/StopController"));
    for method in others.into_iter().chain(stop) {
        let code = call(&channel, method, Some(&right)).await;
        assert!(!matches!(code, Code::Unauthenticated | Code::Unimplemented | Code::PermissionDenied), "{method}: {code:?}");
    }
}

#[tokio::test]
async fn beyond_loopback_every_route_but_one_is_refused_without_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start_open(dir.path()).await.unwrap();
    let token = format!("Bearer {}", controller.new_token().unwrap());
    let unknown = [
        "/nope",
        "//healthz",
        "/healthz/",
        "/%68ealthz",
        "/./healthz",
        "/healthz/../metrics",
        "/json/SetSweepState",
        "/sweep.v1.SweepService/GetStatus",
    ];
    for path in sweep_controller::web::paths().into_iter().chain(unknown) {
        let path = path.replace("{id}", "abcdefgh");
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = house::http(&controller, method, &path, &[]).await;
            if path == "/healthz" {
                assert_ne!(answer.status, 401, "{method} {path}");
            } else {
                assert_eq!(answer.status, 401, "{method} {path}");
                assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
                assert!(!answer.body.contains("<html"), "{}", answer.body);
            }
        }
        // It answers for as long as somebody listens.
        if path != "/live" {
            let answer = house::http(&controller, "GET", &path, &[("Authorization", &token)]).await;
            assert_ne!(answer.status, 401, "{path}");
        }
    }
    assert_eq!(house::http(&controller, "GET", "/", &[("Authorization", &token)]).await.status, 200);
    assert_eq!(house::http(&controller, "GET", "/", &[("Authorization", "Basic YW55b25lOnN3cF8x")]).await.status, 401);
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn the_token_outlives_a_restart_and_is_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = house::start_open(dir.path()).await.unwrap();
    let token = first.new_token().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(dir.path().join("token")).unwrap().trim(), token);
    first.stop().await.unwrap();
    let second = house::start_open(dir.path()).await.unwrap();
    assert_eq!(second.new_token(), None);
    let channel = house::channel(&second).await;
    let status = "/sweep.v1.SweepService/GetStatus";
    assert_eq!(call(&channel, status, Some(&format!("Bearer {token}"))).await, Code::Ok);
    assert_eq!(call(&channel, status, None).await, Code::Unauthenticated);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn on_loopback_no_token_is_needed_but_the_right_name() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    assert_eq!(controller.new_token(), None);
    assert!(!dir.path().join("token").exists());
    for (host, status) in
        [("localhost:7433", 200), ("127.0.0.1", 200), ("[::1]:1", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421)]
    {
        assert_eq!(house::http(&controller, "GET", "/", &[("Host", host)]).await.status, status, "{host}");
    }
    // A page of somebody else that has pointed its own name at us speaks HTTP/1.1 and can send any content type.
    let forged = [("Host", "localhost"), ("Content-Type", "application/grpc")];
    for method in METHODS {
        assert_eq!(house::http(&controller, "POST", method, &forged).await.status, 505, "{method}");
    }
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_caller_on_this_machine_can_stop_the_controller() {
    let dir = tempfile::tempdir().unwrap();
    let mut controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    clients.sweeps.stop_controller(StopControllerRequest {}).await.unwrap();
    tokio::time::timeout(PATIENCE, controller.ended()).await.expect("it ends").unwrap();
    assert!(!dir.path().join("controller.json").exists());
}
