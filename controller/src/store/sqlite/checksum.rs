//! Checksums of rows that do not follow from the log: output, replies, formats, tokens. Rows that an earlier version wrote have none.

use rusqlite::{Connection, Row};

use super::values::int;
use crate::store::StoreError;

/// Tables with a checksum in each row, and the columns that it is made from.
const TABLES: [(&str, &str); 4] = [
    ("logs", "sweep, run, attempt, offset, data"),
    ("replies", "request_id, at_ms, digest, body"),
    ("formats", "format, version"),
    ("tokens", "hash, created_ms"),
];

/// Adds the column to tables that lack it. An earlier version still writes rows, without a checksum.
///
/// # Errors
/// The database failed or has no room.
pub(super) fn add_columns(connection: &Connection) -> Result<(), StoreError> {
    for (table, _) in TABLES {
        let columns =
            "SELECT count(*), coalesce(sum(name = 'checksum'), 0) FROM pragma_table_info(?1)";
        let (all, with): (u32, u32) =
            connection.query_row(columns, [table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if all > 0 && with == 0 {
            connection
                .execute_batch(&format!("ALTER TABLE {table} ADD COLUMN checksum INTEGER"))?;
        }
    }
    Ok(())
}

/// A part of a row.
pub(super) enum Part<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

/// CRC-32 over the parts of a row, each with its length.
pub(super) fn of(parts: &[Part<'_>]) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    for part in parts {
        match part {
            Part::Number(number) => hash.update(&number.to_le_bytes()),
            Part::Bytes(bytes) => {
                hash.update(&(bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            }
        }
    }
    hash.finalize()
}

/// How many rows of a table are compared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent {
    /// All rows.
    All,
    /// The greatest number, each at a random place.
    Sample(u32),
}

/// Returns the checksum of a row of `tokens`.
pub fn token_checksum(hash: &[u8], created_ms: i64) -> u32 {
    of(&[Part::Bytes(hash), Part::Number(created_ms)])
}

/// Compares rows with their checksums, and returns what does not fit, in words.
///
/// # Errors
/// A table cannot be read.
pub(super) fn damaged_rows(
    connection: &Connection,
    extent: Extent,
) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    for (table, columns) in TABLES {
        let exists = "SELECT count(*) FROM pragma_table_info(?1) WHERE name = 'checksum'";
        if connection.query_row(exists, [table], |row| row.get::<_, u32>(0))? == 0 {
            continue;
        }
        match extent {
            Extent::All => {
                let mut statement =
                    connection.prepare(&format!("SELECT checksum, {columns} FROM {table}"))?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    problems.extend(problem(table, row)?);
                }
            }
            Extent::Sample(count) => {
                let Some(key) = sampled_key(table) else {
                    continue;
                };
                let found = format!("SELECT checksum, {columns} FROM {table} WHERE {key} LIMIT 1");
                let mut statement = connection.prepare(&found)?;
                for _ in 0..count {
                    let mut rows = statement.query([])?;
                    if let Some(row) = rows.next()? {
                        problems.extend(problem(table, row)?);
                    }
                }
                problems.dedup();
            }
        }
    }
    Ok(problems)
}

/// Returns a condition for rows from a random place on.
fn sampled_key(table: &str) -> Option<&'static str> {
    match table {
        "logs" => Some("rowid >= (SELECT abs(random() % (SELECT max(rowid) FROM logs)) + 1)"),
        // Request ids are random text.
        "replies" => Some("request_id >= lower(hex(randomblob(2)))"),
        _ => None,
    }
}

fn problem(table: &str, row: &Row<'_>) -> Result<Option<String>, StoreError> {
    use rusqlite::types::ValueRef;
    let Some(sum) = row.get::<_, Option<i64>>(0)? else {
        return Ok(None);
    };
    let columns = row.as_ref().column_count();
    let mut parts = Vec::with_capacity(columns);
    for index in 1..columns {
        parts.push(match row.get_ref(index)? {
            ValueRef::Integer(number) => Part::Number(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Part::Bytes(bytes),
            ValueRef::Null | ValueRef::Real(_) => Part::Bytes(b""),
        });
    }
    if int(u64::from(of(&parts))) == sum {
        return Ok(None);
    }
    let text = |index: usize| match row.get_ref(index) {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => "?".to_owned(),
    };
    Ok(Some(match table {
        "logs" => format!(
            "the output of run {}/{} attempt {}: the piece at byte {} does not fit its checksum",
            text(1),
            text(2),
            text(3),
            text(4)
        ),
        "replies" => format!("the reply to request {} does not fit its checksum", text(1)),
        "tokens" => "the hash of a token does not fit its checksum".to_owned(),
        _ => format!(
            "the version that wrote format {} does not fit its checksum",
            text(1)
        ),
    }))
}
