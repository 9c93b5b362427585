//! The token that callers from beyond loopback must show.
//!
//! `<data_dir>/token` (mode 0600) holds the token for people on this machine; the database holds its SHA-256 hash alone. The
//! token has 256 random bits, so a fast hash is enough. Without the file, as after the restore of a backup, the token goes on working:
//! the hash is what counts. [`rotate`] makes a new one.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "swp_";
const FILE_NAME: &str = "token";

/// A token. Has no `Debug`, so that it cannot end in a log.
pub(crate) struct Token(String);

/// What a token is compared with.
#[derive(Clone)]
pub(crate) struct TokenHash([u8; 32]);

/// The token of a data directory.
pub(crate) struct Access {
    /// What callers' tokens are compared with.
    pub(crate) hash: TokenHash,
    /// The token, where this start made it.
    pub(crate) made: Option<Token>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    /// The token file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the token's hash cannot be kept: {0}")]
    Database(#[from] rusqlite::Error),
    /// The system has no randomness.
    #[error("the system gives no random numbers for a token: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl Token {
    fn draw() -> Result<Self, TokenError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{digits}")))
    }

    /// Returns its text, to be shown once.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    fn hash(&self) -> TokenHash {
        TokenHash(digest(&self.0))
    }
}

impl TokenHash {
    /// Returns whether a caller's text is the token. Takes the same time wherever it differs.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.ct_eq(&digest(text)).into()
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns the token of a data directory, making it if there is none. `database` is the SQLite file of the same directory.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn open(data_dir: &Path, database: &Path) -> Result<Access, TokenError> {
    let path = data_dir.join(FILE_NAME);
    let mut connection = connect(database)?;
    let stored: Option<[u8; 32]> = connection.query_row("SELECT hash FROM tokens", [], |row| row.get(0)).optional()?;
    if let Some(hash) = stored {
        let hash = TokenHash(hash);
        let Some(written) = read(&path)? else {
            tracing::warn!(path = %path.display(), "the token's file is missing; the token that agents have goes on working");
            return Ok(Access { hash, made: None });
        };
        return if hash.matches(&written) {
            Ok(Access { hash, made: None })
        } else {
            let source = std::io::Error::new(
                ErrorKind::InvalidData,
                "is not the token whose hash is in the database; remove the file to go on with that one, or make a new one with `sweep controller rotate-token`",
            );
            Err(TokenError::File { path, source })
        };
    }
    let token = make(&path, &mut connection)?;
    Ok(Access { hash: token.hash(), made: Some(token) })
}

/// Makes a new token for a data directory; the old one is worth nothing from the next start on.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn rotate(data_dir: &Path, database: &Path) -> Result<Token, TokenError> {
    make(&data_dir.join(FILE_NAME), &mut connect(database)?)
}

fn make(path: &Path, connection: &mut Connection) -> Result<Token, TokenError> {
    let token = Token::draw()?;
    // The file first: after a crash in between it is not the token of the hash, and the next start says so.
    write(path, &token)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM tokens", [])?;
    transaction.execute("INSERT INTO tokens (hash, created_ms) VALUES (?1, ?2)", (token.hash().0, now_ms()))?;
    transaction.commit()?;
    Ok(token)
}

fn connect(database: &Path) -> Result<Connection, TokenError> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE IF NOT EXISTS tokens (hash BLOB NOT NULL, created_ms INTEGER NOT NULL) STRICT")?;
    Ok(connection)
}

fn read(path: &Path) -> Result<Option<String>, TokenError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TokenError::File { path: path.to_owned(), source }),
    }
}

fn write(path: &Path, token: &Token) -> Result<(), TokenError> {
    let file_error = |source| TokenError::File { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_error(error)),
        _ => {}
    }
    // `create_new` with a mode: at no moment can anybody else read it, and no link is followed.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(file_error)?;
    writeln!(file, "{}", token.0).and_then(|()| file.sync_all()).map_err(file_error)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn opened(dir: &Path) -> Access {
        open(dir, &dir.join("sweep.db")).unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_only_its_hash_is_in_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path());
        let token = first.made.unwrap();
        assert_eq!(token.reveal().len(), PREFIX.len() + 64);
        assert!(first.hash.matches(token.reveal()));
        assert!(!first.hash.matches("swp_"));
        assert!(!first.hash.matches(""));
        let file = dir.path().join(FILE_NAME);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let database = std::fs::read(dir.path().join("sweep.db")).unwrap();
        let secret = token.reveal().strip_prefix(PREFIX).unwrap().as_bytes();
        assert!(!database.windows(secret.len()).any(|window| window == secret));
        let second = opened(dir.path());
        assert!(second.made.is_none());
        assert!(second.hash.matches(token.reveal()));
    }

    #[test]
    fn a_token_works_without_its_file_until_it_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let old = opened(dir.path()).made.unwrap();
        std::fs::remove_file(dir.path().join(FILE_NAME)).unwrap();
        let restored = opened(dir.path());
        assert!(restored.hash.matches(old.reveal()) && restored.made.is_none());
        let new = rotate(dir.path(), &dir.path().join("sweep.db")).unwrap();
        let access = opened(dir.path());
        assert!(!access.hash.matches(old.reveal()) && access.hash.matches(new.reveal()));
    }

    #[test]
    fn a_file_with_another_token_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        opened(dir.path());
        std::fs::write(dir.path().join(FILE_NAME), "swp_mine\n").unwrap();
        let error = open(dir.path(), &dir.path().join("sweep.db")).err().unwrap().to_string();
        assert!(error.contains("sweep controller rotate-token"), "{error}");
    }
}
