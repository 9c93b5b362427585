//! Writes the fixture of the current format: a database in which every kind of event occurs, as SQL.
//!
//! `cargo test -p sweep-controller --test it fixture -- --ignored` writes `tests/fixtures/format-<FORMAT>.dump`, in SQL. A new kind of event
//! needs one more step in `training`, `health` or `restore` that causes it.

mod scenario;
mod story;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use sweep_controller::store::{FORMAT, SqliteStore};
use sweep_lifecycle::command::Command;
use sweep_lifecycle::event::EVENT_KINDS;
use sweep_lifecycle::state::State;

use self::scenario::Scenario;
use self::story::{health, restore, retention, training};

/// Returns where the fixture of a format is.
pub(crate) fn path(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}.dump"))
}

/// Returns the kinds of events in a database, with the number of each.
pub(crate) fn kinds(database: &Connection) -> BTreeMap<String, u32> {
    let mut statement = database
        .prepare("SELECT json_extract(body, '$.type'), count(*) FROM events GROUP BY 1")
        .expect("it is SQL");
    let found = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("it can be read");
    found.collect::<Result<_, _>>().expect("it can be read")
}

#[test]
#[ignore = "writes the fixture of the current format"]
fn write_the_fixture() {
    let dir = tempfile::tempdir().expect("the temporary folder can be written");
    let file = dir.path().join("sweep.db");
    let mut scenario = Scenario {
        state: State::default(),
        store: SqliteStore::open(&file).expect("it can be made"),
        now_ms: 1_795_500_000_000,
    };
    scenario.ask(&Command::BeginEpoch {
        controller: "0123456789ab".to_owned(),
        restored: false,
    });
    training(&mut scenario);
    health(&mut scenario);
    restore(&mut scenario);
    retention(&mut scenario);
    drop(scenario);
    let database = Connection::open(&file).expect("it is there");
    let found = kinds(&database);
    for kind in EVENT_KINDS {
        assert!(
            found.contains_key(kind.name),
            "no step of this file causes `{}`",
            kind.name
        );
    }
    let sql = dump(&database).expect("it can be read");
    std::fs::write(path(FORMAT), sql).expect("the fixture can be written");
}

/// Returns a database as SQL that makes it again. Images of the state are left out: only the program that wrote one reads it.
fn dump(database: &Connection) -> rusqlite::Result<String> {
    let format: u32 = database.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut sql = format!("PRAGMA user_version = {format};\nBEGIN TRANSACTION;\n");
    let mut schema = database.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'image%'
             ORDER BY type = 'trigger', type DESC, name",
    )?;
    let entries = schema.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for entry in entries {
        let (kind, name, text): (String, String, String) = entry?;
        writeln!(sql, "{text};").expect("a string takes everything");
        if kind == "table" {
            dump_rows(database, &name, &mut sql)?;
        }
    }
    sql += "COMMIT;\n";
    Ok(sql)
}

fn dump_rows(database: &Connection, table: &str, sql: &mut String) -> rusqlite::Result<()> {
    let columns = database
        .prepare(&format!("SELECT * FROM {table}"))?
        .column_count();
    let order: Vec<_> = (1..=columns).map(|column| column.to_string()).collect();
    let names: Vec<String> = database
        .prepare(&format!("SELECT * FROM {table}"))?
        .column_names()
        .map(|name| format!("quote({name})"))
        .collect();
    let mut statement = database.prepare(&format!(
        "SELECT {} FROM {table} ORDER BY {}",
        names.join(", "),
        order.join(", ")
    ))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let values = (0..columns)
            .map(|column| row.get::<_, String>(column))
            .collect::<Result<Vec<_>, _>>()?;
        writeln!(sql, "INSERT INTO {table} VALUES({});", values.join(","))
            .expect("a string takes everything");
    }
    Ok(())
}
