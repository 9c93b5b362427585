//! Holds the code against the drawing in `docs/explanation/architecture.md`: allowed dependencies, no cycles, no catch-all modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// Each crate, its folder, and the crates of ours that it may depend on.
const CRATES: [(&str, &str, &[&str]); 9] = [
    // `sweep-lifecycle` for `spec` alone: `sweep check` needs no server.
    ("sweep", ".", &["sweep-agent", "sweep-code", "sweep-controller", "sweep-lifecycle", "sweep-proto"]),
    ("sweep-controller", "controller", &["sweep-code", "sweep-lifecycle", "sweep-proto", "sweep-search"]),
    ("sweep-agent", "agent", &["sweep-code", "sweep-proto"]),
    ("sweep-code", "code", &[]),
    ("sweep-lifecycle", "controller/lifecycle", &["sweep-search"]),
    ("sweep-search", "search", &[]),
    ("sweep-proto", "proto", &[]),
    ("wine", "examples/wine", &[]),
    ("sweep-simulation", "tests/simulation", &["sweep-agent", "sweep-controller", "sweep-lifecycle", "sweep-proto"]),
];

/// The folder of the one crate that enables the feature `simulation`.
const SIMULATION: &str = "tests/simulation";

/// Dependencies that the manifest of a pure crate must not have.
const IMPURE: [&str; 14] = [
    "axum",
    "chrono",
    "getrandom",
    "hyper",
    "nix",
    "prost",
    "reqwest",
    "rusqlite",
    "tempfile",
    "time",
    "tokio",
    "tokio-stream",
    "tonic",
    "tracing-subscriber",
];

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 9] = ["common", "helper", "helpers", "imp", "misc", "shared", "types", "util", "utils"];

#[test]
fn crates_depend_on_each_other_as_drawn() {
    let names: BTreeSet<&str> = CRATES.iter().map(|(name, ..)| *name).collect();
    for (name, folder, allowed) in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let ours: Vec<String> = dependencies(&manifest).into_iter().filter(|dependency| names.contains(dependency.as_str())).collect();
        for dependency in ours {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn every_member_is_tested_and_linted() {
    let manifest = read(&root().join("Cargo.toml"));
    let list = |key: &str| {
        let line = manifest.lines().find(|line| line.starts_with(&format!("{key} = "))).expect(key);
        line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let drawn: BTreeSet<String> = CRATES.iter().map(|(_, folder, _)| (*folder).to_owned()).collect();
    assert_eq!(list("members"), drawn, "the drawing above has all members");
    let mut tested = list("default-members");
    tested.insert(SIMULATION.to_owned());
    assert_eq!(list("members"), tested, "`cargo test` at the root tests all members but the simulation");
    assert!(read(&root().join(".ci/run")).contains("cargo test -p sweep-simulation"), "CI tests the simulation by itself");
    // All of sweep-proto is generated.
    for (name, folder, _) in CRATES.into_iter().filter(|(name, ..)| *name != "sweep-proto") {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} has the lints of the workspace");
    }
}

#[test]
fn what_people_build_has_no_feature_simulation() {
    let enabled = Regex::new(r#"features *= *\[[^\]]*"simulation""#).expect("it compiles");
    for (name, folder, _) in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let is_simulation = folder == SIMULATION;
        assert_eq!(enabled.is_match(&manifest), is_simulation, "{name}: the simulation alone enables the feature `simulation`");
        assert!(is_simulation || !dependencies(&manifest).contains(&"sweep-simulation".to_owned()), "{name} may not need the simulation");
        assert!(!manifest.lines().any(|line| line.starts_with("default = ")), "{name}: no feature is on by default");
    }
    let members = read(&root().join("Cargo.toml"));
    let default_members = members.lines().find(|line| line.starts_with("default-members")).expect("the manifest has them");
    assert!(!default_members.contains(SIMULATION), "with the simulation, `cargo build` at the root would enable its feature everywhere");
}

#[test]
fn pure_crates_stay_pure() {
    for folder in ["search", "controller/lifecycle"] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for dependency in section_names(&manifest, "dependencies") {
            assert!(!IMPURE.contains(&dependency.as_str()), "{folder} is pure: it may not depend on {dependency}");
        }
        let bans = read(&root().join(folder).join("clippy.toml"));
        for ban in ["std::time::Instant::now", "std::time::SystemTime::now", "std::env::var", "std::fs::read", "std::collections::HashMap"]
        {
            assert!(bans.contains(&format!("\"{ban}\"")), "{folder}/clippy.toml bans {ban}");
        }
    }
}

#[test]
fn the_command_line_knows_nothing_of_lifecycle_but_the_sweep_file() {
    let elsewhere = Regex::new(r"\bsweep_lifecycle::(\w+)").expect("it compiles");
    for (path, code) in sources("src") {
        for found in elsewhere.captures_iter(&code) {
            assert_eq!(&found[1], "spec", "{}: {}", path.display(), &found[0]);
        }
    }
}

#[test]
fn lifecycle_never_searches() {
    let search = Regex::new(r"\bsuggest::suggest\b|\bsweep_search::(sampler|gp|acquisition)\b").expect("it compiles");
    for (path, code) in sources("controller/lifecycle/src") {
        assert!(!search.is_match(&code), "{}: lifecycle decides, the planner searches", path.display());
    }
}

#[test]
fn modules_form_no_circles() {
    for (name, folder, _) in CRATES {
        let edges = module_edges(&sources(&format!("{folder}/src")), &root().join(folder).join("src"));
        if let Some(circle) = circle(&edges) {
            panic!("{name}: modules import in a circle: {}", circle.join(" → "));
        }
    }
}

#[test]
fn circles_are_found() {
    let file = |path: &str, code: &str| (PathBuf::from("src").join(path), without_tests(code));
    let files = [
        file("a.rs", "use crate::b::X;\n#[cfg(test)]\nmod tests { use crate::d::Y; }"),
        file("b/mod.rs", "use super::c::{self, Z};\n// use crate::a::Commented;"),
        file("c/deep/leaf.rs", "use crate::{\n    d,\n    e::F,\n};\nfn f() { super::super::super::a::g() }"),
        file("d.rs", ""),
        file("e.rs", "use super::d;"),
    ];
    let edges = module_edges(&files, Path::new("src"));
    assert_eq!(edges["a"], ["b"].map(str::to_owned).into());
    assert_eq!(edges["b"], ["c"].map(str::to_owned).into());
    assert_eq!(edges["c"], ["a", "d", "e"].map(str::to_owned).into());
    assert_eq!(circle(&edges), Some(["a", "b", "c", "a"].map(str::to_owned).to_vec()));
    assert_eq!(circle(&module_edges(&files[1..], Path::new("src"))), None);
}

#[test]
fn no_module_is_a_drawer() {
    let inline = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?mod (\w+)").expect("it compiles");
    for folder in CRATES.iter().map(|(_, folder, _)| format!("{folder}/src")).chain(["tests".to_owned()]) {
        for path in files(&root().join(&folder)).into_iter().filter(|path| is_rust(path)) {
            let parts = path.strip_prefix(root()).expect("it lies under the root").with_extension("");
            let code = read(&path);
            let names =
                parts.iter().filter_map(|part| part.to_str()).chain(inline.captures_iter(&code).map(|found| found.extract::<1>().1[0]));
            for name in names {
                assert!(!DRAWERS.contains(&name), "{}: a module called {name} says nothing", path.display());
            }
        }
    }
}

#[test]
fn every_example_is_run() {
    let ci = read(&root().join(".ci/run"));
    let mut count = 0;
    for entry in fs::read_dir(root().join("examples")).expect("there are examples") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("its name is plain").to_owned();
        assert!(path.join("sweep.yaml").is_file(), "examples/{name} has a sweep.yaml");
        assert!(ci.contains(&format!("examples/{name}/")), "examples/{name} is run by .ci/run");
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn no_test_file_is_forgotten() {
    let main = read(&root().join("tests/it/main.rs"));
    for entry in fs::read_dir(root().join("tests/it")).expect("this file is in it") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("its name is plain").to_owned();
        if name != "main" && (is_rust(&path) || path.join("mod.rs").is_file()) {
            assert!(main.lines().any(|line| line == format!("mod {name};")), "tests/it/main.rs has no `mod {name};`");
        }
    }
}

#[test]
fn the_changelog_has_a_place_for_the_next_change() {
    assert!(read(&root().join("CHANGELOG.md")).contains("\n## [Unreleased]\n"));
}

#[test]
fn no_file_names_the_folder_it_was_written_in() {
    let here = root().to_str().expect("its name is plain").to_owned();
    for path in files(&root()) {
        // Pictures and the like are no text.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        assert!(!text.contains(&here), "{} works on this machine only", path.display());
    }
}

/// Returns the edges between top-level modules, from `crate::…` and `super::…` paths.
fn module_edges(sources: &[(PathBuf, String)], folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let module_path = |path: &Path| {
        let inner = path.strip_prefix(folder).expect("it is in the folder").with_extension("");
        let mut parts: Vec<String> = inner.iter().filter_map(|part| part.to_str()).map(str::to_owned).collect();
        parts.pop_if(|last| last == "mod");
        parts
    };
    let paths: Vec<Vec<String>> = sources.iter().map(|(path, _)| module_path(path)).collect();
    let tops: BTreeSet<&String> = paths.iter().filter_map(|parts| parts.first()).filter(|top| *top != "main" && *top != "lib").collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (parts, (_, code)) in paths.iter().zip(sources) {
        let Some(from) = parts.first().filter(|top| tops.contains(top)) else { continue };
        let to = imported(code, parts.len()).into_iter().filter(|to| to != from && tops.contains(to));
        edges.entry(from.clone()).or_default().extend(to);
    }
    edges
}

/// Returns what a file at some depth of modules takes from the root of its crate.
fn imported(code: &str, depth: usize) -> Vec<String> {
    let start = Regex::new(&format!(r"\bcrate::|\b(?:super::){{{depth}}}")).expect("it compiles");
    let first = Regex::new(r"^\s*(?:r#)?(\w+)").expect("it compiles");
    let mut names = Vec::new();
    for found in start.find_iter(code) {
        let rest = &code[found.end()..];
        let parts = if rest.starts_with('{') { group_members(rest) } else { vec![rest] };
        names.extend(parts.into_iter().filter_map(|part| Some(first.captures(part)?[1].to_owned())));
    }
    names
}

/// Splits `{a, b::{c, d}}…` into `a` and ` b::{c, d}`.
fn group_members(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 1, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || depth == 0 {
            members.push(&text[start..at]);
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members
}

/// Returns a circle, if there is one.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(node: &str, edges: &BTreeMap<String, BTreeSet<String>>, path: &mut Vec<String>, done: &mut BTreeSet<String>) -> bool {
        if done.contains(node) {
            return false;
        }
        let seen = path.iter().position(|earlier| earlier == node);
        path.push(node.to_owned());
        if let Some(start) = seen {
            path.drain(..start);
            return true;
        }
        if edges.get(node).into_iter().flatten().any(|next| visit(next, edges, path, done)) {
            return true;
        }
        path.pop();
        done.insert(node.to_owned());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    edges.keys().any(|node| visit(node, edges, &mut path, &mut done)).then_some(path)
}

/// Returns the Rust files under a folder of the repository, without their tests and comments.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let paths = files(&root().join(folder)).into_iter().filter(|path| is_rust(path) && !path.ends_with("tests.rs"));
    let sources: Vec<(PathBuf, String)> = paths.map(|path| (path.clone(), without_tests(&read(&path)))).collect();
    assert!(!sources.is_empty(), "{folder} has no Rust files");
    sources
}

fn without_tests(code: &str) -> String {
    let tests = Regex::new(r"#\[cfg\((?:all\()?test\b[^\n]*\n?\s*(?:#[^\n]*\n\s*)*(?:pub(?:\([^)]*\))? )?mod \w+ \{").expect("it compiles");
    let code = tests.find(code).map_or(code, |found| &code[..found.start()]);
    let lines: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    lines.join("\n")
}

/// Returns what a manifest depends on, for building and for testing.
fn dependencies(manifest: &str) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"].iter().flat_map(|section| section_names(manifest, section)).collect()
}

fn section_names(manifest: &str, section: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != format!("[{section}]")).skip(1).take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty() && !name.starts_with('#'));
    names.map(str::to_owned).collect()
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns all files under a folder, but for build outputs and git's own.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("it can be listed");
        let name = entry.file_name();
        let kind = entry.file_type().expect("it can be asked");
        if kind.is_dir() && name != "target" && name != ".git" && name != "__pycache__" {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
