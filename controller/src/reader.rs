//! The way to the query tables for those who serve: the database is asked on a thread that may block.

use std::sync::Arc;

use crate::store::{Query, StoreError};

/// Asks the query tables. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    query: Arc<dyn Query>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    /// Makes a reader of these tables.
    pub fn new(query: Arc<dyn Query>) -> Self {
        Self { query }
    }

    /// Asks a question on a thread that may block. A caller that goes away leaves nothing half-done: questions change nothing.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Query) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let query = Arc::clone(&self.query);
        let answer = tokio::task::spawn_blocking(move || question(&*query)).await;
        answer.unwrap_or_else(|error| Err(StoreError::Failed(format!("a question to the database broke off: {error}"))))
    }
}
