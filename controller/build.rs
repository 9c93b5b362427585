//! Takes plotly.js out of the crate `plotly` and compresses it, and gives all files of the page one name that changes when any of them does.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

const ASSETS: &str = "src/web/assets";
/// How the first script of `Plot::offline_js_sources` begins and ends: the library itself. The second one sets formulas, which we have none of.
const SCRIPT: (&str, &str) = ("<script type=\"text/javascript\">", "</script>");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ASSETS}");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let sources = plotly::Plot::offline_js_sources();
    let library = sources
        .split_once(SCRIPT.0)
        .and_then(|(_, rest)| rest.split_once(SCRIPT.1));
    let (library, _) =
        library.ok_or("the crate plotly gives its library in another form than it did")?;
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    compressed.write_all(library.as_bytes())?;
    fs::write(out.join("plotly.js.gz"), compressed.finish()?)?;

    let mut digest = Sha256::new();
    digest.update(library);
    let mut files: Vec<_> = fs::read_dir(ASSETS)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    for file in files {
        digest.update(file.file_name().as_encoded_bytes());
        digest.update(fs::read(file.path())?);
    }
    let version = hex::encode(&digest.finalize()[..8]);
    println!("cargo::rustc-env=SWEEP_ASSETS={version}");
    Ok(())
}
