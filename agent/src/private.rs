//! Folders and files that belong to the agent alone, with protection against anything else in their
//! place.
//!
//! A folder for runs may be shared by several users (`/tmp`, scratch space of a cluster), and
//! programs write into the folders of their attempts. So no link is followed, folders of other
//! users are refused, and only regular files are opened: a FIFO or a device never makes the agent
//! wait. Everything that the agent makes is for its user alone, with any umask. Only the folder for
//! runs itself is taken as it was given, links included.

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

/// Files of the agent are shorter; a longer one was not written by it.
const READ_BYTES_MAX: u64 = 64 << 20;
/// Names that are tried for something that is moved aside or is not in its place yet.
const NAMES_MAX: u32 = 1000;

/// Counts files that are not in their places yet.
static NEW_FILES: AtomicU32 = AtomicU32::new(0);

/// Why something is neither read nor written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstruction {
    /// Something of another kind lies there.
    #[error("{} is {found}, not {expected}; it is neither followed nor opened", path.display())]
    Kind {
        /// Where.
        path: PathBuf,
        /// The kind that was found.
        found: &'static str,
        /// The kind that was expected.
        expected: &'static str,
    },
    /// A folder of another user.
    #[error(
        "{} belongs to another user (uid {owner}, this agent has uid {own}); remove it, or name your own folder with --runs-dir",
        path.display()
    )]
    Owner {
        /// Which folder.
        path: PathBuf,
        /// Its user.
        owner: u32,
        /// The agent's user.
        own: u32,
    },
}

impl Obstruction {
    /// Returns the obstruction that an error is made of, if it is.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Obstruction> for io::Error {
    fn from(obstruction: Obstruction) -> Self {
        Self::other(obstruction)
    }
}

/// How the content of a file is to outlive a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// As the system likes.
    Cached,
    /// It is on the disk when the call returns.
    Synced,
}

/// A folder of the agent's user.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    dir: File,
    path: PathBuf,
}

impl PrivateDir {
    /// Makes the folder `below` in a folder for runs, with all that are on the way to it. Existing
    /// ones have to be folders of the agent's user; no other user can write into them afterwards.
    ///
    /// # Errors
    /// See [`Obstruction`]; or a folder cannot be made.
    pub(crate) fn make(root: &Path, below: &Path) -> io::Result<Self> {
        make_root(root)?;
        let mut folder = Self {
            dir: open_dir(root)?,
            path: root.to_owned(),
        };
        for component in below.components() {
            let Component::Normal(name) = component else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("{} leads out of its folder", below.display()),
                ));
            };
            folder = folder.make_inner(name)?;
        }
        Ok(folder)
    }

    /// Makes a folder that programs use and the agent never opens. A link of the agent's user
    /// stays: the user has put it there. Anything else that is no folder is moved aside and
    /// returned.
    ///
    /// # Errors
    /// See [`PrivateDir::make`].
    pub(crate) fn make_for_programs(root: &Path, below: &Path) -> io::Result<Option<Obstruction>> {
        let (parent, name) = split(below)?;
        let parent = Self::make(root, parent)?;
        match parent.make_inner(name) {
            Ok(_) => Ok(None),
            Err(error) => {
                let Some(obstruction) = Obstruction::of(&error).cloned() else {
                    return Err(error);
                };
                let found = fstatat(&parent.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
                if kind(&found) == SFlag::S_IFLNK && found.st_uid == geteuid().as_raw() {
                    return Ok(None);
                }
                parent.move_aside(name)?;
                parent.make_inner(name).map(|_| Some(obstruction))
            }
        }
    }

    /// Opens a folder that is there.
    ///
    /// # Errors
    /// See [`Obstruction`]; or it cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (parent, name) = split(path)?;
        Self {
            dir: open_dir(parent)?,
            path: parent.to_owned(),
        }
        .open_inner(name)
    }

    fn make_inner(&self, name: &OsStr) -> io::Result<Self> {
        match mkdirat(&self.dir, name, Mode::S_IRWXU) {
            Ok(()) => {
                let made = self.open_inner(name)?;
                // The umask may have taken away more than it should.
                change_mode(&made.dir, Mode::S_IRWXU)?;
                Ok(made)
            }
            Err(Errno::EEXIST) => {
                let found = self.open_inner(name)?;
                let mode = Mode::from_bits_truncate(fstat(&found.dir)?.st_mode);
                if mode.intersects(Mode::S_IWGRP | Mode::S_IWOTH) {
                    change_mode(&found.dir, mode - (Mode::S_IWGRP | Mode::S_IWOTH))?;
                }
                Ok(found)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn open_inner(&self, name: &OsStr) -> io::Result<Self> {
        let path = self.path.join(name);
        let found = fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if kind(&found) != SFlag::S_IFDIR {
            return Err(Obstruction::Kind {
                path,
                found: kind_name(&found),
                expected: "a folder",
            }
            .into());
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = File::from(openat(&self.dir, name, flags, Mode::empty())?);
        let (owner, own) = (fstat(&dir)?.st_uid, geteuid().as_raw());
        // Network file systems may give all that a user makes to another one.
        if owner != own && self.owner_of_new() != Some(owner) {
            return Err(Obstruction::Owner { path, owner, own }.into());
        }
        Ok(Self { dir, path })
    }

    /// Returns the user that owns the files that the agent creates here.
    fn owner_of_new(&self) -> Option<u32> {
        let name = new_name(OsStr::new("owner"));
        mkdirat(&self.dir, &*name, Mode::S_IRWXU).ok()?;
        let found = fstatat(&self.dir, &*name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let _ = unlinkat(&self.dir, &*name, UnlinkatFlags::RemoveDir);
        found.ok().map(|found| found.st_uid)
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// See [`Obstruction`]; or it cannot be opened.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        self.open_regular(name, OFlag::O_RDONLY)
    }

    /// Opens a regular file for reading and writing, which is made if nothing is there.
    ///
    /// # Errors
    /// See [`Obstruction`]; or it cannot be opened.
    pub(crate) fn open_or_create(&self, name: &OsStr) -> io::Result<File> {
        self.open_regular(name, OFlag::O_RDWR | OFlag::O_CREAT)
    }

    /// Opens a regular file to write at its end; it is made if nothing is there.
    ///
    /// # Errors
    /// See [`Obstruction`]; or it cannot be opened.
    pub(crate) fn append(&self, name: &OsStr) -> io::Result<File> {
        self.open_regular(name, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)
    }

    fn open_regular(&self, name: &OsStr, flags: OFlag) -> io::Result<File> {
        let refuse = |found: &FileStat| {
            let is_regular = kind(found) == SFlag::S_IFREG;
            let obstruction = || Obstruction::Kind {
                path: self.path.join(name),
                found: kind_name(found),
                expected: "a regular file",
            };
            if is_regular {
                Ok(())
            } else {
                Err(io::Error::from(obstruction()))
            }
        };
        // Looked at first, since to open a device may do something.
        match fstatat(&self.dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) => refuse(&found)?,
            Err(Errno::ENOENT) if flags.contains(OFlag::O_CREAT) => {}
            Err(error) => return Err(error.into()),
        }
        let never_waiting =
            OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = File::from(openat(
            &self.dir,
            name,
            flags | never_waiting,
            Mode::S_IRUSR | Mode::S_IWUSR,
        )?);
        refuse(&fstat(&file)?)?;
        if flags.contains(OFlag::O_CREAT) {
            // A program may inherit it, and is none of those that expect this.
            fcntl(&file, FcntlArg::F_SETFL(flags & OFlag::O_APPEND))?;
            tighten(&file)?;
        }
        Ok(file)
    }

    /// Puts a file with this content in the place of another one. No reader ever sees half of it. A
    /// folder that is in its place is moved aside.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn replace(
        &self,
        name: &OsStr,
        content: &[u8],
        durability: Durability,
    ) -> io::Result<()> {
        self.replace_and_open(name, content, durability).map(drop)
    }

    fn replace_and_open(
        &self,
        name: &OsStr,
        content: &[u8],
        durability: Durability,
    ) -> io::Result<File> {
        // In a simulation no machine loses what it has written.
        let is_synced = durability == Durability::Synced && !cfg!(feature = "simulation");
        let (new, mut file) = self.create_new(name)?;
        let written = (|| {
            file.write_all(content)?;
            if is_synced {
                file.sync_all()?;
            }
            match renameat(&self.dir, &*new, &self.dir, name) {
                Err(Errno::EISDIR | Errno::ENOTEMPTY | Errno::EEXIST) => {
                    self.move_aside(name)?;
                    renameat(&self.dir, &*new, &self.dir, name)?;
                }
                renamed => renamed?,
            }
            if is_synced {
                // Some network file systems cannot do that for a folder.
                let _ = self.dir.sync_all();
            }
            Ok::<_, io::Error>(())
        })();
        if written.is_err() {
            let _ = unlinkat(&self.dir, &*new, UnlinkatFlags::NoRemoveDir);
        }
        written.map(|()| file)
    }

    /// Makes a file beside the place of another one, of a name that no other has.
    fn create_new(&self, name: &OsStr) -> io::Result<(String, File)> {
        let flags =
            OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        for _ in 0..NAMES_MAX {
            let new = new_name(name);
            match openat(&self.dir, &*new, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
                Ok(file) => {
                    let file = File::from(file);
                    tighten(&file)?;
                    return Ok((new, file));
                }
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::EEXIST.into())
    }

    /// Renames anything that is in place of a file.
    ///
    /// # Errors
    /// It cannot be moved.
    pub(crate) fn move_aside(&self, name: &OsStr) -> io::Result<()> {
        for number in 0..NAMES_MAX {
            let aside = if number == 0 {
                ".replaced".to_owned()
            } else {
                format!(".replaced-{number}")
            };
            let aside: OsString = [name, OsStr::new(&aside)].into_iter().collect();
            if fstatat(&self.dir, &*aside, AtFlags::AT_SYMLINK_NOFOLLOW) == Err(Errno::ENOENT) {
                tracing::info!(path = %self.path.join(name).display(), aside = %aside.display(), "moved what is no file of the agent aside");
                return Ok(renameat(&self.dir, name, &self.dir, &*aside)?);
            }
        }
        Err(Errno::EEXIST.into())
    }
}

/// Opens a folder. Returns `None` where something else is in its place; a FIFO would make the agent
/// wait.
fn open_dir(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    match nix::fcntl::open(path, flags, Mode::empty()) {
        Err(Errno::ENOTDIR) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{} is not a folder", path.display()),
        )),
        opened => Ok(File::from(opened?)),
    }
}

/// Makes the folder for runs itself where it is not there.
///
/// # Errors
/// It cannot be made; or it is a link that another user has put into a folder where everybody may.
pub(crate) fn make_root(root: &Path) -> io::Result<()> {
    if is_planted(root) {
        let path = root.to_owned();
        return Err(Obstruction::Kind {
            path,
            found: "a link of another user",
            expected: "a folder",
        }
        .into());
    }
    if root.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(root)?;
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700))
}

/// Returns whether a path is another user's link in a folder that everybody may write to. Following
/// it would write where that user wants. Linux has the same rule as `fs.protected_symlinks`.
fn is_planted(root: &Path) -> bool {
    let is_ours = |uid: u32| [0, geteuid().as_raw()].contains(&uid);
    let is_open = |parent: &Path| {
        std::fs::metadata(parent).is_ok_and(|found| found.permissions().mode() & 0o002 != 0)
    };
    root.symlink_metadata()
        .is_ok_and(|found| found.is_symlink() && !is_ours(found.uid()))
        && root.parent().is_some_and(is_open)
}

/// Returns whether other users, but root, may put something else into the place of what the agent
/// has made in a folder.
pub(crate) fn is_replaceable_by_others(root: &Path) -> bool {
    std::fs::metadata(root).is_ok_and(|found| {
        let is_open = found.permissions().mode() & 0o1002 == 0o002;
        is_open || ![0, geteuid().as_raw()].contains(&found.uid())
    })
}

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

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let no_name = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} names no file", path.display()),
        )
    };
    path.parent().zip(path.file_name()).ok_or_else(no_name)
}

fn new_name(name: &OsStr) -> String {
    format!(
        ".{}.{}-{}.new",
        name.display(),
        std::process::id(),
        NEW_FILES.fetch_add(1, Ordering::Relaxed)
    )
}

/// Leaves a file to its user alone; one of another user stays as it is.
fn tighten(file: &impl AsFd) -> io::Result<()> {
    let found = fstat(file)?;
    let mode = Mode::from_bits_truncate(found.st_mode);
    if found.st_uid == geteuid().as_raw() && mode != Mode::S_IRUSR | Mode::S_IWUSR {
        change_mode(file, Mode::S_IRUSR | Mode::S_IWUSR)?;
    }
    Ok(())
}

/// Sets the mode, as far as the file system has any: FAT and some network file systems have none.
fn change_mode(file: &impl AsFd, mode: Mode) -> io::Result<()> {
    match fchmod(file, mode) {
        Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        changed => Ok(changed?),
    }
}

fn kind(found: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT
}

fn kind_name(found: &FileStat) -> &'static str {
    match kind(found) {
        SFlag::S_IFREG => "a file",
        SFlag::S_IFDIR => "a folder",
        SFlag::S_IFLNK => "a link",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    }
}
