//! The folder for runs itself, which may be shared with other users.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::unistd::geteuid;

use super::obstruction::Obstruction;

/// Makes the folder for runs itself where it is not there.
///
/// # Errors
/// It cannot be made; or it is a link that another user has put into a folder that everyone can
/// write to.
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
