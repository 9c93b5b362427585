//! How the code differs from the commit that it began with, as text for people.

use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::error::CodeError;
use crate::git::pieces;
use crate::secret;

/// More text than this is not kept: what is longer is cut at a line, and says so.
pub const PATCH_BYTES_MAX: usize = 256 << 10;
/// The last line of one that was cut.
const CUT: &str = "[cut here: the difference has more than 256 KiB]\n";

/// Returns what git, asked for the differences from a commit, says of the files of these names. Files whose names say that they hold secrets are only
/// named,
/// keys in others are hidden: what a commit holds of them is in no version of the code, once they are gone. Nothing is said of `withheld` files.
pub(crate) fn patch(
    mut differences: Command,
    names: &[&[u8]],
    withheld: &[&[u8]],
) -> Result<String, CodeError> {
    if names.is_empty() {
        return Ok(String::new());
    }
    let (secrets, others): (Vec<&[u8]>, Vec<_>) =
        names.iter().partition(|name| secret::is_likely(name));
    let mut text: String = secrets
        .iter()
        .map(|name| format!("Not shown, by its name a secret: {}\n", name.escape_ascii()))
        .collect();
    if !others.is_empty() {
        differences.args([
            "--patch",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--no-renames",
            "--ignore-submodules=all",
            "--",
            ".",
        ]);
        differences.args(secrets.iter().chain(withheld).map(|name| {
            [OsStr::new(":(exclude,literal)"), OsStr::from_bytes(name)]
                .into_iter()
                .collect::<OsString>()
        }));
        text.push_str(&secret::redacted(&String::from_utf8_lossy(&beginning(
            &mut differences,
        )?)));
    }
    Ok(bounded(text))
}

/// Returns several of them as one.
pub(crate) fn joined<'a>(patches: impl Iterator<Item = &'a str>) -> String {
    bounded(patches.collect())
}

/// Returns as much of what git says as can be kept, and a little more.
fn beginning(git: &mut Command) -> Result<Vec<u8>, CodeError> {
    let mut text = Vec::new();
    let (read, ended) = pieces(git, None, |stdout| {
        stdout
            .take(PATCH_BYTES_MAX as u64 + 1)
            .read_to_end(&mut text)
    })?;
    if text.len() <= PATCH_BYTES_MAX {
        ended.checked(git)?;
    }
    read.map(|_| text).map_err(CodeError::NoGit)
}

/// Cuts a text that is too long at a line.
fn bounded(mut text: String) -> String {
    if text.len() > PATCH_BYTES_MAX {
        let most = text.floor_char_boundary(PATCH_BYTES_MAX - CUT.len());
        text.truncate(text[..most].rfind('\n').map_or(0, |end| end + 1));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_at_a_line() {
        assert_eq!(bounded("a\n".to_owned()), "a\n");
        let cut = bounded("+ü and more\n".repeat(PATCH_BYTES_MAX / 8));
        assert!(
            cut.len() <= PATCH_BYTES_MAX && cut.len() > PATCH_BYTES_MAX - 100,
            "{}",
            cut.len()
        );
        assert!(cut.ends_with(&format!("+ü and more\n{CUT}")));
        assert_eq!(bounded("x".repeat(PATCH_BYTES_MAX + 1)), CUT);
    }
}
