//! Metrics in the files that frameworks write: TensorBoard's event files, CSV files,
//! `trainer_state.json`, MLflow's file store, and files that the sweep file names. They are read as
//! they grow; the [`journal`] keeps the order in which that happened, so that each point counts
//! once.

mod baseline;
mod digest;
pub(crate) mod discovery;
mod emission;
pub(crate) mod events;
mod files;
mod found_file;
mod given;
mod journal;
mod kind;
mod line_file;
mod lines;
mod neighbours;
mod pieces;
mod rank;
mod replay;
mod series;
mod source;
mod table;
mod trainer_state;
mod update;
mod walk;
mod workplace;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use self::files::Files;
pub(crate) use self::update::FrameworkUpdate;
pub(crate) use self::workplace::Workplace;
use super::wandb;
use crate::process::tree::Tree;

/// From one look at the files to the next.
const PAUSE: Duration = Duration::from_millis(250);
/// The files of one attempt.
#[derive(Debug)]
pub(crate) struct FrameworkFiles {
    /// Absent only while a thread works with it.
    files: Option<Box<Files>>,
    next: Instant,
}

impl FrameworkFiles {
    /// Looks at what is there before a program is started, or, with `again`, at what an agent
    /// before this one has read. `asked` is the objective.
    pub(crate) async fn open(
        place: Workplace,
        asked: &str,
        began: SystemTime,
        again: bool,
    ) -> Self {
        let asked = asked.to_owned();
        let open =
            tokio::task::spawn_blocking(move || Box::new(Files::open(place, asked, began, again)));
        // A panic of this thread is a mistake of this program. The attempt continues without these
        // files.
        Self {
            files: open.await.ok(),
            next: Instant::now(),
        }
    }

    /// Takes in a line that the program has printed: W&B's library says where it keeps its run.
    pub(crate) fn hear(&mut self, line: &str) {
        let folder = wandb::folder_in(line);
        if let Some((files, folder)) = self.files.as_mut().zip(folder)
            && files.discovery.note_printed(Path::new(&folder))
        {
            self.next = Instant::now();
        }
    }

    /// Returns the new points. With `last`, no process can write any more.
    pub(crate) async fn read(&mut self, tree: &Tree, last: bool) -> FrameworkUpdate {
        if !last && Instant::now() < self.next {
            return FrameworkUpdate::default();
        }
        let Some(mut files) = self.files.take() else {
            return FrameworkUpdate::default();
        };
        let tree = tree.clone();
        let look = tokio::task::spawn_blocking(move || {
            let seen = files.look(&tree, last);
            (files, seen)
        });
        let Ok((files, seen)) = look.await else {
            return FrameworkUpdate::default();
        };
        self.files = Some(files);
        self.next = Instant::now() + if seen.more { Duration::ZERO } else { PAUSE };
        seen
    }
}

#[cfg(test)]
mod tests;
