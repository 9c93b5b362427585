//! Checks the code against `docs/explanation/architecture.md`: dependencies between crates, import cycles, the order of modules, names that say nothing.

mod imports;
mod manifests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use self::manifests::CRATES;

/// Names that say nothing about what is inside.
const DRAWERS: [&str; 9] = [
    "common", "helper", "helpers", "imp", "misc", "shared", "types", "util", "utils",
];

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
    let search = Regex::new(r"\bsuggest::suggest\b|\bsweep_search::(sampler|gp|acquisition)\b")
        .expect("it compiles");
    for (path, code) in sources("controller/lifecycle/src") {
        assert!(
            !search.is_match(&code),
            "{}: lifecycle decides, the planner searches",
            path.display()
        );
    }
}

#[test]
fn files_form_no_cycles() {
    for (name, folder, _) in CRATES {
        let edges = crate_edges(folder);
        let edges = edges
            .into_iter()
            .map(|(from, to)| (text(&from), to.iter().map(|to| text(to)).collect()))
            .collect();
        if let Some(cycle) = cycle(&edges) {
            panic!("{name}: files import in a cycle: {}", cycle.join(" → "));
        }
    }
}

/// The lib.rs or main.rs of each crate with several modules states the order, from those that import to those that are imported.
#[test]
fn modules_import_in_the_stated_order() {
    let order = Regex::new(r"Modules import rightwards only: `([^`]+)`").expect("it compiles");
    for (name, folder, _) in CRATES {
        let edges = imports::top_level(&crate_edges(folder));
        if edges.len() < 2 {
            continue;
        }
        let root = ["lib.rs", "main.rs"]
            .map(|file| root().join(folder).join("src").join(file))
            .into_iter()
            .find(|path| path.is_file());
        let code = read(&root.expect("a crate has one of them"));
        let doc: Vec<&str> = code
            .lines()
            .filter_map(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .collect();
        let doc = doc.join(" ");
        let stated = order
            .captures(&doc)
            .unwrap_or_else(|| panic!("{name}: its first lines state no order of the modules"));
        let layers: Vec<Vec<&str>> = stated[1]
            .split('→')
            .map(|layer| layer.split(',').map(str::trim).collect())
            .collect();
        let layer = |module: &str| layers.iter().position(|layer| layer.contains(&module));
        for (from, targets) in &edges {
            let Some(left) = layer(from) else {
                panic!("{name}: the stated order lacks `{from}`")
            };
            for to in targets {
                assert!(
                    layer(to).is_some_and(|right| left < right),
                    "{name}: `{from}` imports `{to}`, and the stated order is {layers:?}"
                );
            }
        }
        let count = layers.iter().map(Vec::len).sum::<usize>();
        assert_eq!(
            count,
            edges.len(),
            "{name}: the stated order has each module once, and no others"
        );
    }
}

#[test]
fn cycles_are_found() {
    let file = |path: &str, code: &str| (PathBuf::from("src").join(path), code.to_owned());
    let files = [
        file("lib.rs", "mod a; mod b; pub use crate::b::deep::Leaf;"),
        file(
            "a.rs",
            "#[cfg(test)]\nmod tests { use crate::c::Y; }\nuse crate::b::X;\nfn f() -> &'static str { \"crate::c::Z\" }",
        ),
        file(
            "b/mod.rs",
            "mod deep;\npub use self::deep::Leaf;\npub struct X; // crate::c::Commented",
        ),
        file(
            "b/deep.rs",
            "use crate::{\n    c,\n    d::{self, F},\n};\nfn g() { c::g(); inner::h(super::X) }\nmod inner { use super::local; }",
        ),
        file(
            "c.rs",
            "#[cfg(test)]\nmod tests;\nfn g() -> crate::Leaf { crate::b::Leaf }",
        ),
        file("c/tests.rs", "use crate::a::f;"),
        file("d.rs", ""),
    ];
    let edges = imports::edges(&files, Path::new("src"));
    let of = |module: &str| {
        edges[&module.split("::").map(str::to_owned).collect::<Vec<_>>()]
            .iter()
            .map(|to| text(to))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("a"), ["b"]);
    assert_eq!(of("b"), [""; 0], "it re-exports and does not use");
    assert_eq!(
        of("b::deep"),
        ["b", "c", "d"],
        "`super` in an inline module is the file"
    );
    assert_eq!(
        of("c"),
        ["b::deep"],
        "an item belongs to the file that defines it"
    );
    assert!(!edges.contains_key(&["c".to_owned(), "tests".to_owned()][..]));
    let edges = edges
        .iter()
        .map(|(from, to)| (text(from), to.iter().map(|to| text(to)).collect()))
        .collect();
    assert_eq!(
        cycle(&edges),
        Some(["b::deep", "c", "b::deep"].map(str::to_owned).to_vec())
    );
    assert_eq!(
        imports::top_level(&imports::edges(&files[1..4], Path::new("src")))["a"],
        ["b".to_owned()].into()
    );
}

#[test]
fn no_module_is_a_drawer() {
    let inline = Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?mod (\w+)").expect("it compiles");
    for folder in CRATES
        .iter()
        .map(|(_, folder, _)| format!("{folder}/src"))
        .chain(["tests".to_owned()])
    {
        for path in files(&root().join(&folder))
            .into_iter()
            .filter(|path| is_rust(path))
        {
            let parts = path
                .strip_prefix(root())
                .expect("it lies under the root")
                .with_extension("");
            let code = read(&path);
            let names = parts.iter().filter_map(|part| part.to_str()).chain(
                inline
                    .captures_iter(&code)
                    .map(|found| found.extract::<1>().1[0]),
            );
            for name in names {
                assert!(
                    !DRAWERS.contains(&name),
                    "{}: a module called {name} says nothing",
                    path.display()
                );
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
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("its name is plain")
            .to_owned();
        assert!(
            path.join("sweep.yaml").is_file(),
            "examples/{name} has a sweep.yaml"
        );
        assert!(
            ci.contains(&format!("examples/{name}/")),
            "examples/{name} is run by .ci/run"
        );
        count += 1;
    }
    assert!(count >= 2);
}

#[test]
fn no_test_file_is_forgotten() {
    let main = read(&root().join("tests/it/main.rs"));
    for entry in fs::read_dir(root().join("tests/it")).expect("this file is in it") {
        let path = entry.expect("it can be listed").path();
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .expect("its name is plain")
            .to_owned();
        if name != "main" && (is_rust(&path) || path.join("mod.rs").is_file()) {
            assert!(
                main.lines().any(|line| line == format!("mod {name};")),
                "tests/it/main.rs has no `mod {name};`"
            );
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
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        assert!(
            !text.contains(&here),
            "{} works on this machine only",
            path.display()
        );
    }
}

/// Returns the imports between the files of a crate.
fn crate_edges(folder: &str) -> imports::Edges {
    let folder = root().join(folder).join("src");
    let sources: Vec<_> = files(&folder)
        .into_iter()
        .filter(|path| is_rust(path))
        .map(|path| (path.clone(), read(&path)))
        .collect();
    imports::edges(&sources, &folder)
}

fn text(module: &[String]) -> String {
    if module.is_empty() {
        "the crate's root".to_owned()
    } else {
        module.join("::")
    }
}

/// Returns a cycle, if there is one.
fn cycle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn visit(
        node: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if done.contains(node) {
            return false;
        }
        let seen = path.iter().position(|earlier| earlier == node);
        path.push(node.to_owned());
        if let Some(start) = seen {
            path.drain(..start);
            return true;
        }
        if edges
            .get(node)
            .into_iter()
            .flatten()
            .any(|next| visit(next, edges, path, done))
        {
            return true;
        }
        path.pop();
        done.insert(node.to_owned());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    edges
        .keys()
        .any(|node| visit(node, edges, &mut path, &mut done))
        .then_some(path)
}

/// Returns the Rust files under a folder of the repository, without their tests and comments.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let paths = files(&root().join(folder))
        .into_iter()
        .filter(|path| is_rust(path) && !path.ends_with("tests.rs"));
    let sources: Vec<(PathBuf, String)> = paths
        .map(|path| (path.clone(), without_tests(&read(&path))))
        .collect();
    assert!(!sources.is_empty(), "{folder} has no Rust files");
    sources
}

fn without_tests(code: &str) -> String {
    let tests = Regex::new(
        r"#\[cfg\((?:all\()?test\b[^\n]*\n?\s*(?:#[^\n]*\n\s*)*(?:pub(?:\([^)]*\))? )?mod \w+ \{",
    )
    .expect("it compiles");
    let code = tests
        .find(code)
        .map_or(code, |found| &code[..found.start()]);
    let lines: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    lines.join("\n")
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
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
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
