//! Tells what programs have written into a working folder from its code.
//!
//! Of the files that git does not track, those that appear or change while attempts run are outputs, unless they look like source: a person edits source
//! while runs train, a program does not. What has appeared is left out of all later versions of the folder; of what was there when the sweep began and
//! has changed, a version of that sweep holds what it was before.

use std::collections::{BTreeMap, BTreeSet};

use crate::file_kind::{FileKind, extension_of};

/// Outputs in one folder, with names that differ only in numbers, from which a pattern is made.
const NUMBERED_FROM: usize = 3;
/// Outputs with one extension, or folders, from which a pattern is made.
const PATTERN_FROM: usize = 10;

/// Files by their paths, each with what git's index has of it: `mode hash`. A repository has a slash behind its path.
pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The folder of an output, with a slash behind it, and the pattern by which others of its kind in it are named.
type OutputKind = (Vec<u8>, Vec<u8>);

/// The recorded state of a working folder and its present content.
pub(crate) struct OutputEvidence<'a> {
    /// Files that git does not track, before attempts ran.
    pub(crate) before: &'a Entries,
    /// Those that are there now.
    pub(crate) now: &'a Entries,
    /// Files that git tracks.
    pub(crate) tracked: &'a BTreeSet<&'a [u8]>,
    /// The kind of a file.
    pub(crate) kind: &'a dyn Fn(&[u8]) -> FileKind,
    /// Whether a file is there, code or not.
    pub(crate) is_there: &'a dyn Fn(&[u8]) -> bool,
    /// Whether all files in a folder look like source.
    pub(crate) holds_only_source: &'a dyn Fn(&[u8]) -> bool,
}

/// Paths that have turned out to be output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundOutputs {
    /// Files that have appeared, and folders, each with a slash behind it.
    pub(crate) appeared: BTreeSet<Vec<u8>>,
    /// Files that were there before and have changed or gone, with what they were.
    pub(crate) changed: Entries,
}

impl OutputEvidence<'_> {
    /// Finds the outputs among what has changed while attempts ran.
    pub(crate) fn judge(&self) -> FoundOutputs {
        let mut found = FoundOutputs::default();
        let new: Vec<&[u8]> = self
            .now
            .keys()
            .filter(|path| !self.before.contains_key(*path))
            .map(Vec::as_slice)
            .collect();
        if !new.is_empty() {
            let code = self.code_folders();
            let mut judged: BTreeMap<&[u8], bool> = BTreeMap::new();
            for path in new {
                match folders(path).find(|folder| !code.contains(folder)) {
                    Some(folder) => {
                        if !*judged
                            .entry(folder)
                            .or_insert_with(|| (self.holds_only_source)(folder))
                        {
                            found.appeared.insert(folder.to_vec());
                        }
                    }
                    None if (self.kind)(path) == FileKind::Source => {}
                    None => drop(found.appeared.insert(path.to_vec())),
                }
            }
        }
        for (path, entry) in self.before {
            let is_changed = match self.now.get(path) {
                Some(now) => now != entry,
                // One that is there belongs to git now, or a person has said that it is no code.
                None => !path.ends_with(b"/") && !(self.is_there)(path),
            };
            if is_changed && !path.ends_with(b"/") && (self.kind)(path) == FileKind::Other {
                found.changed.insert(path.clone(), entry.clone());
            }
        }
        found
    }

    /// Folders that held code before, each with a slash behind it.
    fn code_folders(&self) -> BTreeSet<&[u8]> {
        let before = self.before.keys().map(Vec::as_slice);
        before
            .chain(self.tracked.iter().copied())
            .flat_map(folders)
            .collect()
    }
}

/// The parent folders of a path, the outermost first, each with a slash behind it; a repository is one itself.
fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(end, _)| &path[..=end])
}

/// Outputs of a working folder: paths as in [`FoundOutputs::appeared`], and patterns in the form of `.gitignore`, which begin with a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    named: BTreeSet<Vec<u8>>,
}

impl Outputs {
    /// Reads what [`Outputs::written`] has written.
    pub(crate) fn read(text: &[u8]) -> Self {
        Self {
            named: text
                .split(|byte| *byte == 0)
                .filter(|name| !name.is_empty())
                .map(<[u8]>::to_vec)
                .collect(),
        }
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.named
            .iter()
            .flat_map(|name| [name.as_slice(), b"\0"].concat())
            .collect()
    }

    /// Adds outputs. Many of a kind become a pattern; `code` are files beside them that are none.
    pub(crate) fn add(&mut self, appeared: BTreeSet<Vec<u8>>, code: &BTreeSet<&[u8]>) {
        self.named.extend(appeared);
        self.name_by_patterns(numbered, NUMBERED_FROM, code);
        self.name_by_patterns(kind_of, PATTERN_FROM, code);
    }

    /// Names outputs by patterns: `kind` says in which folder one is, and by which pattern it is named.
    fn name_by_patterns(
        &mut self,
        kind: impl Fn(&[u8]) -> Option<OutputKind>,
        from: usize,
        code: &BTreeSet<&[u8]>,
    ) {
        let mut kinds: BTreeMap<OutputKind, Vec<Vec<u8>>> = BTreeMap::new();
        for name in self
            .named
            .iter()
            .filter(|name| !name.starts_with(b"/") && !name.starts_with(b"!/"))
        {
            if let Some(kind) = kind(name) {
                kinds.entry(kind).or_default().push(name.clone());
            }
        }
        for ((folder, pattern), names) in kinds.into_iter().filter(|(_, names)| names.len() >= from)
        {
            self.named.retain(|name| !names.contains(name));
            self.named
                .insert([b"/", escaped(&folder).as_slice(), pattern.as_slice()].concat());
            let is_beside = |name: &[u8]| {
                kind(name).is_some_and(|kind| kind == (folder.clone(), pattern.clone()))
            };
            let beside = code.iter().copied().filter_map(|path| {
                let end = path[folder.len().min(path.len())..]
                    .iter()
                    .position(|byte| *byte == b'/');
                let name = end
                    .filter(|_| path.starts_with(&folder))
                    .map_or(path, |end| &path[..=folder.len() + end]);
                is_beside(name).then(|| [b"!/", escaped(name).as_slice()].concat())
            });
            self.named.extend(beside.collect::<BTreeSet<_>>());
        }
    }

    /// The lines of a file in the form of `.gitignore`.
    pub(crate) fn patterns(&self) -> Vec<u8> {
        let is_line = |name: &&Vec<u8>| !name.contains(&b'\n');
        let (kept, left_out): (Vec<_>, Vec<_>) = self
            .named
            .iter()
            .filter(is_line)
            .partition(|name| name.starts_with(b"!/"));
        let line = |name: &Vec<u8>| match name.first() {
            Some(b'/') => [name.as_slice(), b"\n"].concat(),
            _ if name.starts_with(b"!/") => [name.as_slice(), b"\n"].concat(),
            _ => [b"/", escaped(name).as_slice(), b"\n"].concat(),
        };
        left_out.into_iter().chain(kept).flat_map(line).collect()
    }

    /// Whether a path is in a folder that is an output.
    pub(crate) fn covers(&self, path: &[u8]) -> bool {
        folders(path).any(|folder| folder != path && self.named.contains(folder))
    }

    /// Whether a path is an output that no line of a file can name.
    pub(crate) fn holds_unnamed(&self, path: &[u8]) -> bool {
        path.contains(&b'\n')
            && (self.named.contains(path)
                || folders(path).any(|folder| self.named.contains(folder)))
    }

    /// The outputs for people: paths, and patterns without the slash before them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let name = |name: &'_ [u8]| -> bool { !name.starts_with(b"!/") };
        self.named
            .iter()
            .map(Vec::as_slice)
            .filter(move |named| name(named))
            .map(|named| named.strip_prefix(b"/").unwrap_or(named))
    }
}

/// The folder that an output is in, and the rest of its path.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    let inner = name.strip_suffix(b"/").unwrap_or(name);
    inner
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or((&[], name), |end| name.split_at(end + 1))
}

/// Where an output is, and the pattern of its name with `[0-9]*` in the place of numbers; `None` where there is none in it.
fn numbered(name: &[u8]) -> Option<OutputKind> {
    let (folder, file) = split(name);
    let mut pattern = Vec::new();
    let mut is_in_number = false;
    for byte in file {
        if byte.is_ascii_digit() {
            if !is_in_number {
                pattern.extend_from_slice(b"[0-9]*");
            }
            is_in_number = true;
        } else {
            is_in_number = false;
            pattern.extend(escaped(&[*byte]));
        }
    }
    file.iter()
        .any(u8::is_ascii_digit)
        .then(|| (folder.to_vec(), pattern))
}

/// Where an output is, and the pattern of all with its extension, or of all folders; `None` where it has no extension.
fn kind_of(name: &[u8]) -> Option<OutputKind> {
    let (folder, file) = split(name);
    let pattern = match extension_of(file).as_str() {
        _ if name.ends_with(b"/") => b"*/".to_vec(),
        "" => return None,
        extension => format!("*.{extension}").into_bytes(),
    };
    Some((folder.to_vec(), pattern))
}

/// A path in a pattern that means just that.
fn escaped(path: &[u8]) -> Vec<u8> {
    let special = |byte: &u8| matches!(byte, b'\\' | b'*' | b'?' | b'[' | b' ');
    path.iter()
        .flat_map(|byte| {
            if special(byte) {
                vec![b'\\', *byte]
            } else {
                vec![*byte]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
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
}
