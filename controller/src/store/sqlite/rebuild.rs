//! Replaces the rows of the query tables with those that follow from the log.

use rusqlite::{Transaction, TransactionBehavior};
use sweep_lifecycle::event::Event;

use super::log::read_events;
use super::put::{put_metrics, put_rows};
use super::values::count;
use super::write::SqliteStore;
use crate::store::{Batch, MetricRow, StoreError};

/// The query tables that follow from the log, with the columns of their keys.
const TABLES: [(&str, &str); 5] = [
    ("sweeps", "id"),
    ("runs", "sweep, run"),
    ("agents", "id"),
    ("environments", "sweep, digest"),
    ("metrics", "sweep, run, attempt, seq"),
];

/// A query table after a rebuild.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltTable {
    /// Its name.
    pub name: &'static str,
    /// The rows that it has now.
    pub rows: u64,
    /// Rows among them that were missing or had other contents.
    pub changed: u64,
    /// Rows that it had although nothing in the log leads to them.
    pub removed: u64,
}

impl SqliteStore {
    /// Replaces all rows of the query tables in one transaction: those of metrics with `metrics` of each event, the others with the rows of a
    /// batch. The log, the output of runs and the replies stay as they are.
    ///
    /// # Errors
    /// The log cannot be read, or the rows cannot be written; then nothing has changed.
    pub fn rebuild(
        &mut self,
        rows: &Batch,
        metrics: &dyn Fn(&Event) -> Vec<MetricRow>,
    ) -> Result<Vec<RebuiltTable>, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (table, _) in TABLES {
            transaction
                .execute_batch(&format!("CREATE TEMP TABLE old_{table} AS SELECT * FROM main.{table}; DELETE FROM main.{table};"))?;
        }
        put_rows(&transaction, rows)?;
        let mut outcome = Ok(());
        read_events(&transaction, 0, &mut |recorded| {
            if outcome.is_ok() {
                outcome = put_metrics(&transaction, &metrics(&recorded.event));
            }
        })?;
        outcome?;
        let rebuilt = TABLES
            .iter()
            .map(|(table, key)| compare(&transaction, table, key))
            .collect::<Result<_, _>>()?;
        for (table, _) in TABLES {
            transaction.execute_batch(&format!("DROP TABLE temp.old_{table};"))?;
        }
        // What was deleted may be there again, as far as the log still has it.
        transaction.execute_batch(
            "DELETE FROM stale_rows; UPDATE purges SET cursor = NULL; DELETE FROM run_counts;
             INSERT INTO run_counts SELECT sweep, code, state, count(*) FROM runs GROUP BY sweep, code, state;",
        )?;
        transaction.commit()?;
        self.shrink()?;
        Ok(rebuilt)
    }
}

impl SqliteStore {
    /// Rewrites the file without free pages, where it was made by a version that could not give them back. A full disk leaves it as it is.
    fn shrink(&self) -> Result<(), StoreError> {
        if self
            .connection
            .pragma_query_value(None, "auto_vacuum", |row| row.get::<_, u32>(0))?
            == 2
        {
            return Ok(());
        }
        match self
            .connection
            .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
            .map_err(StoreError::from)
        {
            Ok(()) | Err(StoreError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn compare(
    transaction: &Transaction<'_>,
    name: &'static str,
    key: &str,
) -> Result<RebuiltTable, StoreError> {
    let number = |query: String| {
        transaction
            .query_row(&query, [], |row| row.get(0))
            .map(count)
    };
    let new = format!("main.{name}");
    let old = format!("temp.old_{name}");
    Ok(RebuiltTable {
        name,
        rows: number(format!("SELECT count(*) FROM {new}"))?,
        changed: number(format!(
            "SELECT count(*) FROM (SELECT * FROM {new} EXCEPT SELECT * FROM {old})"
        ))?,
        removed: number(format!(
            "SELECT count(*) FROM (SELECT {key} FROM {old} EXCEPT SELECT {key} FROM {new})"
        ))?,
    })
}
