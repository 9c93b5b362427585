//! Private files: for this user alone, independently of the umask.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

fn options() -> OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).mode(0o600);
    options
}

/// Opens a file that is locked and never read; makes it where there is none.
///
/// # Errors
/// It can be neither opened nor made.
pub(crate) fn lock_file(path: &Path) -> io::Result<File> {
    options().truncate(false).open(path)
}

/// Writes a file, in place of what was in it.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    options().truncate(true).open(path)?.write_all(bytes)
}

/// Makes a folder, with all on the way to it, where there is none.
///
/// # Errors
/// It cannot be made.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Copies a file.
///
/// # Errors
/// One cannot be read, or the other not be written.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::set_permissions(to, Permissions::from_mode(0o600))
}
