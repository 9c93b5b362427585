//! The manifests: which crate may depend on which, what pure crates must not have, features.

use std::collections::BTreeSet;
use std::process::Command;

use regex::Regex;

use super::{read, root};
use crate::harness::finish;

/// Each crate, its folder, and the crates of ours that it may depend on.
pub(super) const CRATES: [(&str, &str, &[&str]); 10] = [
    // `sweep-lifecycle` for `spec` alone: `sweep check` needs no server.
    (
        "sweep",
        ".",
        &[
            "sweep-access",
            "sweep-agent",
            "sweep-code",
            "sweep-controller",
            "sweep-lifecycle",
            "sweep-proto",
        ],
    ),
    (
        "sweep-controller",
        "controller",
        &[
            "sweep-access",
            "sweep-code",
            "sweep-lifecycle",
            "sweep-proto",
            "sweep-search",
        ],
    ),
    ("sweep-agent", "agent", &["sweep-code", "sweep-proto"]),
    ("sweep-code", "code", &[]),
    ("sweep-access", "controller/access", &[]),
    ("sweep-lifecycle", "controller/lifecycle", &["sweep-search"]),
    ("sweep-search", "search", &[]),
    ("sweep-proto", "proto", &[]),
    ("wine", "examples/wine", &[]),
    (
        "sweep-simulation",
        "tests/simulation",
        &[
            "sweep-agent",
            "sweep-controller",
            "sweep-lifecycle",
            "sweep-proto",
        ],
    ),
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

#[test]
fn crates_depend_on_each_other_as_drawn() {
    let names: BTreeSet<&str> = CRATES.iter().map(|(name, ..)| *name).collect();
    for (name, folder, allowed) in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let ours: Vec<String> = dependencies(&manifest)
            .into_iter()
            .filter(|dependency| names.contains(dependency.as_str()))
            .collect();
        for dependency in ours {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} may not depend on {dependency}"
            );
        }
    }
}

#[test]
fn every_member_is_tested_and_linted() {
    let manifest = read(&root().join("Cargo.toml"));
    let list = |key: &str| {
        let line = manifest
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .expect(key);
        line.split('"')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let drawn: BTreeSet<String> = CRATES
        .iter()
        .map(|(_, folder, _)| (*folder).to_owned())
        .collect();
    assert_eq!(list("members"), drawn, "the drawing above has all members");
    let mut tested = list("default-members");
    tested.insert(SIMULATION.to_owned());
    assert_eq!(
        list("members"),
        tested,
        "`cargo test` at the root tests all members but the simulation"
    );
    assert!(
        read(&root().join(".ci/run")).contains("cargo test -p sweep-simulation"),
        "CI tests the simulation by itself"
    );
    // All of sweep-proto is generated.
    for (name, folder, _) in CRATES
        .into_iter()
        .filter(|(name, ..)| *name != "sweep-proto")
    {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} has the lints of the workspace"
        );
    }
}

#[test]
fn what_people_build_has_no_feature_simulation() {
    let enabled = Regex::new(r#"features *= *\[[^\]]*"simulation""#).expect("it compiles");
    for (name, folder, _) in CRATES {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let is_simulation = folder == SIMULATION;
        assert_eq!(
            enabled.is_match(&manifest),
            is_simulation,
            "{name}: the simulation alone enables the feature `simulation`"
        );
        assert!(
            is_simulation || !dependencies(&manifest).contains(&"sweep-simulation".to_owned()),
            "{name} may not need the simulation"
        );
        assert!(
            folder == "." || !manifest.lines().any(|line| line.starts_with("default = ")),
            "{name}: no feature is on by default"
        );
    }
    let members = read(&root().join("Cargo.toml"));
    let default_members = members
        .lines()
        .find(|line| line.starts_with("default-members"))
        .expect("the manifest has them");
    assert!(
        !default_members.contains(SIMULATION),
        "with the simulation, `cargo build` at the root would enable its feature everywhere"
    );
}

#[test]
fn pure_crates_stay_pure() {
    for folder in ["search", "controller/lifecycle"] {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        for dependency in section_names(&manifest, "dependencies") {
            assert!(
                !IMPURE.contains(&dependency.as_str()),
                "{folder} is pure: it may not depend on {dependency}"
            );
        }
        let bans = read(&root().join(folder).join("clippy.toml"));
        for ban in [
            "std::time::Instant::now",
            "std::time::SystemTime::now",
            "std::env::var",
            "std::fs::read",
            "std::collections::HashMap",
        ] {
            assert!(
                bans.contains(&format!("\"{ban}\"")),
                "{folder}/clippy.toml bans {ban}"
            );
        }
    }
}

/// Crates that the build of an agent leaves out: they take most of the time and of the size.
const FULL_BUILD_ALONE: [&str; 9] = [
    "crossterm",
    "faer",
    "maud",
    "quick-junit",
    "ratatui",
    "resvg",
    "rusqlite",
    "sweep-controller",
    "sweep-search",
];

#[test]
fn the_build_of_an_agent_is_lean() {
    let built = |flags: &[&str]| {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--locked", "--offline", "--package", "sweep"])
            .args([
                "--edges",
                "normal,build",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .args(flags)
            .current_dir(root());
        let tree = finish(tree);
        assert_eq!(tree.code, 0, "{}", tree.stderr);
        let names = tree
            .stdout
            .lines()
            .filter_map(|line| line.split(' ').next());
        names.map(str::to_owned).collect::<BTreeSet<String>>()
    };
    let agent = built(&["--no-default-features", "--features", "agent"]);
    let full = built(&[]);
    for name in FULL_BUILD_ALONE {
        assert!(full.contains(name), "nothing needs {name} any more");
        assert!(!agent.contains(name), "the build of an agent needs {name}");
    }
    let limit = full.len() * 2 / 3;
    assert!(
        agent.len() <= limit,
        "the build of an agent has {} crates, at most {limit} are wanted",
        agent.len()
    );
    assert!(
        full.iter().chain(&agent).all(|name| name != "plotly"),
        "plotly.js is vendored: the crate builds for a minute and is not used"
    );
}

/// Returns what a manifest depends on, for building and for testing.
fn dependencies(manifest: &str) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .flat_map(|section| section_names(manifest, section))
        .collect()
}

fn section_names(manifest: &str, section: &str) -> Vec<String> {
    let lines = manifest
        .lines()
        .skip_while(|line| *line != format!("[{section}]"))
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let names = lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'));
    names.map(str::to_owned).collect()
}
