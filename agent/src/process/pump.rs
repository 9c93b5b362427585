//! Takes what a program prints through a pipe for each of its streams, and writes the log of both.
//!
//! A pipe without a reader kills the program. So the reader is the shim, whose end is the program's
//! in any case: neither a slow nor a dead agent matters. Output that a full disk does not take is
//! kept and tried again. The program waits once there is too much of it.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::private;
use crate::streams::{Merger, Stream, origins_of};

const PIECE_BYTES: usize = 64 << 10;
/// The backlog of a log that cannot be written, above which the program has to wait.
const BACKLOG_BYTES_MAX: usize = 1 << 20;
/// How long a line without an end is held while nothing else is printed.
const QUIET: Duration = Duration::from_secs(1);
/// A program that prints little at a time, and again within this, is looked at after a pause that
/// grows: each look costs some 15 µs.
const SOON: Duration = Duration::from_millis(20);
const LITTLE_BYTES: usize = 8 << 10;
const PAUSE_STEP: Duration = Duration::from_micros(250);
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// How often a full disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Writes the log of a program's output.
#[derive(Clone, Debug)]
pub(super) struct Pump(Arc<Mutex<PumpState>>);

#[derive(Debug)]
struct PumpState {
    /// By stream; `None`: no process can print to it any more.
    pipes: [Option<PipeReader>; 2],
    log: Backlog,
    origins: Backlog,
    merger: Merger,
    piece: Box<[u8]>,
}

/// A file, and what it has not taken yet.
#[derive(Debug)]
struct Backlog {
    file: File,
    waiting: Vec<u8>,
}

impl Pump {
    /// Makes the log of an attempt. Returns also what the program is to print to: standard output
    /// and standard error.
    ///
    /// # Errors
    /// The log or the pipes cannot be made.
    pub(super) fn open(log: &Path) -> io::Result<(Self, [PipeWriter; 2])> {
        let (file, _) = private::append(log)?;
        let (origins, _) = private::append(&origins_of(log))?;
        let merger = Merger::new(file.metadata()?.len());
        let [output, error] = [io::pipe()?, io::pipe()?];
        for pipe in [&output.0, &error.0] {
            fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let state = PumpState {
            pipes: [Some(output.0), Some(error.0)],
            log: Backlog {
                file,
                waiting: Vec::new(),
            },
            origins: Backlog {
                file: origins,
                waiting: Vec::new(),
            },
            merger,
            piece: vec![0; PIECE_BYTES].into(),
        };
        Ok((Self(Arc::new(Mutex::new(state))), [output.1, error.1]))
    }

    /// Returns when the log was last written to.
    pub(super) fn modified(&self) -> Option<std::time::SystemTime> {
        self.with(|state| state.log.file.metadata().ok()?.modified().ok())
    }

    /// Writes the log on its own thread.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub(super) fn start(&self) -> io::Result<()> {
        let pump = self.clone();
        thread::Builder::new()
            .name("sweep-output".to_owned())
            .spawn(move || pump.run())
            .map(drop)
    }

    fn run(&self) {
        // What is polled is not locked meanwhile.
        let copy = |pipe: &Option<PipeReader>| pipe.as_ref().and_then(|pipe| pipe.try_clone().ok());
        let mut pipes = self.with(|state| state.pipes.each_ref().map(copy));
        let (mut heard, mut pause) = (Instant::now(), Duration::ZERO);
        while pipes.iter().any(Option::is_some) {
            let is_behind = self.with(|state| state.is_behind());
            let wait = if is_behind { RETRY } else { QUIET };
            let wait = if is_behind || self.with(|state| state.merger.holds()) {
                timeout(wait)
            } else {
                PollTimeout::NONE
            };
            let is_full = self.with(|state| state.log.waiting.len() >= BACKLOG_BYTES_MAX);
            let mut ends: Vec<_> = pipes
                .iter()
                .flatten()
                .filter(|_| !is_full)
                .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
                .collect();
            let count = match poll(&mut ends, wait) {
                Err(Errno::EINTR) => continue,
                count => count.unwrap_or_default(),
            };
            if count > 0 {
                let is_soon = heard.elapsed() < SOON;
                pause = if is_soon {
                    PAUSE_MAX.min(pause + PAUSE_STEP)
                } else {
                    Duration::ZERO
                };
                thread::sleep(pause);
                heard = Instant::now();
            }
            self.with(|state| {
                if state.copy_once() > LITTLE_BYTES {
                    pause = Duration::ZERO;
                }
                if heard.elapsed() >= QUIET {
                    state.merger.flush();
                }
                state.write();
                for (pipe, of_state) in pipes.iter_mut().zip(&state.pipes) {
                    pipe.take_if(|_| of_state.is_none());
                }
            });
        }
    }

    /// Writes the rest of the pipes, once no process can print any more. Returns whether the files
    /// have taken everything.
    pub(super) fn finish(&self) -> bool {
        self.with(|state| {
            while state.log.waiting.len() < BACKLOG_BYTES_MAX && state.copy_once() > 0 {}
            state.merger.flush();
            state.write();
            !state.is_behind()
        })
    }

    fn with<T>(&self, what: impl FnOnce(&mut PumpState) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn timeout(wait: Duration) -> PollTimeout {
    PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
}

impl PumpState {
    /// Takes a piece from each pipe and returns how long they were together.
    fn copy_once(&mut self) -> usize {
        let mut copied = 0;
        for stream in Stream::ALL {
            let pipe = &mut self.pipes[stream as usize];
            match pipe.as_mut().map(|pipe| pipe.read(&mut self.piece)) {
                Some(Ok(0)) => *pipe = None,
                Some(Ok(length)) => {
                    copied += length;
                    self.merger.push(stream, &self.piece[..length]);
                }
                Some(Err(error))
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Some(Err(_)) => *pipe = None,
                None => {}
            }
        }
        copied
    }

    /// Writes what was merged. By then readers of the log know its source.
    fn write(&mut self) {
        let merged = self.merger.take();
        self.origins.waiting.extend(merged.origins);
        self.log.waiting.extend(merged.log);
        if self.origins.write() {
            self.log.write();
        }
    }

    fn is_behind(&self) -> bool {
        !self.log.waiting.is_empty() || !self.origins.waiting.is_empty()
    }
}

impl Backlog {
    /// Writes as much as the disk takes and returns whether that was all.
    fn write(&mut self) -> bool {
        let mut done = 0;
        while done < self.waiting.len() {
            match self.file.write(&self.waiting[done..]) {
                Ok(0) => break,
                Ok(length) => done += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.waiting.drain(..done);
        self.waiting.is_empty()
    }
}
