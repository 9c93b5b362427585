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
                is_beside(name).then(|| exception(name))
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

    /// Whether some outputs are named by patterns.
    pub(crate) fn has_patterns(&self) -> bool {
        self.patterns_of_kinds().next().is_some()
    }

    fn patterns_of_kinds(&self) -> impl Iterator<Item = &[u8]> {
        self.named.iter().filter_map(|name| name.strip_prefix(b"/"))
    }

    /// Returns the paths that patterns cover and that are not excepted. `list` returns the paths of what is in a folder.
    pub(crate) fn covered(&self, list: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> BTreeSet<Vec<u8>> {
        let mut folders: BTreeMap<Vec<u8>, Vec<&[u8]>> = BTreeMap::new();
        for pattern in self.patterns_of_kinds() {
            let (folder, last) = split(pattern);
            folders.entry(plain(folder)).or_default().push(last);
        }
        let mut covered = BTreeSet::new();
        for (folder, patterns) in folders {
            for path in list(&folder) {
                let name = &path[folder.len()..];
                let bare = name.strip_suffix(b"/").unwrap_or(name);
                // A pattern without a slash behind it matches files and folders.
                let is_match = |pattern: &&[u8]| matches(pattern, name) || matches(pattern, bare);
                if patterns.iter().any(is_match) && !self.named.contains(&exception(&path)) {
                    covered.insert(path);
                }
            }
        }
        covered
    }

    /// Excepts paths from patterns.
    pub(crate) fn spare(&mut self, paths: &BTreeSet<Vec<u8>>) {
        self.named.extend(paths.iter().map(|path| exception(path)));
    }

    /// Whether a pattern names outputs that differ from a path only in numbers.
    pub(crate) fn is_numbered_like(&self, path: &[u8]) -> bool {
        numbered(path).is_some_and(|(folder, pattern)| {
            let name = [b"/", escaped(&folder).as_slice(), pattern.as_slice()].concat();
            self.named.contains(&name)
        })
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

/// The line that excepts a path from patterns.
fn exception(path: &[u8]) -> Vec<u8> {
    [b"!/", escaped(path).as_slice()].concat()
}

/// The path that a pattern means which [`escaped`] has made.
fn plain(pattern: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        let literal = if *byte == b'\\' { bytes.next() } else { None };
        path.push(*literal.unwrap_or(byte));
    }
    path
}

/// Whether a pattern that [`numbered`] or [`kind_of`] has made matches a name, as git matches it.
fn matches(mut pattern: &[u8], name: &[u8]) -> bool {
    // The lengths of what the pattern matches up to here.
    let mut ends: BTreeSet<usize> = [0].into();
    while let Some(first) = pattern.first() {
        if let Some(rest) = pattern.strip_prefix(b"*") {
            let from = ends.first().copied().unwrap_or(name.len());
            let slash = name[from..].iter().position(|byte| *byte == b'/');
            ends = (from..=slash.map_or(name.len(), |slash| from + slash)).collect();
            pattern = rest;
            continue;
        }
        let (is_one, rest): (&dyn Fn(u8) -> bool, _) = match pattern {
            [b'[', b'0', b'-', b'9', b']', rest @ ..] => (&|byte| byte.is_ascii_digit(), rest),
            [b'\\', literal, rest @ ..] => (&|byte| byte == *literal, rest),
            [_, rest @ ..] => (&|byte| byte == *first, rest),
            [] => return false,
        };
        ends = ends
            .into_iter()
            .filter(|end| name.get(*end).is_some_and(|byte| is_one(*byte)))
            .map(|end| end + 1)
            .collect();
        if ends.is_empty() {
            return false;
        }
        pattern = rest;
    }
    ends.contains(&name.len())
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
mod tests;
