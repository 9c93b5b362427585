//! The page and the figures.

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
    let hostile = "name: \"</td><script>alert(1)</script><img src=x onerror='1'>\"\n".to_owned() + GRID;
    let id = clients.create(&hostile).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    for path in ["/".to_owned(), format!("/sweeps/{id}")] {
        let page = house::http(&controller, "GET", &path, &[]).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", page.body);
        assert!(!page.body.contains("<script") && !page.body.contains("<img"), "{}", page.body);
        assert!(page.body.contains(&id), "{}", page.body);
        for header in
            ["content-security-policy: default-src 'none'; style-src 'self'", "x-content-type-options: nosniff", "frame-ancestors 'none'"]
        {
            assert!(page.head.contains(header), "no {header} in\n{}", page.head);
        }
    }
    assert_eq!(house::http(&controller, "GET", "/sweeps/%3Cscript%3E", &[]).await.status, 404);
    assert!(!house::http(&controller, "GET", "/sweeps/%3Cscript%3E", &[]).await.body.contains("<script"));
    assert_eq!(house::http(&controller, "POST", "/", &[]).await.status, 405);
    controller.stop().await.unwrap();
}

#[tokio::test]
async fn health_and_figures_answer() {
    let dir = tempfile::tempdir().unwrap();
    let controller = house::start(dir.path()).await;
    let mut clients = house::clients(&controller).await;
    let id = clients.create(GRID).await;
    clients.register(&id, "agent-1").await;
    clients.execute(&id, "agent-1", 0.5).await;
    assert_eq!(house::http(&controller, "GET", "/healthz", &[]).await.body, "ok\n");
    let figures = house::http(&controller, "GET", "/metrics", &[]).await;
    assert_eq!(figures.status, 200);
    for line in [
        "sweep_sweeps{state=\"running\"} 1",
        "sweep_runs{state=\"finished\"} 1",
        "sweep_agents 1",
        "sweep_rpcs_total{method=\"/sweep.v1.SweepService/CreateSweep\",code=\"Ok\"} 1",
    ] {
        assert!(figures.body.lines().any(|found| found == line), "no {line} in\n{}", figures.body);
    }
    controller.stop().await.unwrap();
}
