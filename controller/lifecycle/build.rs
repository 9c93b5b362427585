//! Gives what is compiled here a fingerprint: an image of the state is read only by a program that would come to the same state itself.

#![expect(clippy::disallowed_methods, reason = "a build script reads the sources")]

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for folder in ["src", "../../search/src"] {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files)?;
    }
    files.sort();
    let mut fingerprint = DefaultHasher::new();
    for file in files {
        file.hash(&mut fingerprint);
        fs::read(&file)?.hash(&mut fingerprint);
    }
    println!("cargo:rustc-env=SWEEP_STATE_FINGERPRINT={:016x}", fingerprint.finish());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
