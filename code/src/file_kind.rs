//! Tells source files from data, by their names, their first bytes and their sizes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

/// A longer file is no source.
pub(crate) const SOURCE_BYTES_MAX: u64 = 1 << 20;

/// Extensions of programs.
const SOURCE: &[&str] = &[
    "bash", "c", "cc", "clj", "cmake", "cpp", "cs", "cu", "cuh", "cxx", "f", "f90", "fish", "fs",
    "go", "groovy", "h", "hh", "hpp", "hs", "java", "jl", "js", "jsx", "kt", "lua", "m", "mjs",
    "mk", "ml", "nim", "php", "pl", "proto", "ps1", "pxd", "py", "pyi", "pyx", "r", "rb", "rs",
    "scala", "sh", "sql", "swift", "ts", "tsx", "v", "zig", "zsh",
];
/// Names of programs without an extension.
const SOURCE_NAMES: &[&str] = &[
    "dockerfile",
    "justfile",
    "makefile",
    "cmakelists.txt",
    "requirements.txt",
];
/// Extensions of files that people write to configure programs.
const CONFIGURATION: &[&str] = &[
    "cfg", "conf", "gin", "hcl", "ini", "jsonnet", "toml", "yaml", "yml",
];
/// Extensions of data, media, archives and weights.
const DATA: &[&str] = &[
    "7z",
    "a",
    "arrow",
    "avi",
    "avro",
    "bin",
    "bmp",
    "bz2",
    "dat",
    "db",
    "db-journal",
    "db-shm",
    "db-wal",
    "dll",
    "dylib",
    "exe",
    "feather",
    "flac",
    "gguf",
    "gif",
    "gz",
    "h5",
    "hdf5",
    "jar",
    "joblib",
    "jpeg",
    "jpg",
    "keras",
    "lmdb",
    "mat",
    "mkv",
    "mov",
    "mp3",
    "mp4",
    "npy",
    "npz",
    "o",
    "ogg",
    "onnx",
    "orc",
    "parquet",
    "pb",
    "pdf",
    "pickle",
    "pkl",
    "png",
    "rar",
    "rdata",
    "rds",
    "so",
    "sqlite",
    "sqlite3",
    "tar",
    "tflite",
    "tfrecord",
    "tgz",
    "tif",
    "tiff",
    "wav",
    "webm",
    "webp",
    "whl",
    "xz",
    "zip",
    "zst",
];

/// The role of a file for its program, as far as it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A program, or a part of one.
    Source,
    /// The configuration of a program.
    Configuration,
    /// Anything else.
    Other,
}

/// Returns the kind of a file in a folder of code.
pub(crate) fn of(root: &Path, path: &[u8]) -> FileKind {
    let place = root.join(OsStr::from_bytes(path));
    // One that is gone was as large as it had to be.
    let found = fs::symlink_metadata(&place).ok();
    if found
        .as_ref()
        .is_some_and(|found| !found.is_file() || found.len() > SOURCE_BYTES_MAX)
    {
        return FileKind::Other;
    }
    let name = file_name(path);
    match extension(&name) {
        _ if SOURCE_NAMES.contains(&name.as_str()) => FileKind::Source,
        Some(extension) if SOURCE.contains(&extension) => FileKind::Source,
        Some(extension) if CONFIGURATION.contains(&extension) => FileKind::Configuration,
        None if found.is_some() && begin_of(&place, 2) == b"#!" => FileKind::Source,
        _ => FileKind::Other,
    }
}

/// Returns whether a file is data by its name.
pub(crate) fn is_data(path: &[u8]) -> bool {
    extension(&file_name(path)).is_some_and(|extension| DATA.contains(&extension))
}

/// Returns the extension of a path in lower case; empty where it has none.
pub(crate) fn extension_of(path: &[u8]) -> String {
    extension(&file_name(path)).unwrap_or_default().to_owned()
}

/// Returns the beginning of a regular file; empty where there is none.
pub(crate) fn begin_of(place: &Path, bytes_max: u64) -> Vec<u8> {
    let mut begin = Vec::new();
    if let Ok(file) = File::options()
        .read(true)
        .custom_flags(O_NONBLOCK | O_NOFOLLOW)
        .open(place)
        && file.metadata().is_ok_and(|found| found.is_file())
    {
        // What could not be read is not there.
        let _ = file.take(bytes_max).read_to_end(&mut begin);
    }
    begin
}

fn file_name(path: &[u8]) -> String {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
        .map(|(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_first_bytes_and_sizes_say_what_a_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("train", "#!/usr/bin/env python3\n");
        write("result", "0.5\n");
        File::create(folder.path().join("long.py"))
            .unwrap()
            .set_len(SOURCE_BYTES_MAX + 1)
            .unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let kinds = [
            "train.py",
            "a/Makefile",
            "train",
            "conf/a.YAML",
            "result",
            "long.py",
            "pipe",
            "out.ipynb",
            ".py",
            "gone.sh",
        ]
        .map(|name| of(folder.path(), name.as_bytes()));
        use FileKind::{Configuration, Other, Source};
        assert_eq!(
            kinds,
            [
                Source,
                Source,
                Source,
                Configuration,
                Other,
                Other,
                Other,
                Other,
                Other,
                Source
            ]
        );
        assert!(
            is_data(b"a/b.PNG")
                && is_data(b"mlflow.db")
                && !is_data(b"config.json")
                && !is_data(b"png")
        );
    }
}
