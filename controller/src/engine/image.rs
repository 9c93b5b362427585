//! The image of the state that the store keeps, so that a start need not fold the whole log. Losing it loses nothing but time.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;

use sweep_lifecycle::event::Event;
use sweep_lifecycle::evolve::evolve;
use sweep_lifecycle::state::State;
use sweep_lifecycle::state::image::{Block, FINGERPRINT, ImageError, Loader, block_of};

use super::group::Touched;
use crate::store::{ImageHead, NewImage, Store, StoreError};

/// Blocks that wait to be made into runs: some megabytes.
const BLOCKS_READ_AHEAD: usize = 16;

/// The changes since the last image.
#[derive(Debug)]
pub(super) struct Images {
    /// Events after which a new one is made.
    every: u64,
    /// Events since the last one.
    events: u64,
    /// The blocks to write again.
    blocks: BTreeSet<Block>,
    /// All must be written: what the store has, if anything, is not this state's.
    whole: bool,
}

impl Images {
    /// Notes what a commit has written.
    pub(super) fn note(&mut self, events: usize, touched: &Touched) {
        self.events += events as u64;
        let runs = touched.runs.iter().chain(&touched.reported);
        self.blocks
            .extend(runs.map(|(sweep, run)| (sweep.clone(), block_of(*run))));
        for (sweep, first, last) in &touched.ranges {
            self.blocks
                .extend((block_of(*first)..=block_of(*last)).map(|block| (sweep.clone(), block)));
        }
        self.blocks
            .retain(|(sweep, _)| !touched.deleted.contains(sweep));
    }

    /// Returns after how many events a new one is made.
    pub(super) fn every(&self) -> u64 {
        self.every
    }

    /// Returns whether it is time for a new one.
    pub(super) fn is_due(&self) -> bool {
        self.events >= self.every
    }

    /// Has the store keep an image of the state, if anything has happened since the last one. A full disk is no error: the log is there.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn keep(&mut self, state: &State, store: &mut dyn Store) -> Result<(), StoreError> {
        if std::mem::take(&mut self.events) == 0 {
            return Ok(());
        }
        let body = match state.write_head() {
            Ok(body) => body,
            Err(error) => {
                complain(&error);
                return Ok(());
            }
        };
        let all = self.whole.then(|| state.blocks()).into_iter().flatten();
        let changed = (!self.whole)
            .then(|| self.blocks.iter().cloned())
            .into_iter()
            .flatten();
        // An image that lacks a block is not read.
        let written = |block: Block| {
            state
                .write_block(&block)
                .map_err(|error| complain(&error))
                .ok()
                .map(|body| (block, body))
        };
        match store.keep_image(NewImage {
            maker: FINGERPRINT,
            head: body,
            whole: self.whole,
            blocks: &mut all.chain(changed).map_while(written),
        }) {
            Ok(()) => {
                self.whole = false;
                self.blocks.clear();
                Ok(())
            }
            Err(StoreError::Full) => {
                tracing::warn!(
                    "no space is left for an image of the state; without one, a start takes longer"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn complain(error: &ImageError) {
    tracing::error!(%error, "no image of the state is kept; a start will take longer");
}

/// Makes the state from the store: from its image and what came after it, or else from the whole log.
///
/// # Errors
/// The log cannot be read.
pub(super) fn load(store: &mut dyn Store, every: u64) -> Result<(State, Images), StoreError> {
    let mut images = Images {
        every,
        events: 0,
        blocks: BTreeSet::new(),
        whole: true,
    };
    let imaged = read_image(store).unwrap_or_else(|reason| {
        tracing::warn!(
            reason,
            "the image of the state cannot be used, and the whole log is read; `sweep controller verify` says whether more is damaged"
        );
        None
    });
    let mut touched = Touched::default();
    let (mut state, after) = imaged.unwrap_or_default();
    images.whole = after == 0;
    let mut events = 0;
    store.replay(after, &mut |recorded| {
        // Where all blocks are written, the changes do not matter.
        if after > 0 {
            touched.note(&recorded.event);
        }
        evolve(&mut state, &recorded);
        if let (Event::SweepEdited { sweep, .. }, true) = (&recorded.event, after > 0) {
            // Runs may have another value since.
            touched.ranges.extend(
                state
                    .sweeps
                    .get(sweep)
                    .map(|edited| (sweep.clone(), 1, edited.runs.last())),
            );
        }
        events += 1;
    })?;
    images.note(events, &touched);
    #[cfg(debug_assertions)]
    check(store, &state)?;
    Ok((state, images))
}

/// Returns the state as the image has it, and how many events of the log are in it.
fn read_image(store: &mut dyn Store) -> Result<Option<(State, u64)>, String> {
    let Some(head) = store.image_head().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    from_image(&head, |each| store.image_blocks(each))
}

/// Makes the state from an image; `None`: it was made by a program that was compiled from other sources.
///
/// # Errors
/// In words, why it is not whole.
pub(crate) fn from_image(
    head: &ImageHead,
    blocks: impl FnOnce(&mut dyn FnMut(Block, &[u8])) -> Result<(), StoreError>,
) -> Result<Option<(State, u64)>, String> {
    if head.maker != FINGERPRINT {
        tracing::info!("the image of the state is another version's; the whole log is read");
        return Ok(None);
    }
    // One thread reads and compares checksums, the other makes runs of what was read: of a million runs, each takes about as long.
    let (send, receive) = mpsc::sync_channel::<(Block, Vec<u8>)>(BLOCKS_READ_AHEAD);
    let loader = thread::scope(|scope| {
        let load = move || {
            let mut loader = Loader::default();
            receive
                .into_iter()
                .try_for_each(|((sweep, _), body)| loader.block(sweep, &body))
                .map(|()| loader)
        };
        let loader = thread::Builder::new()
            .spawn_scoped(scope, load)
            .map_err(|error| error.to_string())?;
        // The receiver has gone where a block was damaged: the loader reports it.
        let read = blocks(&mut |block, body| drop(send.send((block, body.to_vec()))));
        drop(send);
        let loader = loader
            .join()
            .map_err(|_| "its blocks cannot be read".to_owned())?;
        read.map_err(|error| error.to_string())?;
        loader.map_err(|error| error.to_string())
    })?;
    let state = loader
        .complete(&head.body)
        .map_err(|error| error.to_string())?;
    Ok(Some((state, head.events)))
}

/// An image is a help and never a second truth: while this is tested, each start compares.
#[cfg(debug_assertions)]
fn check(store: &mut dyn Store, state: &State) -> Result<(), StoreError> {
    let mut folded = State::default();
    store.replay(0, &mut |recorded| evolve(&mut folded, &recorded))?;
    assert!(
        sweep_lifecycle::state::image::same(state, &folded).unwrap_or(false),
        "the image of the state is not what the log says"
    );
    Ok(())
}
