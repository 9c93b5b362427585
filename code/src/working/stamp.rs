//! Stamps of files, by which a change is seen without a look inside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// When a file was written, in seconds and nanoseconds, and how long it is.
pub(super) type Stamp = (i64, i64, u64);

/// Returns the stamp of a file; of one that is not there all is 0.
pub(super) fn stamp(path: &Path) -> Stamp {
    fs::symlink_metadata(path).map_or((0, 0, 0), |found| {
        (found.mtime(), found.mtime_nsec(), found.len())
    })
}
