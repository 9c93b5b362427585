//! Folders and files that belong to the agent alone, with protection against anything else in their
//! place.
//!
//! A folder for runs may be shared by several users (`/tmp`, scratch space of a cluster), and
//! programs write into the folders of their attempts. So no link is followed, folders of other
//! users are refused, and only regular files are opened: a FIFO or a device never makes the agent
//! wait. Everything that the agent makes is for its user alone, with any umask. Only the folder for
//! runs itself is taken as it was given, links included.

mod dir;
mod obstruction;
mod root;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nix::fcntl::OFlag;

use self::dir::split;
pub(crate) use self::dir::{Durability, PrivateDir};
pub(crate) use self::obstruction::Obstruction;
pub(crate) use self::root::{is_replaceable_by_others, make_root};

/// Files of the agent are shorter; a longer one was not written by it.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Opens a regular file for reading, by its path.
///
/// # Errors
/// See [`Obstruction`]; or it cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let (folder, name) = split(path)?;
    PrivateDir::open(folder)?.open_file(name)
}

/// Opens a regular file that a program writes, wherever it is: links are not followed, and nothing
/// is waited for.
///
/// # Errors
/// See [`Obstruction`]; or it cannot be opened.
pub(crate) fn open_of_program(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let refuse = |is_file: bool, found: &'static str| {
        let obstruction = || Obstruction::Kind {
            path: path.to_owned(),
            found,
            expected: "a regular file",
        };
        if is_file {
            Ok(())
        } else {
            Err(io::Error::from(obstruction()))
        }
    };
    // Looked at first, since to open a device may do something.
    let found = path.symlink_metadata()?;
    refuse(
        found.is_file(),
        if found.is_symlink() {
            "a link"
        } else {
            "something else"
        },
    )?;
    let never_waiting = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(never_waiting.bits())
        .open(path)?;
    refuse(file.metadata()?.is_file(), "something else")?;
    Ok(file)
}

/// Reads a regular file, by its path.
///
/// # Errors
/// See [`Obstruction`]; or it cannot be read.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path)?
        .take(READ_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > READ_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {} MB", READ_BYTES_MAX >> 20),
        ));
    }
    Ok(bytes)
}

/// Opens a regular file for reading and writing, by its path; what else is in its place is moved
/// aside. Returns also what that was.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open_or_create(path: &Path) -> io::Result<(File, Option<Obstruction>)> {
    cleared(path, PrivateDir::open_or_create)
}

/// Opens a regular file to write at its end, by its path; what else is in its place is moved aside.
/// Returns also what that was.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn append(path: &Path) -> io::Result<(File, Option<Obstruction>)> {
    cleared(path, PrivateDir::append)
}

/// Puts a file with this content in the place of what is there, by its path.
///
/// # Errors
/// It cannot be written.
pub(crate) fn replace(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let (folder, name) = split(path)?;
    PrivateDir::open(folder)?.replace(name, content, durability)
}

/// Does the same and returns the file, open for reading and writing.
///
/// # Errors
/// See [`replace`].
pub(crate) fn replace_and_open(
    path: &Path,
    content: &[u8],
    durability: Durability,
) -> io::Result<File> {
    let (folder, name) = split(path)?;
    PrivateDir::open(folder)?.replace_and_open(name, content, durability)
}

fn cleared(
    path: &Path,
    open: impl Fn(&PrivateDir, &OsStr) -> io::Result<File>,
) -> io::Result<(File, Option<Obstruction>)> {
    let (folder, name) = split(path)?;
    let folder = PrivateDir::open(folder)?;
    match open(&folder, name) {
        Ok(file) => Ok((file, None)),
        Err(error) => {
            let Some(obstruction) = Obstruction::of(&error).cloned() else {
                return Err(error);
            };
            folder.move_aside(name)?;
            open(&folder, name).map(|file| (file, Some(obstruction)))
        }
    }
}
