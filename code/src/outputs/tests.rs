use super::*;

fn entries(files: &[(&str, &str)]) -> Entries {
    files
        .iter()
        .map(|(path, hash)| (path.as_bytes().to_vec(), hash.as_bytes().to_vec()))
        .collect()
}

fn judged(
    before: &[(&str, &str)],
    now: &[(&str, &str)],
    tracked: &[&str],
    gone: &[&str],
) -> FoundOutputs {
    let tracked = tracked.iter().map(|path| path.as_bytes()).collect();
    let kind = |path: &[u8]| match extension_of(path).as_str() {
        "py" => FileKind::Source,
        "yaml" => FileKind::Configuration,
        _ => FileKind::Other,
    };
    let (before, now) = (entries(before), entries(now));
    let is_there = |path: &[u8]| !gone.iter().any(|gone| gone.as_bytes() == path);
    let holds_only_source = |folder: &[u8]| {
        now.keys()
            .filter(|path| path.starts_with(folder))
            .all(|path| kind(path) == FileKind::Source)
    };
    OutputEvidence {
        before: &before,
        now: &now,
        tracked: &tracked,
        kind: &kind,
        is_there: &is_there,
        holds_only_source: &holds_only_source,
    }
    .judge()
}

fn names(found: &FoundOutputs) -> (Vec<String>, Vec<String>) {
    let text = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
    (
        found.appeared.iter().map(text).collect(),
        found.changed.keys().map(text).collect(),
    )
}

#[test]
fn what_appears_is_output_by_its_outermost_new_folder() {
    let found = judged(
        &[("train.py", "1")],
        &[
            ("train.py", "1"),
            ("out/a/b.txt", "2"),
            ("out/c.py", "3"),
            ("src/r/x.json", "4"),
            ("m.csv", "5"),
            ("data/", "repository"),
        ],
        &["src/model.py"],
        &[],
    );
    assert_eq!(
        names(&found),
        (
            vec![
                "data/".into(),
                "m.csv".into(),
                "out/".into(),
                "src/r/".into()
            ],
            vec![]
        )
    );
}

#[test]
fn source_that_a_person_adds_or_edits_while_runs_train_is_code() {
    let before = [
        ("train.py", "1"),
        ("conf/a.yaml", "1"),
        ("results.csv", "1"),
        ("old.txt", "1"),
        ("ignored.txt", "1"),
        ("lib.py", "1"),
    ];
    let now = [
        ("train.py", "2"),
        ("conf/a.yaml", "2"),
        ("results.csv", "2"),
        ("new.py", "1"),
        ("package/one.py", "1"),
    ];
    let found = judged(&before, &now, &[], &["old.txt", "lib.py"]);
    assert_eq!(
        names(&found),
        (vec![], vec!["old.txt".into(), "results.csv".into()])
    );
}

#[test]
fn many_outputs_of_a_kind_become_a_pattern_that_spares_code() {
    let mut outputs = Outputs::default();
    let code: BTreeSet<&[u8]> = [
        b"a b/config.json".as_slice(),
        b"a b/notes.txt",
        b"train.py",
        b"x/y.json",
    ]
    .into();
    let letters = |letters: std::ops::Range<u8>| {
        letters
            .map(|letter| format!("a b/{}.json", char::from(b'a' + letter)).into_bytes())
            .collect()
    };
    outputs.add(letters(0..9), &code);
    assert_eq!(outputs.names().count(), 9);
    outputs.add(
        [
            b"a b/z.json".to_vec(),
            b"out/".to_vec(),
            b"new\nline".to_vec(),
        ]
        .into(),
        &code,
    );
    let expected = "/a\\ b/*.json\n/out/\n!/a\\ b/config.json\n";
    assert_eq!(String::from_utf8(outputs.patterns()).unwrap(), expected);
    assert_eq!(Outputs::read(&outputs.written()), outputs);
    assert!(outputs.holds_unnamed(b"new\nline") && !outputs.holds_unnamed(b"out/x"));
    let mut folders = Outputs::default();
    let names = |name: &str| {
        (1..4)
            .map(|number| format!("exp/{name}{number}x/").into_bytes())
            .collect()
    };
    folders.add(
        names("run_"),
        &[b"exp/base/train.py".as_slice(), b"exp/run_7x/train.py"].into(),
    );
    assert_eq!(
        String::from_utf8(folders.patterns()).unwrap(),
        "/exp/run_[0-9]*x/\n!/exp/run_7x/\n"
    );
    folders.add(
        (0..10)
            .map(|number| format!("exp/{}/", char::from(b'a' + number)).into_bytes())
            .collect(),
        &[b"exp/base/t.py".as_slice()].into(),
    );
    let patterns = String::from_utf8(folders.patterns()).unwrap();
    assert!(
        patterns.contains("/exp/*/\n") && patterns.contains("!/exp/base/\n"),
        "{patterns}"
    );
}

#[test]
fn patterns_match_as_git_matches_them() {
    for (pattern, name, is_matched) in [
        ("*.json", "a.json", true),
        ("*.json", "a.jsonl", false),
        ("*/", "a/", true),
        ("*/", "a", false),
        ("run_[0-9]*x/", "run_12x/", true),
        ("run_[0-9]*x/", "run_1ax/", true),
        ("run_[0-9]*x/", "run_x/", false),
        ("a\\ [0-9]*", "a 7", true),
        ("a\\ [0-9]*", "a 7/", false),
    ] {
        let found = matches(pattern.as_bytes(), name.as_bytes());
        assert_eq!(found, is_matched, "{pattern} {name}");
    }
    assert_eq!(plain(b"a\\ b\\\\c/"), b"a b\\c/");
}

#[test]
fn what_is_excepted_is_not_covered() {
    let mut outputs = Outputs::default();
    let names = (1..4).map(|number| format!("a b/model{number}/").into_bytes());
    outputs.add(names.collect(), &BTreeSet::new());
    let list = |folder: &[u8]| {
        assert_eq!(folder, b"a b/");
        ["a b/model7/", "a b/model3d/", "a b/other/", "a b/model8"]
            .map(|name| name.as_bytes().to_vec())
            .to_vec()
    };
    let all = outputs.covered(&list);
    assert_eq!(
        all,
        [b"a b/model3d/".to_vec(), b"a b/model7/".to_vec()].into()
    );
    assert!(outputs.is_numbered_like(b"a b/model7/") && !outputs.is_numbered_like(b"a b/model3d/"));
    outputs.spare(&[b"a b/model3d/".to_vec()].into());
    assert_eq!(outputs.covered(&list), [b"a b/model7/".to_vec()].into());
}
