//! The page and the figures.

use sweep_proto::v1::{ImportRunsRequest, ImportedRun};

use crate::house;

const GRID: &str = "method: grid\nprogram: train.py\nmetric: {name: loss}\nparameters:\n  x: {values: [1, 2, 3]}\n";

#[tokio::test]
async fn the_page_lists_sweeps_and_a_hostile_name_is_only_text() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let empty = house::http(&controller, "GET", "/", &[]).await;
    assert_eq!(empty.status, 200);
    assert!(empty.body.contains("sweep create FILE"), "{}", empty.body);

    let mut clients = house::clients(&controller).await;
    let hostile =
        "name: \"</td><script>alert(1)</script><img src=x onerror='1'>\"\n".to_owned() + GRID;
    let id = clients.create(&hostile).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    for path in ["/".to_owned(), format!("/sweeps/{id}")] {
        let page = house::http(&controller, "GET", &path, &[]).await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{}",
            page.body
        );
        assert!(
            !page.body.contains("<script>") && !page.body.contains("<img"),
            "{}",
            page.body
        );
        assert_eq!(
            page.body.matches("<script").count(),
            1,
            "our own: {}",
            page.body
        );
        assert!(page.body.contains(&id), "{}", page.body);
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; ",
            "x-content-type-options: nosniff",
            "frame-ancestors 'none'",
        ] {
            assert!(page.head.contains(header), "no {header} in\n{}", page.head);
        }
    }
    assert_eq!(
        house::http(&controller, "GET", "/sweeps/%3Cscript%3E", &[])
            .await
            .status,
        404
    );
    assert!(
        !house::http(&controller, "GET", "/sweeps/%3Cscript%3E", &[])
            .await
            .body
            .contains("<script>")
    );
    assert_eq!(house::http(&controller, "POST", "/", &[]).await.status, 405);
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn an_open_page_reads_nothing_while_its_sweep_does_not_change() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let (shown, other) = (clients.create(GRID).await, clients.create(GRID).await);
    let queries = async || -> u64 {
        let figures = house::http(&controller, "GET", "/metrics", &[]).await.body;
        let line = figures
            .lines()
            .find_map(|line| line.strip_prefix("sweep_queries_total "))
            .map(str::to_owned);
        line.unwrap_or_else(|| panic!("not counted:\n{figures}"))
            .parse()
            .unwrap()
    };
    // Longer than a page waits after a commit before it looks.
    let mut others_change = async |agent: &str| -> u64 {
        let before = queries().await;
        clients.register(&other, agent).await;
        tokio::time::sleep(std::time::Duration::from_millis(2200)).await;
        queries().await - before
    };
    let without = others_change("agent-1").await;
    let mut page = house::open(&controller, &format!("/live?sweep={shown}")).await;
    page.until("data: ").await;
    assert_eq!(
        others_change("agent-2").await,
        without,
        "the page reads nothing"
    );
    let before = queries().await;
    clients.register(&shown, "agent-3").await;
    page.until("agent-3").await;
    assert!(queries().await > before + 1);
    controller.stop().await.unwrap();
}

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
async fn what_the_page_does_is_what_the_services_do() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    let pause = format!(r#"{{"sweep_id": "{id}", "action": 1, "request_id": "pause"}}"#);
    let answer = house::http_with(
        &controller,
        "POST",
        "/api/v1/SetSweepState",
        &[JSON],
        &pause,
    )
    .await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"state":"paused"}"#)
    );
    // What a page of somebody else can send without being asked first, and what it cannot.
    let resume = pause
        .replace("\"action\": 1", "\"action\": 2")
        .replace("pause", "resume");
    let origin = ("Origin", "http://evil.example");
    let refused = [
        ("POST", vec![("Content-Type", "text/plain")], 400),
        ("POST", vec![], 400),
        ("POST", vec![JSON, origin], 403),
        ("POST", vec![JSON, ("Sec-Fetch-Site", "cross-site")], 403),
        ("GET", vec![JSON], 405),
    ];
    for (method, headers, status) in refused {
        assert_eq!(
            house::http_with(
                &controller,
                method,
                "/api/v1/SetSweepState",
                &headers,
                &resume
            )
            .await
            .status,
            status,
            "{method} {headers:?}"
        );
    }
    let page = house::http(&controller, "GET", &format!("/sweeps/{id}"), &[]).await;
    assert!(page.body.contains("state paused"), "{}", page.body);
    for (call, body, status, said) in [
        (
            "SetSweepState",
            r#"{"sweep_id": "nowhere", "action": 1}"#,
            404,
            "no sweep `nowhere`",
        ),
        (
            "SetSweepState",
            r#"{"sweep": "x"}"#,
            400,
            "unknown field `sweep`",
        ),
        (
            "SetSweepState",
            "no json",
            400,
            "the body is not what this call takes",
        ),
        (
            "StopController",
            "{}",
            404,
            "there is no call StopController in JSON",
        ),
    ] {
        let answer = house::http_with(
            &controller,
            "POST",
            &format!("/api/v1/{call}"),
            &[JSON],
            body,
        )
        .await;
        assert!(
            answer.status == status && answer.body.contains(said),
            "{call} {body}: {} {}",
            answer.status,
            answer.body
        );
    }
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_program_asks_tells_and_lists_in_json() {
    use serde_json::json;

    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let post = async |call: &str, body: serde_json::Value| {
        let path = format!("/api/v1/{call}");
        house::http_with(&controller, "POST", &path, &[JSON], &body.to_string()).await
    };
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let created = post("CreateSweep", json!({"yaml": GRID, "request_id": "a"})).await;
    let id = parsed(&created.body)["sweep_id"].clone();
    let asked = parsed(&post("Ask", json!({"sweep_id": id})).await.body);
    let told = json!({
        "sweep_id": id, "run": asked["run"], "attempt": asked["attempt"], "request_id": "b",
        "outcome": {"value": 0.25}, "metrics": {"acc": 0.5},
    });
    assert_eq!(post("Tell", told).await.body, "{}");
    let listed = post("ListRuns", json!({"sweep_id": id})).await;
    // The other lines are the lengths of chunks.
    let lines = listed.body.lines().filter(|line| line.starts_with('{'));
    let lines: Vec<_> = lines.map(parsed).collect();
    assert_eq!(lines[0]["runs"][0]["value"], 0.25, "{lines:?}");
    let refused = post("ListRuns", json!({"sweep_id": "none"})).await;
    assert_eq!(
        (refused.status, &parsed(&refused.body)["error"]["code"]),
        (404, &json!("NotFound"))
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_of_news_tells_what_has_changed_and_nothing_else() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", controller.address().port()))
        .await
        .unwrap();
    stream
        .write_all(format!("GET /live?sweep={id} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut said = String::new();
    let mut until = async |wanted: &str| {
        while !said.contains(wanted) {
            let mut piece = [0; 16 << 10];
            let read = tokio::time::timeout(house::PATIENCE, stream.read(&mut piece))
                .await
                .expect(wanted)
                .unwrap();
            assert!(read > 0, "it ended without {wanted}: {said}");
            said += &String::from_utf8_lossy(&piece[..read]);
        }
        std::mem::take(&mut said)
    };
    let first = until("\"reload\":false").await;
    assert!(
        first.contains("text/event-stream") && first.contains("event: news"),
        "{first}"
    );
    clients.execute(&id, "agent-1", 0.5).await;
    let news = until("\"value\":0.5").await;
    assert!(
        news.contains("\"state\":\"finished\"") && news.contains("\"run\":1"),
        "{news}"
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn all_that_a_page_draws_is_there() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    let get = async |path: String| house::http(&controller, "GET", &path, &[]).await;
    for (path, said) in [
        (format!("/sweeps/{id}/data.json"), "\"params\":{\"x\":1}"),
        (
            format!("/sweeps/{id}/curves.json?runs=1,2,x"),
            "\"values\":[0.5]",
        ),
        (format!("/sweeps/{id}/runs/1"), "sweep reproduce"),
        (
            format!("/sweeps/{id}/runs/1/series.json"),
            "\"loss\":{\"run\":1",
        ),
        (format!("/sweeps/{id}/compare?runs=1"), "Runs side by side"),
        ("/agents".to_owned(), "agent-1"),
    ] {
        let answer = get(path.clone()).await;
        assert!(
            answer.status == 200 && answer.body.contains(said),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    assert_eq!(get(format!("/sweeps/{id}/runs/1/log")).await.status, 200);
    for missing in [
        "/sweeps/nowhere/data.json",
        "/sweeps/nowhere/runs/1",
        &format!("/sweeps/{id}/runs/9"),
        "/assets/x/nothing.js",
    ] {
        assert_eq!(get(missing.to_owned()).await.status, 404, "{missing}");
    }
    let page = get("/".to_owned()).await.body;
    let script = page
        .split("src=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a script")
        .to_owned();
    let file = get(script).await;
    assert!(
        file.status == 200
            && file.head.contains("immutable")
            && file.head.contains("text/javascript"),
        "{}",
        file.head
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn health_and_figures_answer() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    assert_eq!(
        house::http(&controller, "GET", "/healthz", &[]).await.body,
        "ok\n"
    );
    let figures = house::http(&controller, "GET", "/metrics", &[]).await;
    assert_eq!(figures.status, 200);
    for line in [
        "sweep_sweeps{state=\"running\"} 1",
        "sweep_runs{state=\"finished\"} 1",
        "sweep_agents 1",
        "sweep_rpcs_total{method=\"/sweep.v1.SweepService/CreateSweep\",code=\"Ok\"} 1",
    ] {
        assert!(
            figures.body.lines().any(|found| found == line),
            "no {line} in\n{}",
            figures.body
        );
    }
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn of_a_large_sweep_some_runs_are_drawn_and_all_are_counted() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let id = clients.create("method: random\nprogram: t\nmetric: {name: loss}\nparameters: {x: {min: 1, max: 9000}}\n").await;
    let run = |x: u32| ImportedRun {
        params_json: format!("{{\"x\": {x}}}"),
        value: f64::from((x + 500) % 2500),
        failure: if x.is_multiple_of(10) {
            format!("exit status 1: line {x}")
        } else {
            String::new()
        },
        code_version: if x.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
    };
    let request = ImportRunsRequest {
        sweep_id: id.clone(),
        runs: (1..=2500).map(run).collect(),
        ..ImportRunsRequest::default()
    };
    assert_eq!(
        clients
            .sweeps
            .import_runs(request)
            .await
            .unwrap()
            .into_inner()
            .imported,
        2500
    );
    // Rows of a large import follow by and by.
    let data = loop {
        let data = house::http(&controller, "GET", &format!("/sweeps/{id}/data.json"), &[]).await;
        let data: serde_json::Value = serde_json::from_str(&data.body).unwrap();
        if data["total"] == 2500 {
            break data;
        }
    };
    let runs: Vec<u64> = data["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["run"].as_u64().unwrap())
        .collect();
    assert_eq!((&data["total"], &data["cut"]), (&2500.into(), &true.into()));
    assert!(
        (1400..=2000).contains(&runs.len()) && runs.is_sorted(),
        "{}",
        runs.len()
    );
    // The first, the last, and the best, which is in the middle.
    assert!(
        [1, 2001, 2500].iter().all(|run| runs.contains(run)),
        "{runs:?}"
    );
    let page = house::http(&controller, "GET", &format!("/sweeps/{id}"), &[])
        .await
        .body;
    assert!(
        page.contains("<strong class=\"count\">250</strong>"),
        "one cause, counted whole: {page}"
    );
    assert_eq!(
        page.matches("<td class=\"number\">1250</td>").count(),
        2,
        "runs of both versions of the code: {page}"
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn sweeps_are_listed_a_page_at_a_time() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let first = clients.create(GRID).await;
    for _ in 0..100 {
        clients.create(GRID).await;
    }
    let page = async |path: &str| house::http(&controller, "GET", path, &[]).await.body;
    let (newest, oldest) = (page("/").await, page("/?page=2").await);
    assert_eq!(
        (
            newest.matches("data-state=").count(),
            oldest.matches("data-state=").count()
        ),
        (100, 1)
    );
    assert!(
        newest.contains("Page 1 of 2, 101 sweeps")
            && !newest.contains(&first)
            && oldest.contains(&first),
        "{oldest}"
    );
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn constants_never_crowd_out_what_varies() {
    let (_dir, controller, mut clients) = house::fresh().await;
    let constants: String = (0..45)
        .map(|index| format!("  a_{index:02}: {{value: {index}}}\n"))
        .collect();
    let file = format!("{}{constants}", GRID.replace("  x:", "  zz:"));
    let id = clients.create(&file).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    clients.execute(&id, "agent-1", 0.7).await;
    let get = async |path: String| house::http(&controller, "GET", &path, &[]).await.body;
    let page = get(format!("/sweeps/{id}")).await;
    let best = page.split("id=\"finding-best\"").nth(1).unwrap();
    let best = best.split("</dd>").next().unwrap();
    assert!(
        best.contains("zz=<b>1</b>") && best.contains("and 45 constants") && !best.contains("a_00"),
        "{best}"
    );
    let run = get(format!("/sweeps/{id}/runs/2")).await;
    let at = |text: &str| {
        run.find(text)
            .unwrap_or_else(|| panic!("no {text} in {run}"))
    };
    assert!(at("<td>zz</td>") < at("<summary>45 constants</summary>"));
    assert!(at("<summary>45 constants</summary>") < at("<td>a_00</td>"));
    assert!(
        at("id=\"log\"") < at("id=\"metrics\""),
        "output is near the top"
    );
    let compared = get(format!("/sweeps/{id}/compare?runs=1,2")).await;
    assert!(compared.find("<td>zz</td>") < compared.find(">Constants</th>"));
    assert!(compared.find(">Constants</th>") < compared.find("<td>a_00</td>"));
    controller.stop().await.unwrap();
}
