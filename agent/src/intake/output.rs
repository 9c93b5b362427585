//! The log of a program's output in the attempt's folder: what was printed to either stream, read
//! apart.

use std::io;
use std::path::PathBuf;

use super::printed::{OutputReader, Pattern, Printed};
use super::tail::Tail;
use crate::streams::{StreamOrigins, origins_of};

/// Reads the output of one attempt.
#[derive(Debug)]
pub(crate) struct Output {
    log: Tail,
    origins: Tail,
    streams: StreamOrigins,
    /// Bytes of the log that were read.
    length: u64,
    /// By stream.
    readers: [OutputReader; 2],
}

/// New output of a program.
#[derive(Debug, Default)]
pub(crate) struct OutputUpdate {
    /// The lines and metrics that were printed.
    pub(crate) printed: Printed,
    /// Why nothing can be read.
    pub(crate) complaint: Option<String>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl Output {
    pub(crate) fn new(log: PathBuf, patterns: &[Pattern]) -> Self {
        let origins = Tail::new(origins_of(&log));
        let readers = [(); 2].map(|()| OutputReader::new(patterns.to_vec()));
        Self {
            log: Tail::new(log),
            origins,
            streams: StreamOrigins::default(),
            length: 0,
            readers,
        }
    }

    /// Returns what is new; `last` also gives out a line without an end.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn read(&mut self, last: bool) -> io::Result<OutputUpdate> {
        let gain = self.log.read().await?;
        let more = !gain.bytes.is_empty();
        if gain.restarted {
            // The program has written over its log: where that is from is not known.
            self.streams = StreamOrigins::unknown();
            self.length = 0;
        } else if more {
            self.read_origins().await;
        }
        let mut printed = Printed::default();
        for (stream, piece) in self.streams.cut(self.length, &gain.bytes) {
            printed.extend(self.readers[stream as usize].push(piece));
        }
        self.length += gain.bytes.len() as u64;
        if last && !more {
            self.readers
                .iter_mut()
                .for_each(|reader| printed.extend(reader.finish()));
        }
        let removed =
            || "output.log was removed: what the program prints is read, but not kept".to_owned();
        let obstacle = gain
            .obstacle
            .map(|obstacle| format!("what the program prints is not read while {obstacle}"));
        let complaint = obstacle.or_else(|| gain.removed.then(removed));
        Ok(OutputUpdate {
            printed,
            complaint,
            more,
        })
    }

    /// Reads where the bytes of the log are from, which is written before them. Without it they are
    /// from one stream.
    async fn read_origins(&mut self) {
        while let Ok(gain) = self.origins.read().await {
            if gain.bytes.is_empty() {
                return;
            }
            self.streams.push(&gain.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::{Merger, Stream};

    /// A log that grows as a program prints.
    struct World {
        folder: tempfile::TempDir,
        merger: Merger,
        output: Output,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let regex = regex::Regex::new(r"val_loss: ([\d.]+)").unwrap();
            let output = Output::new(
                folder.path().join("output.log"),
                &[Pattern {
                    name: Some("val_loss".to_owned()),
                    regex,
                }],
            );
            Self {
                folder,
                merger: Merger::new(0),
                output,
            }
        }

        fn append(&self, name: &str, bytes: &[u8]) {
            use std::io::Write;
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(self.folder.path().join(name));
            file.unwrap().write_all(bytes).unwrap();
        }

        /// Prints, has the log written to its end, and returns what is read then.
        async fn print(&mut self, pieces: &[(Stream, &str)], last: bool) -> Printed {
            for (stream, text) in pieces {
                self.merger.push(*stream, text.as_bytes());
                self.merger.flush();
            }
            let merged = self.merger.take();
            self.append("output.streams", &merged.origins);
            self.append("output.log", &merged.log);
            let mut printed = self.output.read(false).await.unwrap().printed;
            if last {
                printed.extend(self.output.read(true).await.unwrap().printed);
            }
            printed
        }
    }

    fn values(printed: &Printed) -> Vec<f64> {
        printed
            .readings
            .iter()
            .map(|reading| reading.value)
            .collect()
    }

    #[tokio::test]
    async fn a_growing_log_is_read_to_its_last_line() {
        let mut world = World::new();
        assert!(!world.output.read(false).await.unwrap().more);
        let seen = world
            .print(
                &[(Stream::Output, "hello\n10%\r20%\r{\"loss\": 1}\nlast")],
                false,
            )
            .await;
        assert_eq!(
            (seen.lines.as_slice(), seen.readings.len()),
            (&["hello".to_owned(), "{\"loss\": 1}".to_owned()][..], 1)
        );
        assert_eq!(
            world.output.read(true).await.unwrap().printed.lines,
            ["last"]
        );
    }

    #[tokio::test]
    async fn what_one_stream_prints_is_not_read_into_what_the_other_does() {
        let mut world = World::new();
        let pieces = [
            (Stream::Output, "val_loss: "),
            (Stream::Error, "2026-11-30 evaluating\n"),
            (Stream::Output, "0.9\n"),
        ];
        let printed = world.print(&pieces, false).await;
        assert_eq!(
            (values(&printed), printed.lines.as_slice()),
            (
                vec![0.9],
                &[
                    "2026-11-30 evaluating".to_owned(),
                    "val_loss: 0.9".to_owned()
                ][..]
            )
        );
        let pieces = [
            (Stream::Output, "{\"val_loss\":\n"),
            (Stream::Error, "WARNING: slow\n"),
            (Stream::Output, "0.8}\n{\"val_loss\""),
        ];
        assert_eq!(values(&world.print(&pieces, false).await), [0.8]);
        let pieces = [
            (
                Stream::Error,
                "\r 50%|█████     | 3/6 [00:01<00:01,  2.00it/s]",
            ),
            (Stream::Output, ": 0.7}"),
        ];
        assert_eq!(
            values(&world.print(&pieces, true).await),
            [0.7],
            "the last line has no end"
        );
    }

    #[tokio::test]
    async fn a_log_without_origins_is_of_one_stream() {
        let mut world = World::new();
        world.append("output.log", b"val_loss: 0.9\n");
        assert_eq!(
            values(&world.output.read(false).await.unwrap().printed),
            [0.9]
        );
        std::fs::write(world.folder.path().join("output.log"), "x\nval_loss: 0.5\n").unwrap();
        assert_eq!(
            values(&world.output.read(false).await.unwrap().printed),
            [0.5],
            "its program has written over it"
        );
    }
}
