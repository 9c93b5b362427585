//! Gives what is compiled here a fingerprint: an image of the state is read only by a program that would come to the same state itself.

#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads the sources"
)]

#[path = "build/fingerprint.rs"]
mod fingerprint;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let mut paths = Vec::new();
    for folder in ["src", "../../search/src"] {
        println!("cargo:rerun-if-changed={folder}");
        collect(Path::new(folder), &mut paths)?;
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    paths.sort();
    let texts = paths
        .iter()
        .map(fs::read_to_string)
        .collect::<io::Result<Vec<_>>>()?;
    let files = paths
        .iter()
        .map(PathBuf::as_path)
        .zip(texts.iter().map(String::as_str));
    println!(
        "cargo:rustc-env=SWEEP_STATE_FINGERPRINT={:016x}",
        fingerprint::fingerprint(files)
    );
    Ok(())
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}
