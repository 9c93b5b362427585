//! Compares rows of the query tables with those that follow from the log, column by column.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::connection::make_tables;
use super::put::put_rows;
use crate::store::{Batch, RunRow, StoreError};

/// The query tables that are compared, and what a row of each is called.
const TABLES: [(&str, &str); 4] = [
    ("sweeps", "sweep"),
    ("runs", "run"),
    ("agents", "agent"),
    ("environments", "environment"),
];

/// The columns of a query table.
struct TableColumns {
    keys: Vec<String>,
    /// All but the body, which has fields that may lag behind.
    compared: Vec<String>,
}

impl TableColumns {
    fn of(connection: &Connection, table: &str) -> Result<Self, StoreError> {
        let mut statement = connection
            .prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk = 0, pk, cid")?;
        let columns = statement.query_map([table], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))
        })?;
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let keys = columns
            .iter()
            .filter(|(_, place)| *place > 0)
            .map(|(name, _)| name.clone())
            .collect();
        let compared = columns
            .into_iter()
            .map(|(name, _)| name)
            .filter(|name| name != "body")
            .collect();
        Ok(Self { keys, compared })
    }
}

/// Returns the row of a run without what may lag behind its reports by a moment.
pub fn without_lag(mut row: RunRow) -> RunRow {
    if row.ended_ms == 0 {
        (row.best, row.last) = (None, None);
        row.attempts
            .iter_mut()
            .for_each(|attempt| attempt.metrics.clear());
    }
    row
}

/// Returns for which of these rows a column beside the body has another value in the database, or none, in words.
///
/// # Errors
/// The database cannot be read.
pub(super) fn differing_columns(
    connection: &Connection,
    rows: &Batch,
) -> Result<Vec<String>, StoreError> {
    let mut expected = Connection::open_in_memory()?;
    make_tables(&expected)?;
    let transaction = expected.transaction()?;
    put_rows(&transaction, rows)?;
    let mut problems = Vec::new();
    for (table, name) in TABLES {
        // A database of an earlier format has fewer tables and columns.
        let columns = TableColumns::of(connection, table)?;
        if columns.keys.is_empty() {
            continue;
        }
        let list = columns
            .compared
            .iter()
            .map(|column| format!("\"{column}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let key = columns
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| format!("\"{key}\" = ?{}", index + 1))
            .collect::<Vec<_>>()
            .join(" AND ");
        let mut should = transaction.prepare(&format!("SELECT {list} FROM {table}"))?;
        let mut is = connection.prepare(&format!("SELECT {list} FROM {table} WHERE {key}"))?;
        let read = |row: &rusqlite::Row<'_>| {
            (0..columns.compared.len())
                .map(|index| row.get::<_, Value>(index))
                .collect::<Result<Vec<_>, _>>()
        };
        let mut wanted = should.query([])?;
        while let Some(row) = wanted.next()? {
            let wanted = read(row)?;
            // Keys come first in the order of the columns.
            let keys = &wanted[..columns.keys.len()];
            let path = keys.iter().map(words).collect::<Vec<_>>().join("/");
            let Some(found) = is.query_row(params_from_iter(keys), read).optional()? else {
                problems.push(format!("{name} {path}: its row is missing"));
                continue;
            };
            if let Some(index) = (0..wanted.len()).find(|index| found[*index] != wanted[*index]) {
                problems.push(format!(
                    "{name} {path}: the column {} of its row does not say what the log says",
                    columns.compared[index]
                ));
            }
        }
    }
    Ok(problems)
}

fn words(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        _ => "?".to_owned(),
    }
}
