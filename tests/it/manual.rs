//! Manual pages: each command has one, and readers of manual pages accept them.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, finish, requires};

#[test]
fn every_command_has_a_manual_page() {
    let bench = Bench::new();
    let folder = bench.path("man1");
    bench.ok(&["man", "--output", &folder.display().to_string()]);
    let overview = bench.ok(&["help"]);
    let commands: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 20, "{overview}");
    for name in commands {
        let page = fs::read_to_string(folder.join(format!("sweep-{name}.1")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
        assert_eq!(page, bench.ok(&["man", name]), "{name}");
    }
    let nested = fs::read_to_string(folder.join("sweep-controller-start.1")).expect("a page");
    assert_eq!(nested, bench.ok(&["man", "controller", "start"]));
}

#[test]
fn lines_of_examples_stay_apart() {
    let page = Bench::new().ok(&["man", "completions"]);
    assert!(
        page.contains(".SH EXAMPLES\n.nf\n  sweep completions bash > "),
        "{page}"
    );
    assert!(
        page.contains("\n  sweep completions zsh > \\(ti/.zfunc/_sweep\n"),
        "{page}"
    );
}

#[test]
fn a_page_of_no_command_is_refused() {
    let ended = Bench::new().run(&["man", "controller", "begin"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("no command `controller begin`"),
        "{ended:?}"
    );
}

#[test]
fn readers_accept_the_pages() {
    let is_here = Command::new("mandoc")
        .arg("-T")
        .arg("lint")
        .stdin(std::process::Stdio::null())
        .output()
        .is_ok();
    if !requires("mandoc", is_here, "no mandoc") {
        return;
    }
    let bench = Bench::new();
    let folder = bench.path("man1");
    bench.ok(&["man", "--output", &folder.display().to_string()]);
    for page in fs::read_dir(&folder).expect("the pages") {
        let mut lint = Command::new("mandoc");
        // Below an error are remarks on style, which the crate that writes the pages has to answer.
        lint.args(["-T", "lint", "-W", "error"])
            .arg(page.expect("a page").path());
        let ended = finish(lint);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}
