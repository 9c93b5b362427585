//! Declared data sets, compared before each run; the user is told of changes.

use std::sync::{Arc, PoisonError};

use sweep_proto::v1::{Assignment, DataSet, Program};

use super::state::Session;
use crate::Notice;

impl Session {
    /// Looks at the data that the sweep file declares, before a slot asks for a run: the first look
    /// reads all of it, and a run that was taken has a lease.
    pub(super) async fn look_at_data(&self) {
        self.look_at(&self.program).await;
    }

    /// Looks again before a run that was taken begins: mostly at what was seen just now. What takes
    /// too long is left as it was seen last.
    pub(super) async fn look_at_data_of(&self, assignment: &Assignment) {
        let program = assignment.program.as_ref().unwrap_or(&self.program);
        let _ = tokio::time::timeout(self.lease / 4, self.look_at(program)).await;
    }

    async fn look_at(&self, program: &Program) {
        let Some(observer) = &self.observer else {
            return;
        };
        let sources = program.data.clone();
        if sources.is_empty() {
            observer
                .data
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            return;
        }
        let keeper = Arc::clone(&observer.keeper);
        let looking = tokio::task::spawn_blocking(move || {
            keeper
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .look(&sources)
        });
        let Ok(found) = looking.await else { return };
        let before = std::mem::replace(
            &mut *observer.data.lock().unwrap_or_else(PoisonError::into_inner),
            found.clone(),
        );
        for set in found {
            match before.iter().find(|known| known.name == set.name) {
                Some(known) if known.digest == set.digest && known.note == set.note => {}
                known => self.link.notice(Notice::Note(words(&set, known.is_some()))),
            }
        }
    }
}

/// Describes a data set, for the user.
fn words(set: &DataSet, known: bool) -> String {
    let news = if known {
        "the data has changed"
    } else {
        "data"
    };
    let note = if set.note.is_empty() {
        String::new()
    } else {
        format!("; {}", set.note)
    };
    let name = if set.name == set.location {
        set.name.clone()
    } else {
        format!("{} ({})", set.name, set.location)
    };
    match set.digest.get(..8) {
        Some(digest) => {
            let plural = if set.files == 1 { "" } else { "s" };
            format!(
                "{news}: {name} is {digest}, {} file{plural} by {}{note}",
                set.files, set.basis
            )
        }
        None => format!("{news}: {name} cannot be told: {}", set.note),
    }
}
