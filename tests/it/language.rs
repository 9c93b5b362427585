//! Checks the language of everything that people read: documentation, help texts, messages, comments, the page, and names of types.

use std::collections::BTreeMap;
use std::path::Path;

use regex::{Regex, RegexBuilder};

use crate::docs::{files_below, read};

/// Words and phrases that are not used, and what to write instead. Upper and lower case are equal.
const BANNED: [(&str, &str); 27] = [
    (r"\b(?:came|comes?|became|becomes?) of\b", "outcome, result"),
    (r"\b(?:came|comes?) out\b", "outcome, result, is worse"),
    (
        r"\bwhom\b",
        "name the thing: attribution, holder, recipient",
    ),
    (r"\bblam\w+ nobody\b", "attribution: external"),
    (r"\bnobody (?:knows|has said)\b", "unknown"),
    (r"\bheed", "use"),
    (r"\b(?:takes?|taken|took) note\b", "record"),
    (
        r"\b(?:knows?|knew|known) of\b",
        "facts about, description of, see, use",
    ),
    (r"\b(?:lies?|lay) (?:ready|in)\b", "is ready, is stored in"),
    (r"\bsets? aside\b|\bsetting aside\b", "quarantine"),
    (r"\blets? back\b", "readmit"),
    (r"\b(?:looking on|going on)\b", "monitoring; name the state"),
    (r"\bthe one to go on with\b", "recommended run"),
    (
        r"\b(?:by|from) a person\b|\ba person (?:said|says|asked|asks|wants|wanted|did|does)\b",
        "by user, manually, at the user's request",
    ),
    (r"\bsearch believes\b", "surrogate model"),
    (r"\bwhat if\b", "constraint explorer"),
    (r"\bwhat matters\b", "parameter importance"),
    (
        r"\b(?:curious|curiosity|restless|shy)\b",
        "exploration weight, or the literature's term",
    ),
    (r"\bdoubt in the mean\b", "mean inflation"),
    (r"\banew\b", "again; rebuild, re-evaluate, restart"),
    (
        r"\b(?:hungry|stirred|stirs|parked)\b",
        "needs suggestions, dirty, waiting",
    ),
    (
        r"\bof (?:its|their|your|our|my) own(?:$|[^\w\s])",
        "its own, separate",
    ),
    (
        r"\bso many\b|\bso much (?:more|of|nearer)\b",
        "n, a number of; name the limit",
    ),
    (
        r"\bst(?:ands?|ood|anding) (?:in|for)\b",
        "is in, means, represents",
    ),
    (
        r"\b(?:the course of|draws? courses|a course)\b",
        "history, curve",
    ),
    (
        r"\b(?:whoever|whomever|thereby|thereof|beforehand|hence|thereafter|whence|wherein|whereof|thereupon|thence)\b",
        "name the thing; first, so",
    ),
    (
        r"\bto be had\b|\b(?:if|that|what|where|which) one may\b|\bin vain\b|\bthat is no more\b",
        "is available, can be, has ended",
    ),
];
/// Beginnings of doc comments that name nothing.
const RIDDLE: &str = r"^//[/!] (?:Whom?|Whose|Whoever|Until when|Of what|Of which)\b";
/// The same, and a word that begins too many of them.
const WHAT: &str = r"^//[/!] What\b";
/// Words and phrases that are not used in the folders of [`CLEAN`], and what to write instead.
const BANNED_WHERE_CLEAN: [(&str, &str); 6] = [
    (
        r"\bwho\b",
        "which, that (of programs); users who (of people)",
    ),
    (r"\bnobody\b", "no user, no process, unknown"),
    (r"\bsays? nothing\b", "is no evidence; is silent"),
    (
        r"\b(?:is|are|was|were) to be\b",
        "must, will; name the action",
    ),
    (
        r"\bwhatever\b",
        "any, in any case, independently of, with any",
    ),
    (r"\b(?:go|goes|went) on\b", "continue, resume"),
];
/// Where these words are right: people, and the Unix user.
const RIGHT: &str = r"\b(?:authors?|everyone|people|person|those|users?) who\b|\buser nobody\b";
/// The folders, and the pages that are generated from others.
const CLEAN: [&str; 4] = ["README.md", "agent/", "docs/", "search/"];
const GENERATED: [&str; 2] = ["docs/reference/command-line.md", "docs/reference/grpc.md"];
/// Names of types that could mean anything.
const VAGUE: [&str; 13] = [
    "Asked", "Basis", "Ended", "Found", "Known", "Look", "Place", "Said", "Seen", "Stay", "Told",
    "What", "Wish",
];
/// Folders with the workspace's Rust files.
const RUST: [&str; 11] = [
    "agent",
    "benches",
    "code",
    "controller",
    "examples",
    "fuzz",
    "proto",
    "search",
    "src",
    "tests",
    "docs",
];
/// The folders of the crates' modules.
const MODULES: [&str; 7] = [
    "agent/src/",
    "code/src/",
    "controller/lifecycle/src/",
    "controller/src/",
    "proto/src/",
    "search/src/",
    "src/",
];
/// The file with the list itself.
const THIS: &str = "tests/it/language.rs";

/// A line of text that people read.
struct Line {
    file: String,
    number: usize,
    text: String,
}

#[test]
fn banned_words_are_not_used() {
    let lines = lines();
    assert!(lines.len() > 10_000, "texts are found");
    let mut wrong = Vec::new();
    let complaint = |line: &Line, instead: &str| {
        let text = line.text.trim();
        format!(
            "{}:{}: {text}\n    write: {instead}",
            line.file, line.number
        )
    };
    for (pattern, instead) in BANNED {
        let banned = insensitive(pattern);
        let hits = lines.iter().filter(|line| banned.is_match(&line.text));
        wrong.extend(hits.map(|line| complaint(line, instead)));
    }
    let right = insensitive(RIGHT);
    let is_clean = |file: &str| {
        CLEAN.iter().any(|folder| file.starts_with(folder)) && !GENERATED.contains(&file)
    };
    for (pattern, instead) in BANNED_WHERE_CLEAN {
        let banned = insensitive(pattern);
        let hits = lines.iter().filter(|line| {
            is_clean(&line.file) && banned.is_match(&right.replace_all(&line.text, ""))
        });
        wrong.extend(hits.map(|line| complaint(line, instead)));
    }
    assert!(
        wrong.is_empty(),
        "{} lines use banned words:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn doc_comments_begin_with_the_thing() {
    let (riddle, what) = (
        Regex::new(RIDDLE).expect("it compiles"),
        Regex::new(WHAT).expect("it compiles"),
    );
    let wrong: Vec<String> = lines()
        .iter()
        .filter(|line| riddle.is_match(line.text.trim()) || what.is_match(line.text.trim()))
        .map(|line| format!("{}:{}: {}", line.file, line.number, line.text.trim()))
        .collect();
    assert!(
        wrong.is_empty(),
        "these do not name the thing:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn types_of_one_word_are_unique_and_specific() {
    let declared =
        Regex::new(r"(?m)^\s*(?:pub(?:\([^)]*\))? )?(?:struct|enum|trait) ([A-Z][a-z0-9]*)\b")
            .expect("it compiles");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust_files() {
        let code = read(&file);
        let tests = code
            .find("\n#[cfg(test)]\nmod tests {")
            .unwrap_or(code.len());
        let is_module = MODULES.iter().any(|folder| file.starts_with(folder))
            && !file.ends_with("tests.rs")
            && !file.contains("/tests/");
        for found in declared.captures_iter(&code) {
            let name = &found[1];
            let number = code[..found.get(1).expect("it is in the pattern").start()]
                .lines()
                .count();
            if is_module && found.get(0).expect("it is the match").start() < tests {
                places
                    .entry(name.to_owned())
                    .or_default()
                    .push(format!("{file}:{number}"));
            }
            assert!(
                !VAGUE.contains(&name),
                "{file}:{number}: a type called {name} could mean anything"
            );
        }
    }
    assert!(places.len() > 100, "types are found");
    let twice: Vec<String> = places
        .into_iter()
        .filter(|(_, at)| at.len() > 1)
        .map(|(name, at)| format!("{name}: {}", at.join(", ")))
        .collect();
    assert!(
        twice.is_empty(),
        "several types have one name; give them specific names:\n{}",
        twice.join("\n")
    );
}

#[test]
fn prose_is_told_from_code() {
    let code = "let x = 'a'; // one\n/// two\nfn f<'a>(s: &'a str) -> char { '\"' }\nlet s = \"three \\\" four\";\nlet r = r#\"five\n\"six\"\"#;\n";
    let found: Vec<(usize, String)> = prose(code)
        .into_iter()
        .map(|(number, text)| (number, text.trim().to_owned()))
        .collect();
    let expected = [
        (1, "// one"),
        (2, "/// two"),
        (4, "three \\\" four"),
        (5, "five"),
        (6, "\"six\""),
    ];
    assert_eq!(
        found,
        expected.map(|(number, text)| (number, text.to_owned()))
    );
}

#[test]
fn patterns_find_what_they_are_for() {
    for (text, is_banned) in [
        ("What came of it.", true),
        ("a folder of its own", true),
        ("a folder of its own, and more", true),
        ("curves of its own code", false),
        ("So many points are sent.", true),
        ("set aside", true),
        ("as set by the user", false),
        ("`sweep gate` is unknown", false),
    ] {
        assert_eq!(
            BANNED
                .iter()
                .any(|(pattern, _)| insensitive(pattern).is_match(text)),
            is_banned,
            "{text}"
        );
    }
}

fn insensitive(pattern: &str) -> Regex {
    RegexBuilder::new(pattern)
        .case_insensitive(true)
        .build()
        .expect("it compiles")
}

fn has_extension(file: &str, extensions: &[&str]) -> bool {
    Path::new(file)
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extensions.contains(&extension))
}

fn rust_files() -> Vec<String> {
    let all = RUST.into_iter().flat_map(files_below);
    let rust = all
        .filter(|file| has_extension(file, &["rs"]) && !file.contains("/target/") && file != THIS);
    rust.collect()
}

/// Returns all lines that people read: of Rust files their comments and strings, of others all.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for file in rust_files() {
        let prose = prose(&read(&file));
        lines.extend(prose.into_iter().map(|(number, text)| Line {
            file: file.clone(),
            number,
            text,
        }));
    }
    let mut texts: Vec<String> = [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
    ]
    .map(str::to_owned)
    .into();
    texts.extend(
        files_below("docs")
            .into_iter()
            .filter(|file| has_extension(file, &["md"])),
    );
    texts.extend(
        files_below("python")
            .into_iter()
            .filter(|file| has_extension(file, &["py"])),
    );
    texts.extend(
        files_below("proto")
            .into_iter()
            .filter(|file| has_extension(file, &["proto"])),
    );
    texts.extend(
        files_below("controller/src/web/assets")
            .into_iter()
            .filter(|file| has_extension(file, &["js", "html"])),
    );
    for file in texts {
        let text = read(&file);
        lines.extend((1..).zip(text.lines()).map(|(number, text)| Line {
            file: file.clone(),
            number,
            text: text.to_owned(),
        }));
    }
    lines
}

/// Returns the comments and strings of Rust code, line by line, with the numbers of the lines.
fn prose(code: &str) -> Vec<(usize, String)> {
    let raw = Regex::new(r##"^b?c?r(#*)""##).expect("it compiles");
    let quoted = Regex::new(r"^'(?:\\[^']*'|\\''|[^'\\]')").expect("it compiles");
    let (mut found, mut at, mut number) = (Vec::new(), 0, 1);
    while at < code.len() {
        let rest = &code[at..];
        let is_word = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let (start, end, length) = if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            (0, end, end)
        } else if let Some(opening) = raw.captures(rest).filter(|_| !is_word) {
            let start = opening[0].len();
            let closing = format!("\"{}", &opening[1]);
            let end = start + rest[start..].find(&closing).expect("a raw string ends");
            (start, end, end + closing.len())
        } else if let Some(behind) = rest.strip_prefix('"') {
            let mut is_escaped = false;
            let is_end = |(_, c): &(usize, char)| {
                let ends = *c == '"' && !is_escaped;
                is_escaped = *c == '\\' && !is_escaped;
                ends
            };
            let end = 1 + behind
                .char_indices()
                .find(is_end)
                .map_or(rest.len() - 1, |(end, _)| end);
            (1, end, end + 1)
        } else {
            let length = quoted.find(rest).map_or_else(
                || rest.chars().next().map_or(1, char::len_utf8),
                |quoted| quoted.len(),
            );
            number += rest[..length].matches('\n').count();
            at += length;
            continue;
        };
        found.extend((number..).zip(rest[start..end].split('\n').map(str::to_owned)));
        number += rest[..length].matches('\n').count();
        at += length;
    }
    found
}
