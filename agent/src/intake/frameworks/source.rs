//! One file that a framework writes, read as it grows.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::events::EventFile;
use super::given::GivenPoints;
use super::journal::Position;
use super::kind::{self, FrameworkFileKind};
use super::line_file::LineFile;
use super::pieces::{PIECE_BYTES, piece};
use super::series::Sample;
use super::table::{Header, RowPosition};
use super::trainer_state;
use crate::intake::read_part::ReadPart;
use crate::private;

/// Of an event file, which may hold images, and of any other one, no more is read than this.
const EVENTS_BYTES_MAX: u64 = 8 << 30;
const LINES_BYTES_MAX: u64 = 1 << 30;
/// Longer files are not read as a whole.
const WHOLE_BYTES_MAX: u64 = 32 << 20;
/// How long a file has to stay as it is until it counts as written again.
const SETTLED: Duration = Duration::from_millis(500);

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) bytes: u64,
    pub(crate) modified_ns: i64,
    pub(crate) inode: u64,
}

/// Samples that were read, each with the folder below that of the file, and the place behind them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) samples: Vec<(String, Sample)>,
    pub(crate) position: Position,
}

/// The number of samples up to which a file is read while names are undecided.
const SAMPLES_MAX: usize = 100_000;

/// A file.
#[derive(Debug)]
pub(crate) struct SeriesFile {
    pub(crate) id: u32,
    pub(crate) path: PathBuf,
    pub(crate) kind: FrameworkFileKind,
    /// The folder that identifies its series.
    pub(crate) folder: PathBuf,
    /// Points that were read and have no names yet. Until they have, nothing further is read.
    pub(crate) chunk: Option<Chunk>,
    /// A table counts only if its header has a column of steps.
    needs_step: bool,
    /// Some samples have been read.
    pub(crate) has_samples: bool,
    reader: FormatReader,
    stamp: Option<Stamp>,
    /// Set while there is more to read than was read in one go.
    has_more: bool,
    has_complained: bool,
}

#[derive(Debug)]
enum FormatReader {
    Events(EventFile, u64),
    Table(Table),
    Whole,
    Lines(LineFile),
}

#[derive(Debug, Default)]
struct Table {
    header: Option<(Vec<u8>, Header)>,
    position: RowPosition,
    /// The header and the rows that were read.
    read: ReadPart,
    /// The points of these rows.
    given: GivenPoints,
    /// The file is another one than before, since then.
    changed: Option<(Stamp, Instant)>,
}

/// The result of reading a file once.
#[derive(Debug, Default)]
pub(crate) struct SourceUpdate {
    /// Something that the user should know, once a file.
    pub(crate) complaint: Option<String>,
    /// The file ends within a record.
    pub(crate) torn: Option<String>,
    /// There may be more to read at once.
    pub(crate) more: bool,
}

impl Stamp {
    pub(crate) fn of(about: &Metadata) -> Self {
        let modified_ns = about
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(about.mtime_nsec());
        Self {
            bytes: about.len(),
            modified_ns,
            inode: about.ino(),
        }
    }
}

impl SeriesFile {
    /// A file of which everything before a position was read.
    pub(crate) fn new(
        id: u32,
        path: PathBuf,
        kind: FrameworkFileKind,
        needs_step: bool,
        position: Position,
    ) -> Self {
        let folder = kind::series_folder(kind, &path);
        let mut source = Self {
            id,
            path,
            kind,
            folder,
            chunk: None,
            needs_step,
            has_samples: position != Position::default(),
            reader: FormatReader::Whole,
            stamp: None,
            has_more: false,
            has_complained: false,
        };
        source.go_to(position);
        source
    }

    /// Continues behind a position.
    pub(crate) fn go_to(&mut self, position: Position) {
        self.reader = match self.kind {
            FrameworkFileKind::Events => {
                FormatReader::Events(EventFile::starting_at(position.offset), position.offset)
            }
            FrameworkFileKind::Table => FormatReader::Table(Table {
                position: RowPosition {
                    rows: position.rows,
                    digest: position.digest,
                },
                given: match &mut self.reader {
                    FormatReader::Table(table) => std::mem::take(&mut table.given),
                    _ => GivenPoints::default(),
                },
                ..Table::default()
            }),
            FrameworkFileKind::TrainerState
            | FrameworkFileKind::MlflowDatabase
            | FrameworkFileKind::Wandb => FormatReader::Whole,
            FrameworkFileKind::MlflowMetric
            | FrameworkFileKind::MlflowLog
            | FrameworkFileKind::Lines => FormatReader::Lines(LineFile::at(position.offset)),
        };
    }

    /// Records a point that an agent before this one has read.
    pub(crate) fn restore_point(&mut self, tag: &str, step: Option<i64>, value: f64) {
        if let FormatReader::Table(table) = &mut self.reader {
            table.given.add(tag, step, value);
        }
    }

    /// Returns whether the sweep file names it.
    pub(crate) fn is_named(&self) -> bool {
        !self.needs_step
    }

    /// Returns whether the file describes hyperparameters beside its scalars.
    pub(crate) fn repeats_results(&self) -> bool {
        matches!(&self.reader, FormatReader::Events(file, _) if file.has_hparams)
    }

    /// Reads new points into the chunk. With `last`, no process can write any more.
    pub(crate) fn look(&mut self, last: bool) -> SourceUpdate {
        let mut look = SourceUpdate::default();
        let is_short = |chunk: &Chunk| chunk.samples.len() < SAMPLES_MAX;
        // At the end, what follows in a file of events may settle the names of what waits.
        let reads_on = last
            && matches!(self.reader, FormatReader::Events(..))
            && self.chunk.as_ref().is_some_and(is_short);
        let waiting = if reads_on { self.chunk.take() } else { None };
        if self.chunk.is_some() {
            // Points that were written behind it have yet to be read, and there is no later round.
            look.more = last;
            return look;
        }
        let read = self.read(last, &mut look);
        if let Some(mut waiting) = waiting {
            if let Some(Chunk { samples, position }) = self.chunk.take() {
                waiting.samples.extend(samples);
                waiting.position = position;
            }
            self.chunk = Some(waiting);
        }
        match read {
            Ok(()) => {}
            // It was deleted; what was read of it counts.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.has_more = false,
            Err(error) => {
                look.complaint = Some(format!("{} cannot be read: {error}", self.path.display()));
            }
        }
        look.complaint = look
            .complaint
            .filter(|_| !std::mem::replace(&mut self.has_complained, true));
        look.torn = look
            .torn
            .filter(|_| !std::mem::replace(&mut self.has_complained, true));
        look.more = self.has_more;
        self.has_samples |= self.chunk.is_some();
        look
    }

    fn read(&mut self, last: bool, look: &mut SourceUpdate) -> io::Result<()> {
        let stamp = Stamp::of(&self.path.symlink_metadata()?);
        let is_unsettled =
            matches!(&self.reader, FormatReader::Table(table) if table.changed.is_some());
        if self.stamp == Some(stamp) && !self.has_more && !is_unsettled && !last {
            return Ok(());
        }
        let mut file = private::open_of_program(&self.path)?;
        let bytes = file.metadata()?.len();
        self.stamp = Some(stamp);
        self.has_more = false;
        let path = self.path.display();
        if let Some(bytes_max) = self.reader.end_of_reading(bytes) {
            look.complaint = Some(format!(
                "{path} is longer than {} GB; what follows is not read",
                bytes_max >> 30
            ));
            return Ok(());
        }
        match &mut self.reader {
            FormatReader::Events(events, offset) => {
                self.has_more = read_events(events, offset, &mut file, bytes, &mut self.chunk)?;
                let words = |damage: &str| format!("{path} {damage}; its intact records are read");
                if events.is_damaged() {
                    look.complaint = Some(words("is damaged"));
                } else if last && !self.has_more && events.is_incomplete() {
                    look.torn = Some(words("ends within a record"));
                }
            }
            FormatReader::Table(table) => {
                let (samples, more) = table.read(&mut file, bytes, stamp, last, self.needs_step)?;
                self.has_more = more;
                let position = Position {
                    offset: table.read.length(),
                    rows: table.position.rows,
                    digest: table.position.digest,
                };
                keep(&mut self.chunk, samples, position);
                if bytes > WHOLE_BYTES_MAX && table.changed.is_some() {
                    look.complaint = Some(format!(
                        "{path} is written again and again and longer than {} MB; it is not read",
                        WHOLE_BYTES_MAX >> 20
                    ));
                }
            }
            FormatReader::Whole => {
                let content = piece(&mut file, 0, WHOLE_BYTES_MAX)?;
                match trainer_state::read(&content) {
                    Some(samples) => keep(&mut self.chunk, samples, Position::default()),
                    None if last => {
                        look.complaint = Some(format!(
                            "{path} is not complete, or not in the form of Hugging Face's Trainer; it is not read"
                        ));
                    }
                    // It is being written.
                    None => self.stamp = None,
                }
            }
            FormatReader::Lines(lines) => {
                let (samples, more) = lines.read(self.kind, &self.path, &mut file, bytes, last)?;
                self.has_more = more;
                let position = Position {
                    offset: lines.offset,
                    ..Position::default()
                };
                self.chunk =
                    Some(Chunk { samples, position }).filter(|chunk| !chunk.samples.is_empty());
            }
        }
        Ok(())
    }
}

impl FormatReader {
    /// Returns the limit of the file's length, once it has been read up to there.
    fn end_of_reading(&self, bytes: u64) -> Option<u64> {
        let (offset, bytes_max) = match self {
            Self::Events(_, offset) => (*offset, EVENTS_BYTES_MAX),
            Self::Table(table) => (table.read.length(), LINES_BYTES_MAX),
            Self::Lines(lines) => (lines.offset, LINES_BYTES_MAX),
            Self::Whole => (0, WHOLE_BYTES_MAX),
        };
        (offset >= bytes_max && bytes >= offset).then_some(bytes_max)
    }
}

/// Reads the next piece of a file of events. Returns whether there may be more.
fn read_events(
    events: &mut EventFile,
    offset: &mut u64,
    file: &mut File,
    bytes: u64,
    chunk: &mut Option<Chunk>,
) -> io::Result<bool> {
    if bytes < *offset {
        (*events, *offset) = (EventFile::default(), 0);
    }
    let piece = piece(file, *offset, PIECE_BYTES)?;
    *offset += piece.len() as u64;
    let samples = events.push(&piece);
    let position = Position {
        offset: events.position(),
        ..Position::default()
    };
    keep(chunk, samples, position);
    Ok(piece.len() as u64 == PIECE_BYTES)
}

fn keep(chunk: &mut Option<Chunk>, samples: Vec<Sample>, position: Position) {
    if !samples.is_empty() {
        *chunk = Some(Chunk {
            samples: samples
                .into_iter()
                .map(|sample| (String::new(), sample))
                .collect(),
            position,
        });
    }
}

impl Table {
    /// Returns samples of new rows, and whether there may be more.
    fn read(
        &mut self,
        file: &mut File,
        bytes: u64,
        stamp: Stamp,
        last: bool,
        needs_step: bool,
    ) -> io::Result<(Vec<Sample>, bool)> {
        let is_same = self.header.is_some() && self.read.is_in(file, bytes)?;
        if let Some((_, header)) = self.header.as_ref().filter(|_| is_same) {
            self.changed = None;
            if needs_step && !header.has_step() {
                return Ok((Vec::new(), false));
            }
            let piece = piece(file, self.read.length(), PIECE_BYTES)?;
            let more = piece.len() as u64 == PIECE_BYTES;
            let complete = complete(&piece, last && !more);
            let samples = self.position.take(header, complete);
            self.given.add_all(&samples);
            // A row as long as a piece is no row of metrics.
            let is_too_long = more && complete.is_empty();
            self.read.add(if is_too_long { &piece } else { complete });
            return Ok((samples, more));
        }
        // Of a file that is new the header is enough; the rows follow in pieces.
        let is_new = self.position.rows == 0;
        let content = piece(file, 0, if is_new { PIECE_BYTES } else { WHOLE_BYTES_MAX })?;
        let Some(line_end) = content.iter().position(|byte| *byte == b'\n') else {
            return Ok((Vec::new(), false));
        };
        let line = content[..=line_end].to_vec();
        let header = Header::read(&line);
        if is_new {
            self.read = ReadPart::of(&line);
            self.header = Some((line, header));
            return Ok((Vec::new(), true));
        }
        let is_settled = last
            || self
                .changed
                .is_some_and(|(before, since)| before == stamp && since.elapsed() >= SETTLED);
        if self.changed.is_none_or(|(before, _)| before != stamp) {
            self.changed = Some((stamp, Instant::now()));
        }
        let rows = complete(&content[line.len()..], last);
        let position = &mut self.position;
        let Some(samples) = position.take_again(&header, rows, is_settled, &self.given) else {
            return Ok((Vec::new(), false));
        };
        self.given.add_all(&samples);
        let taken = line.len() + rows.len();
        (self.read, self.changed) = (ReadPart::of(&content[..taken]), None);
        self.header = Some((line, header));
        Ok((samples, true))
    }
}

/// Returns the lines that have an end; all bytes where nothing follows.
fn complete(bytes: &[u8], is_last: bool) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    if is_last { bytes } else { &bytes[..end] }
}

/// Returns the position behind what a file held before the attempt began.
///
/// # Errors
/// It cannot be read.
pub(crate) fn position_behind(
    path: &Path,
    kind: FrameworkFileKind,
    bytes: u64,
) -> io::Result<Position> {
    if kind != FrameworkFileKind::Table {
        return Ok(Position {
            offset: bytes,
            ..Position::default()
        });
    }
    let mut file = private::open_of_program(path)?;
    let content = piece(&mut file, 0, bytes.min(WHOLE_BYTES_MAX))?;
    let Some(line_end) = content.iter().position(|byte| *byte == b'\n') else {
        return Ok(Position::default());
    };
    let mut position = RowPosition::default();
    position.take(
        &Header::read(&content[..=line_end]),
        &content[line_end + 1..],
    );
    Ok(Position {
        offset: bytes,
        rows: position.rows,
        digest: position.digest,
    })
}
