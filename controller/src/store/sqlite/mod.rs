//! The store of a single controller: one SQLite file in WAL mode with `synchronous=FULL`.
//!
//! `NORMAL` would lose the last commits at a power cut, which are acknowledged by then. There is one writing connection, owned by
//! the engine's thread; readers have their own connections and see whole commits only.

mod checksum;
mod connection;
mod copy;
mod image;
mod log;
mod presence;
mod purge;
mod put;
mod query;
mod reading;
mod rebuild;
mod room;
mod rows;
mod sample;
mod snapshot;
mod tables;
mod values;
mod write;

pub use checksum::token_checksum;
pub use connection::{FORMAT, holds_nothing};
pub use copy::{copy, look};
pub use presence::{rescued_beside, rescued_from};
pub use query::SqliteQuery;
pub use rebuild::RebuiltTable;
pub use room::make_room;
pub use rows::without_lag;
pub use sample::has_zeroed_pages;
pub use snapshot::{PointsDigest, SqliteSnapshot};
pub use write::SqliteStore;

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use rusqlite::Connection;
    use sweep_lifecycle::event::{Event, Recorded};
    use sweep_lifecycle::state::{SweepId, SweepState, Timestamp};

    use super::connection::open_to_read;
    use super::*;
    use crate::store::{Batch, LogChunk, Store, StoreError};

    fn open() -> (tempfile::TempDir, PathBuf, SqliteStore) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sweep.db");
        let store = SqliteStore::open(&path).unwrap();
        (dir, path, store)
    }

    fn batch(reason: &str) -> Batch {
        let event = Event::SweepStateChanged {
            sweep: SweepId("aaaaaaaa".to_owned()),
            state: SweepState::Paused,
            reason: reason.to_owned(),
        };
        Batch {
            events: vec![Recorded {
                at: Timestamp(1),
                event,
            }],
            ..Batch::default()
        }
    }

    fn events(store: &mut SqliteStore) -> Result<usize, StoreError> {
        let mut events = 0;
        store.replay(0, &mut |_| events += 1)?;
        Ok(events)
    }

    #[test]
    fn commits_survive_a_power_cut() {
        let (_dir, _path, store) = open();
        let (journal, synchronous) = store.settings();
        assert_eq!((journal.as_str(), synchronous), ("wal", 2));
    }

    #[test]
    fn data_of_a_newer_version_is_refused() {
        let (_dir, path, store) = open();
        drop(store);
        Connection::open(&path)
            .unwrap()
            .pragma_update(None, "user_version", FORMAT + 1)
            .unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        let expected = "the data has format 4, and this version of sweep reads formats up to 3: install the version of sweep that wrote it, or restore a \
                        backup that was made before the upgrade";
        assert_eq!(error.to_string(), expected);
        Connection::open(&path)
            .unwrap()
            .execute(
                "INSERT INTO formats (format, version) VALUES (4, '0.9.1')",
                [],
            )
            .unwrap();
        let error = SqliteStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("install sweep 0.9.1 or newer"), "{error}");
    }

    #[test]
    fn no_event_is_of_a_later_format() {
        let newest = sweep_lifecycle::event::EVENT_KINDS
            .iter()
            .map(|kind| kind.format)
            .max();
        assert!(
            newest <= Some(FORMAT),
            "{newest:?}: raise FORMAT, or an older version stops at an event that it cannot read"
        );
    }

    /// Returns the format that a database says it has.
    fn format(path: &Path) -> u32 {
        Connection::open(path)
            .unwrap()
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    }

    /// Makes a database that says it has the first format.
    fn old_database() -> (tempfile::TempDir, PathBuf) {
        let (dir, path, store) = open();
        drop(store);
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 1; DROP TABLE formats;")
            .unwrap();
        (dir, path)
    }

    #[test]
    fn data_of_an_older_format_is_raised_when_it_is_opened_to_write_and_by_no_reader() {
        let (_dir, path) = old_database();
        look(&path).unwrap();
        SqliteSnapshot::open(&path).unwrap();
        assert_eq!(format(&path), 1);
        drop(SqliteStore::open(&path).unwrap());
        assert_eq!(format(&path), FORMAT);
        let version: String = Connection::open(&path)
            .unwrap()
            .query_row("SELECT version FROM formats WHERE format = 3", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_full_disk_leaves_no_trace_and_passes() {
        let (_dir, _path, mut store) = open();
        store.append(&batch("first")).unwrap();
        store.limit_pages(Some(40));
        let attempt = sweep_lifecycle::state::AttemptRef {
            sweep: SweepId("aaaaaaaa".to_owned()),
            run: 1,
            attempt: 1,
        };
        let large = Batch {
            logs: vec![LogChunk {
                attempt,
                offset: 0,
                data: vec![b'x'; 1 << 20],
            }],
            ..batch("second")
        };
        assert!(matches!(store.append(&large), Err(StoreError::Full)));
        assert_eq!(events(&mut store).unwrap(), 1);
        store.append(&batch("small ones still fit")).unwrap();
        store.limit_pages(None);
        store.append(&large).unwrap();
        assert_eq!(events(&mut store).unwrap(), 3);
    }

    #[test]
    fn on_a_full_disk_the_first_commit_raises_the_format() {
        let (_dir, path) = old_database();
        let mut store = SqliteStore::with_connection(Connection::open(&path).unwrap()).unwrap();
        assert_eq!(format(&path), 1);
        store.append(&batch("first")).unwrap();
        assert_eq!(format(&path), FORMAT);
    }

    #[test]
    fn a_changed_byte_in_the_log_is_noticed() {
        let (_dir, path, mut store) = open();
        store.append(&batch("one reason")).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute("UPDATE events SET body = replace(body, 'one', 'two')", [])
            .unwrap();
        let error = events(&mut store).unwrap_err().to_string();
        assert_eq!(
            error,
            "the database is damaged: event 1 of the log is damaged: its checksum does not fit"
        );
    }

    /// The reasons of all events, which say what was written when.
    fn reasons(store: &mut SqliteStore) -> Result<Vec<String>, StoreError> {
        let mut reasons = Vec::new();
        store.replay(0, &mut |recorded| {
            if let Event::SweepStateChanged { reason, .. } = recorded.event {
                reasons.push(reason);
            }
        })?;
        Ok(reasons)
    }

    /// Writes commits and returns the database with its write-ahead log, as they would lie there after a crash.
    fn crashed(commits: usize, has_room: bool) -> (Vec<u8>, Vec<u8>) {
        let (_dir, path, mut store) = open();
        if has_room {
            room::fill(&path).unwrap();
        }
        for number in 0..commits {
            store.append(&batch(&number.to_string())).unwrap();
        }
        (
            std::fs::read(&path).unwrap(),
            std::fs::read(path.with_extension("db-wal")).unwrap(),
        )
    }

    fn reopened(database: &[u8], log: &[u8]) -> Result<Vec<String>, StoreError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sweep.db");
        std::fs::write(&path, database).unwrap();
        std::fs::write(path.with_extension("db-wal"), log).unwrap();
        SqliteStore::open(&path).and_then(|mut store| reasons(&mut store))
    }

    #[test]
    fn a_torn_log_is_a_prefix_of_the_history() {
        let (database, log) = crashed(40, false);
        let mut longest = 0;
        for length in (0..=log.len())
            .rev()
            .step_by(997)
            .chain([log.len(), log.len() - 1, 1])
        {
            let found = reopened(&database, &log[..length]).unwrap();
            assert_eq!(
                found,
                (0..found.len())
                    .map(|number| number.to_string())
                    .collect::<Vec<_>>(),
                "{length} bytes"
            );
            longest = longest.max(found.len());
        }
        assert_eq!(longest, 40, "what is whole is all there");
    }

    #[test]
    fn a_flipped_bit_gives_a_prefix_or_an_error_and_never_another_history() {
        let (database, log) = crashed(40, false);
        let mut shorter = 0;
        for (step, place) in (0..log.len()).step_by(613).enumerate() {
            let mut damaged = log.clone();
            damaged[place] ^= 1 << (step % 8);
            let Ok(found) = reopened(&database, &damaged) else {
                continue;
            };
            assert_eq!(
                found,
                (0..found.len())
                    .map(|number| number.to_string())
                    .collect::<Vec<_>>(),
                "bit {} of byte {place}",
                step % 8
            );
            shorter += usize::from(found.len() < 40);
        }
        assert!(shorter > 10, "{shorter}");
    }

    #[test]
    fn zeros_are_the_end_of_the_log() {
        let (database, log) = crashed(40, true);
        assert_eq!(log.len() as u64, room::ROOM, "commits stay within the room");
        let used = log.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let mut shorter = 0;
        for kept in (0..=used).rev().step_by(used / 30) {
            let torn = [&log[..kept], &vec![0; log.len() - kept]].concat();
            let found = reopened(&database, &torn).unwrap();
            assert_eq!(
                found,
                (0..found.len())
                    .map(|number| number.to_string())
                    .collect::<Vec<_>>(),
                "{kept} bytes"
            );
            assert!(
                kept < used || found.len() == 40,
                "what is whole is all there"
            );
            shorter += usize::from(found.len() < 40);
        }
        assert!(shorter > 10, "{shorter}");
    }

    #[test]
    fn a_log_has_room_once() {
        let (_dir, path, mut store) = open();
        assert!(room::fill(&path).unwrap() > 0);
        assert_eq!(room::fill(&path).unwrap(), 0);
        store.append(&batch("later")).unwrap();
        drop(store);
        let mut store = SqliteStore::open(&path).unwrap();
        assert_eq!(reasons(&mut store).unwrap(), ["later"]);
        assert!(
            room::fill(&path).unwrap() > 0,
            "a controller that ends well leaves no log"
        );
    }

    #[test]
    fn a_reader_cannot_write() {
        let (_dir, path, _store) = open();
        open_to_read(&path)
            .unwrap()
            .execute("DELETE FROM events", [])
            .unwrap_err();
    }
}
