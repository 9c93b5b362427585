//! The image of the state, beside the log that it was made from.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sweep_lifecycle::state::SweepId;

use super::checksum::{self, Part};
use super::values::{count, int};
use crate::store::{Block, ImageHead, StoreError};

/// Made with the first image, so that a database on a full disk opens without. `events`: how many of the log are in it.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS image_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    maker TEXT NOT NULL,
    events INTEGER NOT NULL,
    body BLOB NOT NULL,
    checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS image_blocks (
    sweep TEXT NOT NULL,
    block INTEGER NOT NULL,
    body BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (sweep, block)
);
";

/// Writes a head, and blocks in the place of those with the same name; `whole`: in the place of all.
pub(super) fn keep(
    transaction: &Transaction<'_>,
    head: &ImageHead,
    whole: bool,
    blocks: &mut dyn Iterator<Item = (Block, Vec<u8>)>,
) -> Result<(), StoreError> {
    transaction.execute_batch(SCHEMA)?;
    if whole {
        transaction.execute("DELETE FROM image_blocks", [])?;
    }
    let mut put = transaction.prepare_cached(
        "REPLACE INTO image_blocks (sweep, block, body, checksum) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (name, body) in blocks {
        put.execute(params![
            name.0.0,
            int(name.1),
            body,
            block_sum(&name, &body)
        ])?;
    }
    let mut put = transaction.prepare_cached(
        "REPLACE INTO image_head (id, maker, events, body, checksum) VALUES (1, ?1, ?2, ?3, ?4)",
    )?;
    put.execute(params![
        head.maker,
        int(head.events),
        head.body,
        head_sum(head)
    ])?;
    // The head has no deleted sweep any more.
    transaction.execute(
        "DELETE FROM image_blocks WHERE sweep NOT IN (SELECT id FROM sweeps)",
        [],
    )?;
    Ok(())
}

pub(super) fn head(connection: &Connection) -> Result<Option<ImageHead>, StoreError> {
    let made = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('image_head', 'image_blocks')";
    if connection.query_row(made, [], |row| row.get::<_, u32>(0))? < 2 {
        return Ok(None);
    }
    let mut statement =
        connection.prepare("SELECT maker, events, body, checksum FROM image_head")?;
    let found = statement.query_row([], |row| {
        let head = ImageHead {
            maker: row.get(0)?,
            events: count(row.get(1)?),
            body: row.get(2)?,
        };
        Ok((head, row.get::<_, u32>(3)?))
    });
    let Some((head, checksum)) = found.optional()? else {
        return Ok(None);
    };
    fits(
        "the head",
        [head_sum(&head), crc32fast::hash(&head.body)],
        checksum,
    )?;
    Ok(Some(head))
}

pub(super) fn blocks(
    connection: &Connection,
    each: &mut dyn FnMut(Block, &[u8]),
) -> Result<(), StoreError> {
    let mut statement = connection
        .prepare("SELECT sweep, block, body, checksum FROM image_blocks ORDER BY sweep, block")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let block: Block = (SweepId(row.get(0)?), count(row.get(1)?));
        let body = row
            .get_ref(2)?
            .as_blob()
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        fits(
            "a block",
            [block_sum(&block, body), crc32fast::hash(body)],
            row.get(3)?,
        )?;
        each(block, body);
    }
    Ok(())
}

fn head_sum(head: &ImageHead) -> u32 {
    checksum::of(&[
        Part::Bytes(head.maker.as_bytes()),
        Part::Number(int(head.events)),
        Part::Bytes(&head.body),
    ])
}

fn block_sum((sweep, number): &Block, body: &[u8]) -> u32 {
    checksum::of(&[
        Part::Bytes(sweep.0.as_bytes()),
        Part::Number(int(*number)),
        Part::Bytes(body),
    ])
}

/// One of two: that of an earlier version is made from the body alone.
fn fits(what: &str, sums: [u32; 2], checksum: u32) -> Result<(), StoreError> {
    if sums.contains(&checksum) {
        return Ok(());
    }
    Err(StoreError::Failed(format!(
        "{what} of the image is damaged: its checksum does not fit"
    )))
}
