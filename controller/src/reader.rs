//! Gives the services access to the query tables, on threads that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Semaphore;

use crate::store::{Query, StoreError};

/// Questions that are answered at once; more wait, so that no crowd of readers takes all threads and connections.
const QUESTIONS_AT_ONCE: usize = 16;

/// Asks the query tables. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    query: Arc<dyn Query>,
    places: Arc<Semaphore>,
    queries: Arc<AtomicU64>,
    is_inline: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Makes a reader of these tables.
    pub fn new(query: Arc<dyn Query>) -> Self {
        Self {
            query,
            places: Arc::new(Semaphore::new(QUESTIONS_AT_ONCE)),
            queries: Arc::default(),
            is_inline: false,
        }
    }

    /// Makes a reader that asks on the task of its caller: in a simulation no thread may decide what comes first.
    pub fn inline(query: Arc<dyn Query>) -> Self {
        Self {
            is_inline: true,
            ..Self::new(query)
        }
    }

    /// Asks a question on a thread that may block. A caller that goes away leaves nothing half-done: questions change nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Query) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let broken = |error: &dyn std::fmt::Display| {
            StoreError::Failed(format!("a question to the database broke off: {error}"))
        };
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|error| broken(&error))?;
        let query = Arc::clone(&self.query);
        self.queries.fetch_add(1, Ordering::Relaxed);
        if self.is_inline {
            return question(&*query);
        }
        let answer = tokio::task::spawn_blocking(move || {
            let answer = question(&*query);
            // Only now: a caller that has gone does not end the question.
            drop(place);
            answer
        });
        answer.await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// Returns how many questions have been asked.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }
}
