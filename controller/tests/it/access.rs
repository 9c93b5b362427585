//! Authentication: every method and every route, with and without the token.

use sweep_controller::serve::{self, ServeOptions};
use sweep_proto::METHODS;
use sweep_proto::v1::{CreateLoginLinkRequest, StopControllerRequest};
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
        request.metadata_mut().insert(
            "authorization",
            value.parse::<AsciiMetadataValue>().expect("printable"),
        );
    }
    let path = PathAndQuery::try_from(method).expect("a path");
    let answer = client.server_streaming(request, path, ProstCodec::<(), ()>::default());
    match tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("in time")
    {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
const ANYWHERE: [u8; 4] = [0, 0, 0, 0];

#[tokio::test]
async fn every_method_is_refused_without_the_token_on_loopback_too() {
    for listen in [LOOPBACK, ANYWHERE] {
        every_method_is_refused_without_the_token(listen).await;
    }
}

async fn every_method_is_refused_without_the_token(listen: [u8; 4]) {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let controller = house::start_guarded(dir.path(), listen)
        .await
        .expect("the controller starts and stops");
    let token = controller
        .token()
        .expect("the first start makes a token")
        .reveal()
        .to_owned();
    let channel = house::channel(&controller).await;
    let wrong = format!("Bearer {}0", &token[..token.len() - 1]);
    let wrong = if wrong == format!("Bearer {token}") {
        format!("Bearer {}1", &token[..token.len() - 1])
    } else {
        wrong
    };
    let basic = format!("Basic {token}");
    for method in METHODS {
        for refused in [
            None,
            Some(wrong.as_str()),
            Some("Bearer "),
            Some("Bearer swp_"),
            Some(basic.as_str()),
            Some(token.as_str()),
        ] {
            assert_eq!(
                call(&channel, method, refused).await,
                Code::Unauthenticated,
                "{method} with {refused:?}"
            );
        }
    }
    for unknown in [
        "/sweep.v1.SweepService/Unknown",
        "/sweep.v1.NewService/New",
        "/grpc.reflection.v1.ServerReflection/X",
    ] {
        assert_ne!(call(&channel, unknown, None).await, Code::Ok, "{unknown}");
        assert_ne!(
            call(&channel, unknown, None).await,
            Code::Unimplemented,
            "{unknown}"
        );
    }
    let right = format!("Bearer {token}");
    // That ends it, and comes last.
    let (stop, others): (Vec<&str>, Vec<&str>) = METHODS
        .iter()
        .partition(|method| method.ends_with("/StopController"));
    for method in others.into_iter().chain(stop) {
        let code = call(&channel, method, Some(&right)).await;
        assert!(
            !matches!(
                code,
                Code::Unauthenticated | Code::Unimplemented | Code::PermissionDenied
            ),
            "{method}: {code:?}"
        );
    }
}

#[tokio::test]
async fn every_route_but_one_is_refused_without_the_token_on_loopback_too() {
    for listen in [LOOPBACK, ANYWHERE] {
        every_route_but_one_is_refused_without_the_token(listen).await;
    }
}

async fn every_route_but_one_is_refused_without_the_token(listen: [u8; 4]) {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let controller = house::start_guarded(dir.path(), listen)
        .await
        .expect("the controller starts and stops");
    let token = format!(
        "Bearer {}",
        controller.token().expect("it has one").reveal()
    );
    let unknown = [
        "/nope",
        "//healthz",
        "/healthz/",
        "/%68ealthz",
        "/./healthz",
        "/healthz/../metrics",
        "/api/v1/SetSweepState",
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
                assert!(
                    answer.head.contains("www-authenticate: bearer"),
                    "{}",
                    answer.head
                );
                assert!(!answer.body.contains("<html"), "{}", answer.body);
            }
        }
        // It answers for as long as somebody listens.
        if path != "/live" {
            let answer = house::http(&controller, "GET", &path, &[("Authorization", &token)]).await;
            assert_ne!(answer.status, 401, "{path}");
        }
    }
    assert_eq!(
        house::http(&controller, "GET", "/", &[("Authorization", &token)])
            .await
            .status,
        200
    );
    assert_eq!(
        house::http(
            &controller,
            "GET",
            "/",
            &[("Authorization", "Basic YW55b25lOnN3cF8x")]
        )
        .await
        .status,
        401
    );
    controller
        .stop()
        .await
        .expect("the controller starts and stops");
}

#[tokio::test]
async fn the_token_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = house::start_guarded(dir.path(), LOOPBACK).await.unwrap();
    let token = first.token().unwrap().reveal().to_owned();
    assert_eq!(
        std::fs::read_to_string(dir.path().join("token"))
            .unwrap()
            .trim(),
        token
    );
    first.stop().await.unwrap();
    let second = house::start_guarded(dir.path(), LOOPBACK).await.unwrap();
    assert_eq!(second.token().unwrap().reveal(), token);
    let channel = house::channel(&second).await;
    let status = "/sweep.v1.SweepService/GetStatus";
    assert_eq!(
        call(&channel, status, Some(&format!("Bearer {token}"))).await,
        Code::Ok
    );
    assert_eq!(call(&channel, status, None).await, Code::Unauthenticated);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_token_the_right_name_and_no_proxy_are_needed() {
    let dir = tempfile::tempdir().unwrap();
    let beyond = ServeOptions {
        listen: (ANYWHERE, 0).into(),
        ..house::options(dir.path())
    };
    let refused = serve::start(beyond).await.unwrap_err().to_string();
    assert!(
        refused.contains("serves its own machine alone"),
        "{refused}"
    );
    let controller = house::start(dir.path()).await;
    assert!(controller.token().is_none());
    let forwarded = [
        ("Host", "localhost"),
        ("X-Forwarded-For", "10.0.0.7"),
        ("Content-Type", "application/json"),
    ];
    assert_eq!(
        house::http(&controller, "POST", "/api/v1/SetSweepState", &forwarded)
            .await
            .status,
        403
    );
    assert!(!dir.path().join("token").exists());
    for (host, status) in [
        ("localhost:7433", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ] {
        assert_eq!(
            house::http(&controller, "GET", "/", &[("Host", host)])
                .await
                .status,
            status,
            "{host}"
        );
    }
    // A page of somebody else that has pointed its own name at us speaks HTTP/1.1 and can send any content type.
    let forged = [("Host", "localhost"), ("Content-Type", "application/grpc")];
    for method in METHODS {
        assert_eq!(
            house::http(&controller, "POST", method, &forged)
                .await
                .status,
            505,
            "{method}"
        );
    }
    controller.stop().await.unwrap();
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
async fn a_login_link_is_good_once_and_its_cookie_for_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start_guarded(dir.path(), LOOPBACK).await.unwrap();
    let bearer = format!("Bearer {}", controller.token().unwrap().reveal());
    let html = ("Accept", "text/html");
    let refused = house::http(&controller, "GET", "/", &[html]).await;
    assert!(
        refused.status == 401 && refused.body.contains("sweep controller status"),
        "{}",
        refused.body
    );
    assert!(
        !refused.head.contains("basic"),
        "a browser shows the page, not a prompt: {}",
        refused.head
    );

    let mut clients = house::clients(&controller).await;
    let mut request = Request::new(CreateLoginLinkRequest {});
    request
        .metadata_mut()
        .insert("authorization", bearer.parse().unwrap());
    let link = clients
        .sweeps
        .create_login_link(request)
        .await
        .unwrap()
        .into_inner();
    assert!(link.valid_s > 0);
    let path = format!("{}&next=/agents", link.path);
    assert_eq!(
        house::http(&controller, "HEAD", &path, &[]).await.status,
        200,
        "it does not use the code up"
    );
    let answer = house::http(&controller, "GET", &path, &[html]).await;
    assert!(
        answer.status == 200 && answer.body.contains("url=/agents"),
        "{}",
        answer.body
    );
    let line = answer
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .expect("it sets a cookie");
    assert!(line.contains("; httponly; samesite=strict"), "{line}");
    let cookie = line.split(';').next().unwrap();
    let again = house::http(&controller, "GET", &path, &[html]).await;
    assert!(
        again.status == 401 && again.body.contains("was used before"),
        "{}",
        again.body
    );

    let get = async |path: &str| {
        house::http(&controller, "GET", path, &[("Cookie", cookie)])
            .await
            .status
    };
    assert_eq!(
        (get("/").await, get("/agents").await, get("/metrics").await),
        (200, 200, 200)
    );
    let act = async |headers: &[(&str, &str)]| {
        let headers = [
            &[
                ("Cookie", cookie),
                ("Host", "localhost"),
                ("Content-Type", "application/json"),
            ],
            headers,
        ]
        .concat();
        house::http_with(&controller, "POST", "/api/v1/GetSweep", &headers, "{}")
            .await
            .status
    };
    assert_ne!(act(&[("Origin", "http://localhost")]).await, 401);
    assert_eq!(
        (
            act(&[]).await,
            act(&[("Origin", "http://evil.example")]).await
        ),
        (401, 401)
    );
    // The token itself logs in too, as the password that a browser asks for there.
    assert_eq!(
        house::http(&controller, "GET", "/login", &[html])
            .await
            .status,
        401
    );
    let basic = house::http(
        &controller,
        "GET",
        "/login",
        &[html, ("Authorization", &bearer)],
    )
    .await;
    assert!(
        basic.status == 200 && basic.head.contains("set-cookie"),
        "{}",
        basic.head
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_caller_on_this_machine_can_stop_the_controller() {
    let (dir, mut controller, mut clients) = house::fresh().await;
    clients
        .sweeps
        .stop_controller(StopControllerRequest {})
        .await
        .unwrap();
    tokio::time::timeout(PATIENCE, controller.ended())
        .await
        .expect("it ends")
        .unwrap();
    assert!(!dir.path().join("controller.json").exists());
}
