//! A fingerprint of source files that ignores what cannot change the program: comments, white space, and tests.
//!
//! The lexer splits just enough to tell comments from strings. A crate that does so would be built for the build script and for the test, and with
//! it every macro a second time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// Returns the fingerprint of files, given by path and content, in the order given.
pub(crate) fn fingerprint<'a>(files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (path, text) in files {
        if is_test(path) {
            continue;
        }
        path.hash(&mut hasher);
        if path.extension().is_some_and(|extension| extension == "rs") {
            without_tests(&tokens(text)).hash(&mut hasher);
        } else {
            text.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// Returns whether a file holds tests alone: `tests.rs`, or anything in a folder `tests`.
fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

/// Splits Rust into strings, characters, words, and single other characters; leaves out comments and white space.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, is_kept) = if first.is_whitespace() {
            (first.len_utf8(), false)
        } else if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else {
            let length = string(rest)
                .or_else(|| character(rest))
                .unwrap_or_else(|| word(rest));
            (length.max(first.len_utf8()), true)
        };
        let (token, after) = rest.split_at(length);
        if is_kept {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

/// Returns the length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// Returns the length of a string literal of any kind.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["", "b", "c", "r", "br", "cr"]
        .into_iter()
        .filter(|prefix| rest.starts_with(prefix));
    prefix.filter_map(|prefix| quoted(rest, prefix)).max()
}

fn quoted(rest: &str, prefix: &str) -> Option<usize> {
    let after = &rest[prefix.len()..];
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let start = rest.len() - body.len();
    if prefix.ends_with('r') {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(
            body.find(&end)
                .map_or(rest.len(), |at| start + at + end.len()),
        );
    }
    let end = (hashes == 0).then(|| unescaped(body, '"'))?;
    Some(start + end)
}

/// Returns the length of a character literal or a lifetime.
fn character(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.chars();
    let (first, second) = (characters.next()?, characters.next());
    Some(
        1 + if first == '\\' || second == Some('\'') {
            unescaped(body, '\'')
        } else {
            word(body)
        },
    )
}

/// Returns where a literal ends, behind the quote that no backslash precedes.
fn unescaped(body: &str, quote: char) -> usize {
    let mut is_escaped = false;
    let end = body.char_indices().find(|(_, character)| {
        let is_end = *character == quote && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_end
    });
    end.map_or(body.len(), |(at, quote)| at + quote.len_utf8())
}

fn word(rest: &str) -> usize {
    rest.find(|character: char| !character.is_alphanumeric() && character != '_')
        .unwrap_or(rest.len())
}

/// Leaves out modules under `#[cfg(test)]`.
fn without_tests<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        match test_module(rest) {
            Some(length) => rest = &rest[length..],
            None => {
                kept.push(*first);
                rest = after;
            }
        }
    }
    kept
}

/// Returns how many tokens a module under `#[cfg(test)]` takes, with its attributes.
fn test_module(tokens: &[&str]) -> Option<usize> {
    if !tokens.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
        return None;
    }
    let mut at = 0;
    while tokens[at..].starts_with(&["#", "["]) {
        at += 1 + group(&tokens[at + 1..], "[", "]");
    }
    match &tokens[at..] {
        ["mod", _, ";", ..] => Some(at + 3),
        ["mod", _, body @ ..] => Some(at + 2 + group(body, "{", "}")),
        _ => None,
    }
}

/// Returns how many tokens a group takes, from its opening bracket to the closing one.
fn group(tokens: &[&str], open: &str, close: &str) -> usize {
    let mut depth = 0_usize;
    let end = tokens.iter().position(|token| {
        depth = if *token == open {
            depth + 1
        } else if *token == close {
            depth.saturating_sub(1)
        } else {
            depth
        };
        depth == 0
    });
    end.map_or(tokens.len(), |end| end + 1)
}
