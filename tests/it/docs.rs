//! Checks the documentation: its table of contents, its links, the pages that are generated, and the commands that it shows.
//!
//! `UPDATE_DOCS=1 cargo test --test it docs::` writes the generated pages.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use pulldown_cmark::{Event, Options, Parser};
use regex::Regex;

mod markdown;
mod reference;

use self::markdown::{Block, anchors, blocks, links, sweep_arguments};
use self::reference::GENERATED;
use crate::harness::{Bench, by, finish, requires};

/// The id that pages show in commands; in guides it is the id of a sweep that has ended.
const SHOWN_ID: &str = "k3x9q2ab";
/// The longest line of prose.
const WIDTH_MAX: usize = 120;
/// The sweep that the commands of guides are about: with fewer results there is no model to plot.
const SWEEP: &str = r#"
name: guide
method: random
seed: 1
run_cap: 12
metric: {name: val_loss, goal: minimize}
command: [sh, train.sh]
parameters:
  lr: {distribution: log_uniform_values, min: 1e-4, max: 1.0}
  dropout: {min: 0.0, max: 0.5}
  optimizer: {values: [adam, sgd]}
"#;
/// Its program: run 3 fails.
const TRAIN: &str = r#"if [ "$SWEEP_RUN" = 3 ]; then echo "RuntimeError: no data" >&2; exit 1; fi
for epoch in 1 2 3; do
  awk -v lr="$SWEEP_PARAM_LR" -v dropout="$SWEEP_PARAM_DROPOUT" -v epoch=$epoch \
    'BEGIN { printf "{\"step\": %d, \"val_loss\": %f}\n", epoch, (log(lr) + 4) ^ 2 / 10 + dropout / 10 + 0.1 / epoch }'
done"#;

impl Block {
    fn is_commands(&self) -> bool {
        matches!(self.info.split(' ').next(), Some("console" | "sh" | "bash"))
    }

    fn is_run(&self) -> bool {
        self.is_commands() && !self.info.ends_with(" norun")
    }

    /// Returns the commands, each on one line with its continuations: of `console` those behind a prompt, of `sh` and `bash` all lines.
    fn commands(&self) -> Vec<String> {
        let is_script = !self.info.starts_with("console");
        let mut commands: Vec<String> = Vec::new();
        let mut is_continued = false;
        for line in self.text.lines() {
            let command = line
                .strip_prefix("$ ")
                .or_else(|| is_script.then_some(line));
            match (command, commands.last_mut()) {
                (_, Some(last)) if is_continued => {
                    write!(last, " {}", line.trim().trim_end_matches('\\'))
                        .expect("a string takes all");
                }
                (Some(command), _) => commands.push(command.trim_end_matches('\\').to_owned()),
                (None, _) => continue,
            }
            is_continued = line.ends_with('\\');
        }
        commands
    }

    /// Returns the name of the file that the block shows: its first line is `# name.extension`.
    fn file(&self) -> Option<&str> {
        let name = self.text.lines().next()?.strip_prefix("# ")?;
        (!self.is_commands() && name.contains('.') && !name.contains([' ', '/'])).then_some(name)
    }
}

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let summary = read("docs/SUMMARY.md");
    let listed: Vec<String> = links(&summary)
        .into_iter()
        .map(|link| format!("docs/{link}"))
        .collect();
    let unique: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(
        unique.len(),
        listed.len(),
        "docs/SUMMARY.md lists a page twice"
    );
    let pages: BTreeSet<String> = pages()
        .into_iter()
        .filter(|page| page != "docs/SUMMARY.md")
        .collect();
    assert_eq!(
        pages,
        listed.into_iter().collect(),
        "docs/SUMMARY.md lists all pages"
    );
}

#[test]
fn links_and_anchors_resolve() {
    let mut files = pages();
    files.extend(
        [
            "README.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "examples/code-change/README.md",
        ]
        .map(str::to_owned),
    );
    let mut broken = Vec::new();
    for file in &files {
        for link in links(&read(file)) {
            if !link.contains("://") && !link.starts_with("mailto:") && !resolves(file, &link) {
                broken.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn pages_hold_no_html_but_comments() {
    for page in pages() {
        for event in Parser::new_ext(&read(&page), Options::ENABLE_TABLES) {
            if let Event::Html(html) | Event::InlineHtml(html) = event {
                assert!(
                    html.trim_start().starts_with("<!--"),
                    "{page}: {html} is taken for HTML"
                );
            }
        }
    }
}

#[test]
fn pages_that_sources_name_exist() {
    let named = Regex::new(r"\bdocs/[\w/.-]+\.(?:md|json)(?:#[\w-]+)?").expect("it compiles");
    let mut broken = Vec::new();
    for folder in [
        "src",
        "agent",
        "benches",
        "code",
        "controller",
        "examples",
        "proto",
        "search",
        "tests",
        "justfile",
        ".ci",
    ] {
        for path in files_below(folder) {
            let Ok(text) = fs::read_to_string(root().join(&path)) else {
                continue;
            };
            let missing = named
                .find_iter(&text)
                .filter(|found| !resolves("", found.as_str()));
            broken.extend(missing.map(|found| format!("{path}: {}", found.as_str())));
        }
    }
    assert!(broken.is_empty(), "no such page:\n{}", broken.join("\n"));
}

#[test]
fn files_that_pages_name_exist() {
    let named = Regex::new(
        r"`((?:agent|benches|code|controller|examples|fuzz|proto|search|src|tests|docs)/[\w/.-]+)`",
    )
    .expect("it compiles");
    let mut missing = Vec::new();
    for page in
        pages()
            .iter()
            .map(String::as_str)
            .chain(["README.md", "CONTRIBUTING.md", "SECURITY.md"])
    {
        let text = read(page);
        let paths = named.captures_iter(&text).map(|found| found[1].to_owned());
        missing.extend(
            paths
                .filter(|path| !root().join(path).exists())
                .map(|path| format!("{page}: {path}")),
        );
    }
    assert!(missing.is_empty(), "no such file:\n{}", missing.join("\n"));
}

#[test]
fn prose_is_wrapped_and_the_readme_is_short() {
    assert!(
        read("README.md").lines().count() <= 120,
        "README.md has at most 120 lines"
    );
    let written = pages()
        .into_iter()
        .filter(|page| !GENERATED.contains(&page.as_str()));
    for page in written.chain(["README.md", "CONTRIBUTING.md"].map(str::to_owned)) {
        let mut is_code = false;
        for (number, line) in (1..).zip(read(&page).lines()) {
            is_code ^= line.trim_start().starts_with("```");
            let is_prose = !is_code
                && !line.trim_start().starts_with(['|', '#'])
                && line.trim_start().contains(' ');
            assert!(
                !is_prose || line.chars().count() <= WIDTH_MAX,
                "{page}:{number} is longer than {WIDTH_MAX} characters"
            );
        }
    }
}

#[test]
fn commands_that_are_not_run_say_why() {
    for page in pages()
        .into_iter()
        .filter(|page| is_in(page, "start") || is_in(page, "guides"))
    {
        for block in blocks(&read(&page)) {
            let says_why = block.comment.starts_with("<!-- norun: ");
            assert_eq!(
                block.is_commands() && !block.is_run(),
                says_why,
                "{page}: `<!-- norun: why -->` stands before a block that is not run: {block:?}"
            );
        }
    }
}

#[test]
fn references_list_all_metrics_and_variables() {
    let metrics = Regex::new(r#""(sweep_\w+)""#).expect("it compiles");
    let page = read("docs/reference/metrics.md");
    let code = read("controller/src/web/metrics.rs");
    let names: Vec<_> = metrics
        .captures_iter(&code)
        .map(|found| found[1].to_owned())
        .collect();
    assert!(names.len() >= 10, "the names are found: {names:?}");
    for name in names {
        // The format adds an ending to the names of counters and of information.
        let is_listed = ["", "_total", "_info"]
            .iter()
            .any(|ending| page.contains(&format!("`{name}{ending}`")));
        assert!(is_listed, "docs/reference/metrics.md has no {name}");
    }
    let variables = Regex::new(r#"(?:env = |set\()"([A-Z_]+)""#).expect("it compiles");
    let page = read("docs/reference/environment-variables.md");
    for path in files_below("src")
        .into_iter()
        .chain(["agent/src/argv/environment.rs".to_owned()])
    {
        let Ok(code) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        for found in variables.captures_iter(&code) {
            assert!(
                page.contains(&format!("`{}`", &found[1])),
                "docs/reference/environment-variables.md has no {}: {path}",
                &found[1]
            );
        }
    }
}

#[test]
fn commands_in_pages_are_valid() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    let mut checked = BTreeSet::new();
    for page in pages()
        .iter()
        .map(String::as_str)
        .chain(["README.md", "CONTRIBUTING.md"])
    {
        for command in blocks(&read(page))
            .iter()
            .filter(|block| block.is_commands())
            .flat_map(Block::commands)
        {
            for arguments in sweep_arguments(&command) {
                if !checked.insert(arguments.clone()) {
                    continue;
                }
                // The parser refuses what it does not know before it comes to `--help`.
                let arguments: Vec<&str> = arguments
                    .iter()
                    .map(String::as_str)
                    .chain(["--help"])
                    .collect();
                let ended = bench.run(&arguments);
                if ended.code != 0 {
                    wrong.push(format!("{page}: {command}\n{}", ended.stderr));
                }
            }
        }
    }
    assert!(checked.len() > 50, "commands are found: {checked:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_start_pages_work() {
    if !requires("python", is_python_here(), "no python or python3") {
        return;
    }
    for page in pages().into_iter().filter(|page| is_in(page, "start")) {
        execute(&Bench::new(), &page, SHOWN_ID);
    }
}

#[test]
fn the_guides_work() {
    let pages: Vec<String> = pages()
        .into_iter()
        .filter(|page| is_in(page, "guides"))
        .collect();
    std::thread::scope(|scope| {
        for some in pages.chunks(pages.len().div_ceil(2)) {
            scope.spawn(move || some.iter().for_each(|page| execute_guide(page)));
        }
    });
}

/// Executes the commands of a guide, in which the sweep that is shown is one that has ended.
fn execute_guide(page: &str) {
    if !blocks(&read(page)).iter().any(Block::is_run) {
        return;
    }
    let bench = Bench::new();
    let _controller = bench.controller();
    fs::create_dir_all(bench.path("project")).expect("the temporary folder can be written");
    bench.write("project/sweep.yaml", SWEEP);
    bench.write("project/train.sh", TRAIN);
    let mut create = bench.sweep(&["create", "sweep.yaml"]);
    create.current_dir(bench.path("project"));
    let id = finish(create).stdout.trim().to_owned();
    let mut agent = bench.sweep(&["agent", &id, "--slots", "2"]);
    agent.current_dir(bench.path("project"));
    let ended = finish(agent);
    assert_eq!(ended.code, 0, "{ended:?}");
    execute(&bench, page, &id);
}

/// Writes the files that a page shows and executes its commands, in the order of the page, until one fails. The id replaces the one that is shown.
fn execute(bench: &Bench, page: &str, id: &str) {
    let mut script = String::new();
    for block in blocks(&read(page)) {
        if let Some(name) = block.file() {
            writeln!(
                script,
                "cat > {name} <<'END OF FILE'\n{}\nEND OF FILE",
                block.text
            )
            .expect("a string takes all");
        } else if block.is_run() {
            script.extend(block.commands().into_iter().map(|command| command + "\n"));
        }
    }
    let script = script.replace(SHOWN_ID, id);
    for folder in ["project", "bin"] {
        fs::create_dir_all(bench.path(folder)).expect("the temporary folder can be written");
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sweep"), bench.path("bin/sweep"))
        .expect("the temporary folder can be written");
    let mut shell = Command::new("bash");
    shell.args(["-e", "-x", "-o", "pipefail", "-c", &script]);
    let mut shell = by(shell, &bench.sweep(&[]));
    let path = format!(
        "{}:{}",
        bench.path("bin").display(),
        std::env::var("PATH").expect("there is a path")
    );
    shell
        .current_dir(bench.path("project"))
        .env("PATH", path)
        .env("SWEEP_LISTEN", format!("127.0.0.1:{}", bench.port()));
    let ended = finish(shell);
    assert_eq!(ended.code, 0, "{page}: {}\n{}", ended.stdout, ended.stderr);
}

fn is_python_here() -> bool {
    let is_here = |name: &&str| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok()
    };
    ["python", "python3"].iter().any(is_here)
}

/// Returns whether a link of a file leads to a file and an anchor that exist.
fn resolves(file: &str, link: &str) -> bool {
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() {
        PathBuf::from(file)
    } else {
        Path::new(file).parent().unwrap_or(Path::new("")).join(path)
    };
    let mut plain = PathBuf::new();
    for part in target.components() {
        match part {
            Component::ParentDir => {
                if !plain.pop() {
                    return false;
                }
            }
            part => plain.push(part),
        }
    }
    let plain = root().join(plain);
    let is_page = plain.extension().is_some_and(|extension| extension == "md");
    plain.exists()
        && anchor.is_none_or(|anchor| {
            is_page && anchors(&fs::read_to_string(&plain).unwrap_or_default()).contains(anchor)
        })
}

/// Returns all pages, the table of contents included, from the root of the repository.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> = files_below("docs")
        .into_iter()
        .filter(|path| path.ends_with(".md"))
        .collect();
    pages.sort();
    assert!(!pages.is_empty(), "there are pages");
    pages
}

fn is_in(page: &str, part: &str) -> bool {
    page.starts_with(&format!("docs/{part}/"))
}

/// Returns the files below a folder of the repository, or the file itself.
pub(crate) fn files_below(folder: &str) -> Vec<String> {
    let path = root().join(folder);
    if path.is_file() {
        return vec![folder.to_owned()];
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&path).unwrap_or_else(|error| panic!("{folder}: {error}")) {
        let name = entry.expect("it can be listed").file_name();
        let name = name.to_str().expect("its name is plain");
        if name != "target" && !name.starts_with("__") {
            found.extend(files_below(&format!("{folder}/{name}")));
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
