//! The tokens that callers show.
//!
//! `<data_dir>/token` (mode 0600) holds the token of the directory: the owner's commands and agents on the same machine read it there. The database
//! holds SHA-256 hashes alone. A token has 256 random bits, so a fast hash is enough. `sweep controller rotate-token` makes a new one.
//!
//! - A file that is there is used and never overwritten. A token in it that the database does not know replaces those that it knows.
//! - Without the file, as after the restore of a backup, the tokens of the database still work, and a further one is made for the file.
//! - A token that the controller is given (`--token-file`, `SWEEP_TOKEN`) is accepted beside that of the directory, and stored nowhere.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use sweep_access::{TOKEN_FILE, Token, TokenError};

use crate::store::token_checksum;

/// The valid tokens.
#[derive(Clone)]
pub(crate) struct TokenHashes(Vec<[u8; 32]>);

/// The tokens of a controller.
pub(crate) struct Tokens {
    /// All that are accepted.
    pub(crate) hashes: TokenHashes,
    /// That of the data directory.
    pub(crate) local: Token,
}

/// Why a controller has no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// The token of the data directory cannot be read, written or drawn.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The database failed.
    #[error("the token's hash cannot be stored: {0}")]
    Database(#[from] rusqlite::Error),
}

impl TokenHashes {
    /// Returns what `tokens` are compared with.
    #[cfg(test)]
    pub(crate) fn of(tokens: &[Token]) -> Self {
        Self(tokens.iter().map(hash).collect())
    }

    /// Returns whether a caller's text is one of the tokens. Takes the same time wherever it differs.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let shown = digest(text);
        self.0
            .iter()
            .fold(0u8, |any, hash| any | hash.ct_eq(&shown).unwrap_u8())
            == 1
    }
}

fn hash(token: &Token) -> [u8; 32] {
    digest(token.reveal())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns the tokens of a data directory, with one that the controller was `given`. `database` is the SQLite file of the same directory.
///
/// # Errors
/// See [`TokensError`].
pub(crate) fn open(
    data_dir: &Path,
    database: &Path,
    given: Option<&Token>,
) -> Result<Tokens, TokensError> {
    let path = data_dir.join(TOKEN_FILE);
    let mut connection = connect(database)?;
    let mut known = stored(&connection)?;
    let local = match Token::find(&path)? {
        Some(token) if known.contains(&hash(&token)) => token,
        Some(token) => {
            if !known.is_empty() {
                tracing::warn!(path = %path.display(), "the token file holds a new token; the tokens before it are refused from now on");
            }
            known = vec![hash(&token)];
            store(&mut connection, &known)?;
            token
        }
        None => {
            if !known.is_empty() {
                tracing::info!(path = %path.display(), "the token file was missing and has a new token; the token of agents remains valid");
            }
            let token = Token::draw()?;
            known.push(hash(&token));
            // The database first: a file whose token it does not know would replace the tokens that agents have.
            store(&mut connection, &known)?;
            token.write(&path)?;
            token
        }
    };
    known.extend(given.map(hash));
    Ok(Tokens {
        hashes: TokenHashes(known),
        local,
    })
}

/// Makes a new token for a data directory; every token before it is refused from the next start on.
///
/// # Errors
/// See [`TokensError`].
pub(crate) fn rotate(data_dir: &Path, database: &Path) -> Result<Token, TokensError> {
    let path = data_dir.join(TOKEN_FILE);
    let mut connection = connect(database)?;
    let token = Token::draw()?;
    // The file first: after a crash in between, the next start takes its token and refuses the others.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(TokenError::File {
                path,
                source: error,
            }
            .into());
        }
        _ => {}
    }
    token.write(&path)?;
    store(&mut connection, &[hash(&token)])?;
    Ok(token)
}

fn stored(connection: &Connection) -> Result<Vec<[u8; 32]>, TokensError> {
    let mut statement = connection.prepare("SELECT hash FROM tokens ORDER BY created_ms, hash")?;
    let hashes = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(hashes)
}

fn store(connection: &mut Connection, hashes: &[[u8; 32]]) -> Result<(), TokensError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute("DELETE FROM tokens", [])?;
    for hash in hashes {
        let now = now_ms();
        let sum = token_checksum(hash, now);
        transaction.execute(
            "INSERT INTO tokens (hash, created_ms, checksum) VALUES (?1, ?2, ?3)",
            params![hash, now, sum],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

fn connect(database: &Path) -> Result<Connection, TokensError> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS tokens (hash BLOB NOT NULL, created_ms INTEGER NOT NULL, checksum INTEGER) STRICT")?;
    Ok(connection)
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn opened(dir: &Path) -> Tokens {
        open(dir, &dir.join("sweep.db"), None).unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_only_its_hash_is_in_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path());
        let token = first.local;
        assert!(first.hashes.matches(token.reveal()));
        assert!(!first.hashes.matches("swp_"));
        assert!(!first.hashes.matches(""));
        let file = dir.path().join(TOKEN_FILE);
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let database = std::fs::read(dir.path().join("sweep.db")).unwrap();
        let secret = token.reveal().strip_prefix("swp_").unwrap().as_bytes();
        assert!(
            !database
                .windows(secret.len())
                .any(|window| window == secret)
        );
        let second = opened(dir.path());
        assert!(second.local == token && second.hashes.matches(token.reveal()));
    }

    #[test]
    fn a_token_works_without_its_file_until_it_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let old = opened(dir.path()).local;
        std::fs::remove_file(dir.path().join(TOKEN_FILE)).unwrap();
        let restored = opened(dir.path());
        assert!(restored.local != old, "the owner has a token again");
        assert!(
            restored.hashes.matches(old.reveal())
                && restored.hashes.matches(restored.local.reveal())
        );
        let new = rotate(dir.path(), &dir.path().join("sweep.db")).unwrap();
        let tokens = opened(dir.path());
        assert!(
            !tokens.hashes.matches(old.reveal()) && !tokens.hashes.matches(restored.local.reveal())
        );
        assert!(tokens.hashes.matches(new.reveal()) && tokens.local == new);
    }

    #[test]
    fn a_token_file_that_is_there_is_used_and_replaces_what_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN_FILE);
        std::fs::write(&file, "laid-down-before-the-start\n").unwrap();
        let first = opened(dir.path());
        assert_eq!(first.local.reveal(), "laid-down-before-the-start");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600,
            "it is repaired"
        );
        std::fs::write(&file, "another-one-of-the-user\n").unwrap();
        let second = opened(dir.path());
        assert!(
            second.hashes.matches("another-one-of-the-user")
                && !second.hashes.matches("laid-down-before-the-start")
        );
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "another-one-of-the-user\n"
        );
    }

    #[test]
    fn what_is_no_token_file_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN_FILE);
        let refused = || {
            open(dir.path(), &dir.path().join("sweep.db"), None)
                .err()
                .unwrap()
                .to_string()
        };
        std::fs::write(&file, "short").unwrap();
        assert!(
            refused().contains(
                "at least 16 characters, and this one has 5; a controller makes a new token"
            ),
            "{}",
            refused()
        );
        std::fs::write(&file, "two words are no token").unwrap();
        assert!(refused().contains("one word"), "{}", refused());
        std::fs::rename(&file, dir.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &file).unwrap();
        assert!(
            refused().contains(&file.display().to_string()),
            "{}",
            refused()
        );
    }

    #[test]
    fn a_given_token_is_accepted_beside_that_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let given = Token::parse(" of-the-platform-team \n").unwrap();
        let tokens = open(dir.path(), &dir.path().join("sweep.db"), Some(&given)).unwrap();
        assert!(
            tokens.hashes.matches("of-the-platform-team")
                && tokens.hashes.matches(tokens.local.reveal())
        );
        assert!(
            !opened(dir.path()).hashes.matches("of-the-platform-team"),
            "it is stored nowhere"
        );
    }
}
