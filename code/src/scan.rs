//! Looks for secrets in contents that git keeps.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::Command;

use crate::error::CodeError;
use crate::git::{answer, pieces};
use crate::secret::{self, Finding};

/// The hash of a content, and what was found in it.
pub(crate) type ScannedContent = (Vec<u8>, Vec<Finding>);

/// A longer file is data, and is not looked at.
const LOOKED_AT_BYTES_MAX: u64 = 10 << 20;
/// The first bytes of a file; with a NUL in them it is not text.
const BEGINNING_BYTES: usize = 8000;

/// Looks for secrets in contents, by their hashes. Where one was found, the range holds its line.
///
/// # Errors
/// See [`CodeError`].
pub(crate) fn scan(
    git: &dyn Fn() -> Command,
    objects: &[&[u8]],
) -> Result<Vec<ScannedContent>, CodeError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let lines = |objects: &[&[u8]]| {
        objects
            .iter()
            .flat_map(|object| [object, b"\n".as_slice()].concat())
            .collect::<Vec<u8>>()
    };
    let sizes = answer(
        git().args(["cat-file", "--batch-check=%(objectname) %(objectsize)"]),
        &lines(objects),
    )?;
    let is_small = |line: &&[u8]| {
        let size = line
            .split(|byte| *byte == b' ')
            .nth(1)
            .and_then(|size| std::str::from_utf8(size).ok()?.parse::<u64>().ok());
        size.is_some_and(|size| size <= LOOKED_AT_BYTES_MAX)
    };
    let small: Vec<&[u8]> = sizes
        .split(|byte| *byte == b'\n')
        .filter(is_small)
        .filter_map(|line| line.split(|byte| *byte == b' ').next())
        .collect();
    let mut batch = git();
    batch.args(["cat-file", "--batch=%(objectname) %(objectsize)"]);
    let (read, ended) = pieces(&mut batch, Some(&lines(&small)), |stdout| {
        let mut stdout = BufReader::new(stdout);
        let mut found = Vec::new();
        let mut head = Vec::new();
        while stdout.read_until(b'\n', &mut head)? > 0 {
            let text = String::from_utf8_lossy(&head).trim_end().to_owned();
            head.clear();
            let Some((object, size)) = text.split_once(' ') else {
                continue;
            };
            let Ok(size) = size.parse::<u64>() else {
                continue;
            };
            let mut content = Vec::new();
            // A line end follows.
            (&mut stdout).take(size + 1).read_to_end(&mut content)?;
            content.pop();
            found.push((object.as_bytes().to_vec(), in_lines(&content)));
        }
        Ok::<_, io::Error>(found)
    })?;
    ended.checked(&batch)?;
    read.map_err(CodeError::NoGit)
}

fn in_lines(content: &[u8]) -> Vec<Finding> {
    // Of UTF-16, which begins with a mark, the ASCII characters are enough.
    let plain: Vec<u8>;
    let content = if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        plain = content[2..]
            .iter()
            .copied()
            .filter(|byte| *byte != 0)
            .collect();
        &plain
    } else {
        content
    };
    if content[..content.len().min(BEGINNING_BYTES)].contains(&0) {
        return Vec::new();
    }
    let found = secret::findings(content).into_iter().map(|finding| {
        let line = 1 + content[..finding.range.start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Finding {
            range: line..line,
            ..finding
        }
    });
    found.collect()
}
