//! The files of the page: all in the binary, under one name that changes when any of them does, so that a browser keeps them for ever.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// The prefix of the name of every file. Files name each other relative to it.
pub(super) fn base() -> &'static str {
    concat!("/assets/", env!("SWEEP_ASSETS"), "/")
}

const LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plotly.js.gz"));

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("assets/", $name)))),*] };
}

const FILES: &[(&str, &str)] = files![
    "actions.js",
    "agents.js",
    "api.js",
    "charts.js",
    "code.js",
    "curves.js",
    "filter.js",
    "findings.js",
    "format.js",
    "icon.svg",
    "page.js",
    "parallel.js",
    "plotly.js",
    "run.js",
    "selection.js",
    "sliders.js",
    "style.css",
    "surrogate.js",
    "sweep.js",
    "table.js",
    "timeline.js",
];

/// Returns a module and every one that it imports. A browser that is not told would find them level by level.
pub(super) fn with_imports(module: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut open = vec![module];
    while let Some(wanted) = open.pop() {
        let Some((name, text)) = FILES.iter().find(|(name, _)| *name == wanted) else {
            continue;
        };
        if found.insert(*name) {
            open.extend(text.lines().filter_map(|line| {
                line.strip_prefix("import ")?
                    .split_once("from \"./")?
                    .1
                    .strip_suffix("\";")
            }));
        }
    }
    found
}

/// Answers with a file. One of another version is asked for by a page that was open while the controller was replaced: it gets ours.
pub(super) fn file(version: &str, name: &str) -> Response {
    let cache = if version == env!("SWEEP_ASSETS") {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let mut response = if name == "plotly.min.js" {
        let compressed = (header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        ([compressed], LIBRARY).into_response()
    } else if let Some((_, text)) = FILES.iter().find(|(known, _)| *known == name) {
        (*text).into_response()
    } else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(content_type(name)),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/assets");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(
                FILES.iter().any(|(known, _)| *known == name),
                "{name} is not in the list"
            );
        }
    }

    #[test]
    fn a_page_knows_its_modules_beforehand() {
        let modules = with_imports("sweep.js");
        assert!(
            [
                "sweep.js",
                "table.js",
                "selection.js",
                "filter.js",
                "format.js"
            ]
            .iter()
            .all(|name| modules.contains(name)),
            "{modules:?}"
        );
        assert!(
            !modules.contains("page.js") && !modules.contains("run.js"),
            "{modules:?}"
        );
        assert_eq!(
            with_imports("format.js").into_iter().collect::<Vec<_>>(),
            ["format.js"]
        );
    }

    #[test]
    fn the_charts_are_in_the_binary() {
        assert!(
            LIBRARY.len() > 500_000 && LIBRARY.starts_with(&[0x1f, 0x8b]),
            "{} bytes",
            LIBRARY.len()
        );
    }
}
