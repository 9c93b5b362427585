//! Brings files into our index as they are, without any filter, and takes those out of it that look like secrets.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::O_NONBLOCK;
use sha2::{Digest as _, Sha256};

use super::Working;
use super::stamp::stamp;
use crate::error::CodeError;
use crate::git::{answer, feed, line, output, paths};
use crate::left_out::LeftOut;
use crate::scan::scan;
use crate::secret;

/// The filter of Git LFS, and what names of filters have that encrypt.
const LFS: &[u8] = b"lfs";
const ENCRYPTING: &str = "crypt";
/// Of a file, at once.
const PIECE_BYTES: usize = 256 << 10;

impl Working {
    /// Returns the paths of files that are not as our index notes them, each with a NUL behind it.
    pub(super) fn changed(&self) -> Result<Vec<u8>, CodeError> {
        output(
            self.git()
                .args(["diff-files", "--name-only", "-z", "--ignore-submodules=all"]),
        )
    }

    /// Brings changed and untracked files into our index.
    pub(super) fn add(
        &mut self,
        changed: &[u8],
        untracked: &[u8],
        left_out: &mut LeftOut,
    ) -> Result<(), CodeError> {
        let all = [changed, untracked].concat();
        if all.is_empty() {
            return Ok(());
        }
        let filters = self.filters(&all)?;
        let (mut taken, mut removed, mut pointers) = (Vec::new(), Vec::new(), Vec::new());
        let mut links = BTreeMap::new();
        for path in paths(&all) {
            // Its folder has become a link, which leads elsewhere.
            if self.is_beyond_link(path, &mut links) {
                removed.push(path);
                continue;
            }
            let found = fs::symlink_metadata(self.root.join(OsStr::from_bytes(path)));
            let is_regular = found.as_ref().is_ok_and(fs::Metadata::is_file);
            match filters.get(path).map(Vec::as_slice) {
                // git can take in nothing else: a FIFO, a socket.
                _ if found.is_ok_and(|found| {
                    !found.is_file() && !found.is_dir() && !found.is_symlink()
                }) =>
                {
                    removed.push(path);
                }
                Some(LFS) if is_regular => pointers.push(path),
                // In the index it is encrypted.
                Some(filter)
                    if is_regular && String::from_utf8_lossy(filter).contains(ENCRYPTING) =>
                {
                    left_out.keep_encrypted(path);
                }
                _ => taken.extend_from_slice(&[path, b"\0"].concat()),
            }
        }
        // First what may be in the way of others.
        self.remove(&removed)?;
        if !taken.is_empty() {
            feed(
                self.git()
                    .args(["update-index", "--add", "--remove", "-z", "--stdin"]),
                &taken,
            )?;
        }
        self.add_pointers(&pointers, left_out)
    }

    /// Whether a parent folder of a file is a link; `known` caches the answers.
    fn is_beyond_link(&self, path: &[u8], known: &mut BTreeMap<Vec<u8>, bool>) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(end, _)| end);
        let is_link = |folder: &[u8]| {
            fs::symlink_metadata(self.root.join(OsStr::from_bytes(folder)))
                .is_ok_and(|found| found.is_symlink())
        };
        ends.map(|end| &path[..end]).any(|folder| {
            *known
                .entry(folder.to_vec())
                .or_insert_with(|| is_link(folder))
        })
    }

    /// Takes files out of our index.
    pub(super) fn remove(&self, removed: &[&[u8]]) -> Result<(), CodeError> {
        if removed.is_empty() {
            return Ok(());
        }
        let removed: Vec<u8> = removed
            .iter()
            .flat_map(|path| [path, b"\0".as_slice()].concat())
            .collect();
        feed(
            self.git()
                .args(["update-index", "--force-remove", "-z", "--stdin"]),
            &removed,
        )
    }

    /// Returns which of some files the attributes name a filter for, which nothing of ours executes.
    fn filters(&self, listed: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, CodeError> {
        let answer = answer(
            self.git().args(["check-attr", "-z", "--stdin", "filter"]),
            listed,
        )?;
        let fields: Vec<_> = answer.split(|byte| *byte == 0).collect();
        let is_set = |value: &[u8]| !matches!(value, b"unspecified" | b"unset" | b"set" | b"");
        let filters = fields.chunks_exact(3).filter(|fields| is_set(fields[2]));
        Ok(filters
            .map(|fields| (fields[0].to_vec(), fields[2].to_vec()))
            .collect())
    }

    /// Puts pointers as Git LFS makes them into our index for files that it keeps elsewhere.
    fn add_pointers(&mut self, files: &[&[u8]], left_out: &mut LeftOut) -> Result<(), CodeError> {
        let mut entries = Vec::new();
        for path in files {
            let file = self.root.join(OsStr::from_bytes(path));
            let now = stamp(&file);
            let known = self
                .pointers
                .get(*path)
                .filter(|(stamp, _)| *stamp == now)
                .map(|(_, object)| object.clone());
            let object = match known {
                Some(object) => object,
                None => {
                    let text = pointer(&file).map_err(|source| CodeError::File {
                        path: file.clone(),
                        source,
                    })?;
                    line(answer(
                        self.git().args(["hash-object", "-w", "--stdin"]),
                        text.as_bytes(),
                    )?)
                }
            };
            entries
                .extend_from_slice(&[b"100644 ", object.as_bytes(), b"\t", path, b"\0"].concat());
            self.pointers.insert(path.to_vec(), (now, object));
            left_out.note_unlike(path);
        }
        if entries.is_empty() {
            Ok(())
        } else {
            feed(
                self.git().args(["update-index", "-z", "--index-info"]),
                &entries,
            )
        }
    }

    /// Takes what looks like a secret out of our index, tracked by git or not.
    pub(super) fn withhold_secrets(&mut self, left_out: &mut LeftOut) -> Result<(), CodeError> {
        let staged = output(self.git().args(["ls-files", "-z", "--stage"]))?;
        let (mut withheld, mut contents) = (Vec::new(), Vec::new());
        // `mode hash stage\tpath`
        for entry in paths(&staged) {
            let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else {
                continue;
            };
            let (head, path) = (&entry[..tab], &entry[tab + 1..]);
            let Some(object) = head
                .split(|byte| *byte == b' ')
                .nth(1)
                .filter(|_| head.starts_with(b"100"))
            else {
                continue;
            };
            if left_out.is_kept_by_user(path) {
                continue;
            }
            if secret::is_likely(path) {
                left_out.withhold_by_name(path);
                withheld.push(path);
            } else {
                contents.push((path, object));
            }
        }
        let mut unknown: Vec<&[u8]> = contents
            .iter()
            .map(|(_, object)| *object)
            .filter(|object| !self.scanned.known.contains_key(*object))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        for (object, found) in scan(&|| self.git(), &unknown)? {
            self.scanned
                .known
                .insert(object, found.first().map(|finding| finding.what));
        }
        for (path, object) in contents {
            if let Some(Some(what)) = self.scanned.known.get(object) {
                left_out.withhold_by_content(path, what);
                withheld.push(path);
            }
        }
        self.remove(&withheld)
    }
}

/// Returns the pointer that Git LFS puts in the place of a file; a file that is one already is itself.
fn pointer(path: &Path) -> io::Result<String> {
    let file = File::options()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)?;
    let (mut file, mut hash, mut size) = (
        BufReader::with_capacity(PIECE_BYTES, file),
        Sha256::new(),
        0,
    );
    if file.fill_buf()?.starts_with(crate::store::LFS_POINTER) {
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text)?;
        return Ok(text);
    }
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        size += piece.len();
        let read = piece.len();
        file.consume(read);
    }
    let digest = hex::encode(hash.finalize());
    Ok(format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n"
    ))
}
