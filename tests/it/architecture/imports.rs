//! Imports between the files of a crate.
//!
//! A file imports another one when its code names an item that the other one defines: in a `use`, or in a path such as `crate::a::B` or `a::f()`.
//! An item belongs to the file that defines it: a path through a re-export leads to that file. So a parent may declare its children and re-export
//! their items, and the children may name those through the parent. A parent that uses a child which uses an item of the parent itself is a cycle.
//! Code under `#[cfg(test)]` does not count. Method calls name no item and are not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The path of a module from the root of its crate; empty for the root.
pub(super) type Module = Vec<String>;

/// Which files of a crate import which others.
pub(super) type Edges = BTreeMap<Module, BTreeSet<Module>>;

/// The length of the longest chain of re-exports.
const REEXPORTS_MAX: usize = 10;

/// The names that a file uses.
#[derive(Default)]
struct File {
    /// The names that its `use` declarations bring in, with their paths.
    scope: BTreeMap<String, Module>,
    /// Those of `scope` that it re-exports.
    reexports: BTreeSet<String>,
    /// The paths in its code that start at something of the crate.
    paths: Vec<Module>,
    /// The single words of its code.
    words: BTreeSet<String>,
}

/// Returns the imports between files, given as paths below `folder` with their code.
pub(super) fn edges(sources: &[(PathBuf, String)], folder: &Path) -> Edges {
    let mut tokens = BTreeMap::new();
    let mut tests = BTreeSet::new();
    for (path, code) in sources {
        let module = module_of(path, folder);
        let (code, test_modules) = without_tests(tokenize(code));
        tests.extend(
            test_modules
                .into_iter()
                .map(|name| joined(&module, &[name])),
        );
        tokens.insert(module, code);
    }
    tokens.retain(|module, _| !(1..=module.len()).any(|length| tests.contains(&module[..length])));
    let modules: BTreeSet<Module> = tokens.keys().cloned().collect();
    let files: BTreeMap<Module, File> = tokens
        .iter()
        .map(|(module, tokens)| (module.clone(), read(module, tokens, &modules)))
        .collect();
    files
        .iter()
        .map(|(module, file)| (module.clone(), imports(module, file, &files)))
        .collect()
}

/// Returns the edges between top-level modules.
pub(super) fn top_level(edges: &Edges) -> BTreeMap<String, BTreeSet<String>> {
    let mut tops: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (from, targets) in edges {
        let Some(from) = from.first() else { continue };
        let targets = targets
            .iter()
            .filter_map(|to| to.first())
            .filter(|to| *to != from);
        tops.entry(from.clone())
            .or_default()
            .extend(targets.cloned());
    }
    tops
}

/// Returns the path of the module that a file holds.
fn module_of(path: &Path, folder: &Path) -> Module {
    let inner = path
        .strip_prefix(folder)
        .expect("it is in the folder")
        .with_extension("");
    let mut parts: Module = inner
        .iter()
        .filter_map(|part| part.to_str())
        .map(str::to_owned)
        .collect();
    let is_root = parts.len() == 1 && (parts[0] == "main" || parts[0] == "lib");
    parts.pop_if(|last| last == "mod" || is_root);
    parts
}

/// Splits code into words, `::` and single characters. Comments and literals are left out.
fn tokenize(code: &str) -> Vec<String> {
    let literal =
        regex::Regex::new(r##"(?s)^(?://[^\n]*|/\*.*?\*/|b?r"[^"]*"|b?r#".*?"#|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\[^']+|\\'|[^'\\])'|'\w+)"##)
            .expect("it compiles");
    let word = regex::Regex::new(r"^(?:r#)?(\w+)").expect("it compiles");
    let (mut rest, mut tokens) = (code, Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = if let Some(found) = literal.find(rest) {
            found.end()
        } else if let Some(found) = word.captures(rest) {
            tokens.push(found[1].to_owned());
            found[0].len()
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Leaves items under `#[cfg(test)]` out. Returns also the names of the test modules that are files.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let starts = |words: &[&str]| {
            tokens[at..]
                .iter()
                .map(String::as_str)
                .take(words.len())
                .eq(words.iter().copied())
        };
        if starts(&["#", "!", "[", "cfg", "(", "test"]) {
            return (Vec::new(), modules);
        }
        if !starts(&["#", "[", "cfg", "(", "test"])
            && !starts(&["#", "[", "cfg", "(", "all", "(", "test"])
        {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        while tokens.get(at).is_some_and(|token| token == "#") {
            at = end_of_group(&tokens, at + 1);
        }
        let end = end_of_item(&tokens, at);
        if let Some(place) = tokens[at..end].iter().position(|token| token == "mod")
            && tokens[at..end].last().is_some_and(|last| last == ";")
        {
            modules.push(tokens[at + place + 1].clone());
        }
        at = end;
    }
    (kept, modules)
}

/// Returns the place behind the group that opens at `at`.
fn end_of_group(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        depth += depth_change(token);
        if depth == 0 {
            return place + 1;
        }
    }
    tokens.len()
}

/// Returns the place behind the item that starts at `at`.
fn end_of_item(tokens: &[String], at: usize) -> usize {
    let mut depth = 0;
    for (place, token) in tokens.iter().enumerate().skip(at) {
        depth += depth_change(token);
        if depth < 0 {
            return place;
        }
        if depth == 0 && matches!(token.as_str(), "}" | ";" | ",") {
            return place + 1;
        }
    }
    tokens.len()
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric() || first == '_')
}

fn depth_change(token: &str) -> i32 {
    match token {
        "{" | "(" | "[" => 1,
        "}" | ")" | "]" => -1,
        _ => 0,
    }
}

/// Reads which names a file uses.
fn read(module: &[String], tokens: &[String], modules: &BTreeSet<Module>) -> File {
    let (mut file, mut paths) = (File::default(), Vec::new());
    let (mut depth, mut inline, mut at) = (0, Vec::new(), 0);
    while at < tokens.len() {
        let next = |ahead: usize| tokens.get(at + ahead).map_or("", String::as_str);
        let before = at.checked_sub(1).map_or("", |place| tokens[place].as_str());
        depth += depth_change(&tokens[at]);
        inline.pop_if(|outer| depth <= *outer);
        match tokens[at].as_str() {
            "mod" if next(2) == ";" => at += 3,
            "mod" if next(2) == "{" => {
                // `super` in it is the file itself.
                inline.push(depth);
                depth += 1;
                at += 3;
            }
            "use" if next(1) != "<" => {
                let end = (at..tokens.len())
                    .find(|place| tokens[*place] == ";")
                    .unwrap_or(tokens.len());
                for (name, path) in leaves(&tokens[at + 1..end], &[]) {
                    let Some(path) = absolute(&path, module, inline.len(), &file, modules) else {
                        continue;
                    };
                    if matches!(before, "pub" | ")") {
                        file.reexports.insert(name.clone());
                    }
                    file.scope.insert(name, path);
                }
                at = end;
            }
            word if is_word(word) && before != "::" && before != "." => {
                let further = tokens[at + 1..]
                    .chunks_exact(2)
                    .take_while(|pair| pair[0] == "::" && is_word(&pair[1]));
                let path: Module = std::iter::once(word.to_owned())
                    .chain(further.map(|pair| pair[1].clone()))
                    .collect();
                at += 2 * path.len() - 1;
                file.words.insert(path[0].clone());
                paths.push((inline.len(), path));
            }
            _ => at += 1,
        }
    }
    // Only now all names are known.
    let paths = paths.iter().filter(|(_, path)| path.len() > 1);
    file.paths = paths
        .filter_map(|(inline, path)| absolute(path, module, *inline, &file, modules))
        .collect();
    file
}

/// Returns the names that a `use` brings in, with their paths.
fn leaves(tokens: &[String], prefix: &[String]) -> Vec<(String, Module)> {
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    if first == "{" {
        let mut all = Vec::new();
        let (mut depth, mut start) = (0, 1);
        for (place, token) in tokens.iter().enumerate() {
            depth += depth_change(token);
            if (depth == 1 && token == ",") || depth == 0 {
                all.extend(leaves(&tokens[start..place], prefix));
                start = place + 1;
            }
        }
        return all;
    }
    if tokens.get(1).is_some_and(|token| token == "::") {
        return leaves(&tokens[2..], &joined(prefix, std::slice::from_ref(first)));
    }
    let path = if first == "self" && !prefix.is_empty() {
        prefix.to_vec()
    } else {
        joined(prefix, std::slice::from_ref(first))
    };
    let alias = tokens
        .get(1)
        .filter(|token| *token == "as")
        .and_then(|_| tokens.get(2));
    vec![(alias.or(path.last()).cloned().unwrap_or_default(), path)]
}

/// Returns a path from the root of the crate; `None` if it leads elsewhere. It is in `inline` modules within the file.
fn absolute(
    path: &[String],
    module: &[String],
    inline: usize,
    file: &File,
    modules: &BTreeSet<Module>,
) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some(joined(module, rest)),
        "super" => {
            let count = path.iter().take_while(|part| *part == "super").count();
            let up = count.saturating_sub(inline);
            Some(joined(
                &module[..module.len().checked_sub(up)?],
                &path[count..],
            ))
        }
        name => match file.scope.get(name) {
            Some(known) => Some(joined(known, rest)),
            None => Some(joined(module, path))
                .filter(|_| modules.contains(&joined(module, std::slice::from_ref(first)))),
        },
    }
}

/// Returns the files that a file imports.
fn imports(module: &[String], file: &File, files: &BTreeMap<Module, File>) -> BTreeSet<Module> {
    let used = file
        .scope
        .iter()
        .filter(|(name, _)| !file.reexports.contains(*name) || file.words.contains(*name));
    let paths = used.map(|(_, path)| path).chain(&file.paths);
    paths
        .filter_map(|path| owner(path, files, REEXPORTS_MAX))
        .filter(|owner| owner != module)
        .collect()
}

/// Returns the file that defines what a path names; `None` for a module itself.
fn owner(path: &[String], files: &BTreeMap<Module, File>, steps: usize) -> Option<Module> {
    let length = (0..=path.len())
        .rev()
        .find(|length| files.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let (name, behind) = rest.split_first()?;
    match files[module]
        .scope
        .get(name)
        .map(|target| joined(target, behind))
    {
        Some(target) if target != path && steps > 0 => owner(&target, files, steps - 1),
        _ => Some(module.to_vec()),
    }
}

fn joined(front: &[String], back: &[String]) -> Module {
    [front, back].concat()
}
