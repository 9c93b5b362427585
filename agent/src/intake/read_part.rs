//! The part of a file that has been read, by which a file that its program writes again is noticed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes at the beginning of a file that are compared: the whole of files that programs rewrite in
/// place, since those hold one result each.
const START_BYTES: usize = 64 << 10;
/// Bytes before the end of what was read that are compared.
const END_BYTES: usize = 512;

/// The part of a file that has been read.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadPart {
    length: u64,
    /// Its first bytes.
    start: Vec<u8>,
    /// Its last bytes.
    end: Vec<u8>,
}

impl ReadPart {
    /// Returns a part of which only the length is known, as after a restart of the agent.
    pub(crate) fn of_length(length: u64) -> Self {
        Self {
            length,
            ..Self::default()
        }
    }

    /// Returns the part that these bytes are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut part = Self::default();
        part.add(bytes);
        part
    }

    /// Returns its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds the bytes behind it.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if self.start.len() as u64 == self.length {
            let missing = (START_BYTES - self.start.len()).min(bytes.len());
            self.start.extend_from_slice(&bytes[..missing]);
        }
        self.length += bytes.len() as u64;
        self.end
            .extend_from_slice(&bytes[bytes.len().saturating_sub(END_BYTES)..]);
        self.end.drain(..self.end.len().saturating_sub(END_BYTES));
    }

    /// Returns whether a file of a length still begins with it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn is_in(&self, file: &File, length: u64) -> io::Result<bool> {
        if length < self.length {
            return Ok(false);
        }
        let has = |bytes: &[u8], at: u64| {
            let mut found = vec![0; bytes.len()];
            match file.read_exact_at(&mut found, at) {
                Ok(()) => Ok(found == bytes),
                // It is being cut just now.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
                Err(error) => Err(error),
            }
        };
        Ok(has(&self.start, 0)? && has(&self.end, self.length - self.end.len() as u64)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_differs_in_the_middle_alone_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.json");
        let content = |value: &str| format!("{}{value}{}", "a".repeat(2000), "b".repeat(2000));
        let is_in = |part: &ReadPart, content: &str| {
            fs::write(&path, content).unwrap();
            part.is_in(&File::open(&path).unwrap(), content.len() as u64)
                .unwrap()
        };
        let mut part = ReadPart::of(content("0.9").as_bytes());
        assert!(is_in(&part, &content("0.9")));
        assert!(is_in(&part, &(content("0.9") + "more")));
        assert!(!is_in(&part, &content("0.8")));
        assert!(!is_in(&part, "short"));
        part.add(b"more");
        assert!(is_in(&part, &(content("0.9") + "more")));
        assert!(!is_in(&part, &(content("0.9") + "less")));
        let mut resumed = ReadPart::of_length(4);
        resumed.add(b"tail");
        assert!(is_in(&resumed, "headtail") && !is_in(&resumed, "headTAIL"));
    }
}
