//! Which calls the gate lets in.

use super::*;

fn request(path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = axum::http::Request::builder()
        .uri(path)
        .version(Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

#[test]
fn without_a_token_only_names_of_this_machine_are_let_in() {
    for host in [
        "localhost",
        "LOCALHOST:7433",
        "127.0.0.1:7433",
        "[::1]:7433",
        "[::1]",
        "10.1.2.3",
    ] {
        assert_eq!(
            AccessGate::Open.judge(&request("/", &[("host", host)])),
            Ok(()),
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example:7433",
        "127.0.0.1.evil.example",
        "",
        "localhost:port",
        "[evil]",
        "a@localhost",
    ] {
        assert_eq!(
            AccessGate::Open.judge(&request("/", &[("host", host)])),
            Err(AccessRefusal::ForeignHost),
            "{host}"
        );
    }
    assert_eq!(
        AccessGate::Open.judge(&request("/", &[])),
        Err(AccessRefusal::ForeignHost)
    );
    let both = request("http://localhost/", &[("host", "evil.example")]);
    assert_eq!(
        AccessGate::Open.judge(&both),
        Err(AccessRefusal::ForeignHost)
    );
}

#[test]
fn without_a_token_nothing_that_a_proxy_passed_on_is_let_in() {
    for header in FORWARDED {
        let request = request(
            "/api/v1/SetSweepState",
            &[("host", "localhost"), (header, "10.0.0.1")],
        );
        assert_eq!(
            AccessGate::Open.judge(&request),
            Err(AccessRefusal::Forwarded),
            "{header}"
        );
    }
}

fn keys() -> (AccessGate, Arc<Logins>) {
    let token = sweep_access::Token::parse("a-token-of-a-directory").unwrap();
    let logins = Arc::new(Logins::new(&token));
    (
        AccessGate::Token(Arc::new(Keys {
            hashes: TokenHashes::of(&[token]),
            logins: Arc::clone(&logins),
        })),
        logins,
    )
}

#[test]
fn a_session_counts_for_the_page_and_never_for_the_services() {
    let (gate, logins) = keys();
    let session = logins.begin_session().unwrap();
    let cookie = format!("theme=dark; {}={session}", logins.cookie());
    let judged = |path: &str, method: &str, headers: &[(&str, &str)]| {
        let mut request = request(
            path,
            &[
                &[("host", "box:7433"), ("cookie", cookie.as_str())],
                headers,
            ]
            .concat(),
        );
        *request.method_mut() = method.parse().unwrap();
        gate.judge(&request)
    };
    assert_eq!(judged("/", "GET", &[]), Ok(()));
    assert_eq!(
        judged(
            "/api/v1/SetSweepState",
            "POST",
            &[("origin", "http://box:7433")]
        ),
        Ok(())
    );
    for (path, headers) in [
        ("/api/v1/SetSweepState", &[][..]),
        (
            "/api/v1/SetSweepState",
            &[("origin", "http://evil.example")],
        ),
        (
            "/sweep.v1.SweepService/StopController",
            &[("origin", "http://box:7433")],
        ),
    ] {
        assert_eq!(
            judged(path, "POST", headers),
            Err(AccessRefusal::NoToken),
            "{path} {headers:?}"
        );
    }
    assert_eq!(
        judged("/sweep.v1.SweepService/GetStatus", "GET", &[]),
        Err(AccessRefusal::NoToken)
    );
    let other = format!("{}={session}0", logins.cookie());
    assert_eq!(
        gate.judge(&request("/", &[("cookie", &other)])),
        Err(AccessRefusal::NoToken)
    );
}

#[test]
fn loopback_is_no_token() {
    let (gate, _) = keys();
    assert_eq!(
        gate.judge(&request("/", &[("host", "localhost")])),
        Err(AccessRefusal::NoToken)
    );
    assert_eq!(
        gate.judge(&request(
            "/",
            &[("authorization", "Bearer a-token-of-a-directory")]
        )),
        Ok(())
    );
    assert_eq!(
        gate.judge(&request("/login?code=1", &[])),
        Ok(()),
        "the page checks it"
    );
    assert_eq!(
        gate.judge(&request("/login", &[])),
        Err(AccessRefusal::NoToken)
    );
    assert_eq!(
        gate.judge(&request("/logins?code=1", &[])),
        Err(AccessRefusal::NoToken)
    );
}

#[test]
fn the_services_are_for_http2_alone() {
    let mut call = request(
        "/sweep.v1.SweepService/CreateSweep",
        &[("host", "localhost")],
    );
    assert_eq!(AccessGate::Open.judge(&call), Ok(()));
    *call.version_mut() = Version::HTTP_11;
    assert_eq!(AccessGate::Open.judge(&call), Err(AccessRefusal::OldHttp));
}

#[test]
fn a_token_is_shown_in_one_header() {
    let shown = |path: &str, headers: &[(&str, &str)]| shown_token(&request(path, headers));
    let token = Some("swp_1".to_owned());
    assert_eq!(shown("/", &[("authorization", "Bearer swp_1")]), token);
    assert_eq!(shown("/", &[("authorization", "bearer  swp_1 ")]), token);
    // `anyone:swp_1`
    assert_eq!(
        shown("/", &[("authorization", "Basic YW55b25lOnN3cF8x")]),
        token
    );
    assert_eq!(
        shown(
            "/sweep.v1.SweepService/GetStatus",
            &[("authorization", "Basic YW55b25lOnN3cF8x")]
        ),
        None
    );
    for refused in ["Basic swp_1!", "Basic swp_1", "swp_1", "Bearer", ""] {
        assert_eq!(shown("/", &[("authorization", refused)]), None, "{refused}");
    }
    assert_eq!(
        shown(
            "/",
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")]
        ),
        None
    );
}

#[test]
fn what_changes_something_comes_from_our_own_page() {
    let judged = |headers: &[(&str, &str)]| {
        let mut request = request("/api/v1/SetSweepState", headers);
        *request.method_mut() = axum::http::Method::POST;
        AccessGate::Open.judge(&request)
    };
    let host = ("host", "localhost:7433");
    for own in [
        &[host][..],
        &[host, ("origin", "http://localhost:7433")],
        &[host, ("sec-fetch-site", "same-origin")],
    ] {
        assert_eq!(judged(own), Ok(()), "{own:?}");
    }
    for foreign in [
        "http://evil.example",
        "http://localhost:7434",
        "null",
        "",
        "http://127.0.0.1:7433",
    ] {
        assert_eq!(
            judged(&[host, ("origin", foreign)]),
            Err(AccessRefusal::ForeignOrigin),
            "{foreign}"
        );
    }
    assert_eq!(
        judged(&[host, ("sec-fetch-site", "cross-site")]),
        Err(AccessRefusal::ForeignOrigin)
    );
}

#[test]
fn a_login_acts_only_from_our_own_page() {
    let shown = |path: &str, origin: &[(&str, &str)]| {
        let headers = [
            &[
                ("host", "box:7433"),
                ("authorization", "Basic YW55b25lOnN3cF8x"),
            ],
            origin,
        ]
        .concat();
        let mut request = request(path, &headers);
        *request.method_mut() = axum::http::Method::POST;
        shown_token(&request)
    };
    assert_eq!(
        shown("/api/v1/SetSweepState", &[("origin", "http://box:7433")]),
        Some("swp_1".to_owned())
    );
    assert_eq!(
        shown(
            "/api/v1/SetSweepState",
            &[("origin", "http://evil.example")]
        ),
        None
    );
    assert_eq!(shown("/api/v1/SetSweepState", &[]), None);
    assert_eq!(
        shown(
            "/sweep.v1.SweepService/GetStatus",
            &[("origin", "http://box:7433")]
        ),
        None
    );
}

#[test]
fn base64_is_read_with_and_without_padding() {
    for (text, bytes) in [
        ("", b"".as_slice()),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYg", b"foob"),
        ("+/+/", &[0xfb, 0xff, 0xbf]),
    ] {
        assert_eq!(base64_decoded(text).as_deref(), Some(bytes), "{text}");
    }
    assert_eq!(base64_decoded("Zm 9v"), None);
}
