//! The files of the page: all in the binary, under one name that changes when any of them does, so that a browser keeps them for ever.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The version of the files: the beginning of the digest of all names and contents.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    digest.update(LIBRARY);
    for (name, text) in FILES {
        digest.update(name);
        digest.update(text);
    }
    hex::encode(&digest.finalize()[..8])
});

static BASE: LazyLock<String> = LazyLock::new(|| format!("/assets/{}/", *VERSION));

/// Returns the prefix of the name of every file. Files name each other relative to it.
pub(super) fn base() -> &'static str {
    &BASE
}

/// plotly.js, compressed with gzip. `vendor/README.md` has its version and licence.
const LIBRARY: &[u8] = include_bytes!("vendor/plotly-cartesian-3.0.1.min.js.gz");

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
    let cache = if version == *VERSION {
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
    use std::io::Read as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/assets");
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

    /// The types of charts of the vendored bundle that the page uses.
    const CHARTS: [&str; 4] = ["bar", "contour", "heatmap", "scatter"];

    #[test]
    fn the_vendored_library_is_the_one_that_its_readme_names() {
        let mut library = Vec::new();
        flate2::read::GzDecoder::new(LIBRARY)
            .read_to_end(&mut library)
            .unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/vendor");
        let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
        let digest = hex::encode(Sha256::digest(&library));
        assert!(readme.contains(&digest), "its SHA-256 is {digest}");
        assert!(folder.join("plotly-LICENSE").is_file());
        let library = String::from_utf8(library).unwrap();
        assert!(library.starts_with("/**\n* plotly.js (cartesian - minified) v3.0.1\n"));
        for chart in CHARTS {
            assert!(
                library.contains(&format!("moduleType:\"trace\",name:\"{chart}\"")),
                "{chart} is not in the bundle"
            );
        }
    }

    #[test]
    fn the_page_draws_no_chart_that_the_vendored_library_lacks() {
        let lacking = [
            "barpolar",
            "candlestick",
            "carpet",
            "funnel",
            "icicle",
            "indicator",
            "mesh3d",
            "ohlc",
            "parcats",
            "parcoords",
            "sankey",
            "scatter3d",
            "scattergl",
            "scatterpolar",
            "splom",
            "sunburst",
            "surface",
            "table",
            "treemap",
            "waterfall",
        ];
        for (name, text) in FILES {
            for chart in lacking {
                assert!(
                    !text.contains(&format!("type: \"{chart}\"")),
                    "{name} draws a {chart}: vendor a bundle that has it"
                );
            }
        }
    }
}
