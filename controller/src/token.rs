//! The tokens that callers show.
//!
//! `<data_dir>/token` (mode 0600) holds the token of the directory: the owner's commands and agents on the same machine read it there. The database
//! holds SHA-256 hashes alone. A token has 256 random bits, so a fast hash is enough. `sweep controller rotate-token` makes a new one.
//!
//! - A file that is there is used and never overwritten. A token in it that the database does not know replaces those that it knows.
//! - Without the file, as after the restore of a backup, the tokens of the database go on working, and a further one is made for the file.
//! - A token that the controller is given (`--token-file`, `SWEEP_TOKEN`) is accepted beside that of the directory, and stored nowhere.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::token_checksum;

const PREFIX: &str = "swp_";
/// The file in the data directory.
pub(crate) const FILE_NAME: &str = "token";
/// Shorter tokens can be guessed.
const CHARS_MIN: usize = 16;
/// Longer ones fit no header.
const CHARS_MAX: usize = 1024;

/// A token. Its `Debug` hides it, so that it cannot end in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

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

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token file cannot be read or written, or is not what a token file is.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A text is not a token.
    #[error("{0}")]
    Malformed(String),
    /// The database failed.
    #[error("the token's hash cannot be stored: {0}")]
    Database(#[from] rusqlite::Error),
    /// The system has no randomness.
    #[error("the system gives no random numbers for a token: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads a token from a text; white space around it does not count.
    ///
    /// # Errors
    /// [`TokenError::Malformed`]: it is too short or too long, or has characters that no header takes.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let malformed = |reason: String| Err(TokenError::Malformed(reason));
        if text.len() < CHARS_MIN {
            return malformed(format!(
                "a token has at least {CHARS_MIN} characters, and this one has {}",
                text.len()
            ));
        }
        if text.len() > CHARS_MAX {
            return malformed(format!(
                "a token has at most {CHARS_MAX} characters, and this one has {}",
                text.len()
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return malformed("a token is one word of ASCII characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Reads a token file. Where others may read or write it, its mode becomes 0600, and the log says so.
    ///
    /// # Errors
    /// It is missing, no regular file, another user's, or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        read(path)?.ok_or_else(|| file_error(path, ErrorKind::NotFound.into()))
    }

    /// Returns its text, for a header.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn draw() -> Result<Self, TokenError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{}", hex::encode(secret))))
    }

    fn hash(&self) -> [u8; 32] {
        digest(&self.0)
    }
}

impl TokenHashes {
    /// Returns what `tokens` are compared with.
    #[cfg(test)]
    pub(crate) fn of(tokens: &[Token]) -> Self {
        Self(tokens.iter().map(Token::hash).collect())
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

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns the tokens of a data directory, with one that the controller was `given`. `database` is the SQLite file of the same directory.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn open(
    data_dir: &Path,
    database: &Path,
    given: Option<&Token>,
) -> Result<Tokens, TokenError> {
    let path = data_dir.join(FILE_NAME);
    let mut connection = connect(database)?;
    let mut known = stored(&connection)?;
    let local = match read(&path)? {
        Some(token) if known.contains(&token.hash()) => token,
        Some(token) => {
            if !known.is_empty() {
                tracing::warn!(path = %path.display(), "the token file holds a new token; the tokens before it are refused from now on");
            }
            known = vec![token.hash()];
            store(&mut connection, &known)?;
            token
        }
        None => {
            if !known.is_empty() {
                tracing::info!(path = %path.display(), "the token file was missing and has a new token; the token of agents remains valid");
            }
            let token = Token::draw()?;
            known.push(token.hash());
            // The database first: a file whose token it does not know would replace the tokens that agents have.
            store(&mut connection, &known)?;
            write(&path, &token)?;
            token
        }
    };
    known.extend(given.map(Token::hash));
    Ok(Tokens {
        hashes: TokenHashes(known),
        local,
    })
}

/// Makes a new token for a data directory; every token before it is refused from the next start on.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn rotate(data_dir: &Path, database: &Path) -> Result<Token, TokenError> {
    let path = data_dir.join(FILE_NAME);
    let mut connection = connect(database)?;
    let token = Token::draw()?;
    // The file first: after a crash in between, the next start takes its token and refuses the others.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(file_error(&path, error)),
        _ => {}
    }
    write(&path, &token)?;
    store(&mut connection, &[token.hash()])?;
    Ok(token)
}

fn stored(connection: &Connection) -> Result<Vec<[u8; 32]>, TokenError> {
    let mut statement = connection.prepare("SELECT hash FROM tokens ORDER BY created_ms, hash")?;
    let hashes = statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(hashes)
}

fn store(connection: &mut Connection, hashes: &[[u8; 32]]) -> Result<(), TokenError> {
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

fn connect(database: &Path) -> Result<Connection, TokenError> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS tokens (hash BLOB NOT NULL, created_ms INTEGER NOT NULL, checksum INTEGER) STRICT")?;
    Ok(connection)
}

/// Reads a token file; `None`: there is none.
fn read(path: &Path) -> Result<Option<Token>, TokenError> {
    // Neither a link nor a pipe that somebody has put there is followed or waited for.
    let file = match File::options()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error(path, source)),
    };
    let invalid = |reason: &str| {
        file_error(
            path,
            std::io::Error::new(ErrorKind::InvalidData, reason.to_owned()),
        )
    };
    let found = file.metadata().map_err(|source| file_error(path, source))?;
    if !found.is_file() {
        return Err(invalid("a token file is a regular file"));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(invalid(
            "the token file belongs to another user; remove it, or change its owner",
        ));
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(PermissionsExt::from_mode(0o600))
            .map_err(|source| file_error(path, source))?;
        tracing::warn!(path = %path.display(), "other users could read the token file; its mode is 0600 now, and a new token is safer");
    }
    let mut text = String::new();
    file.take(CHARS_MAX as u64 + 64)
        .read_to_string(&mut text)
        .map_err(|source| file_error(path, source))?;
    Token::parse(&text).map(Some).map_err(|error| {
        invalid(&format!(
            "{error}; a controller makes a new token where the one of its data directory is missing"
        ))
    })
}

fn write(path: &Path, token: &Token) -> Result<(), TokenError> {
    // `create_new` with a mode: at no moment can anybody else read it, and no link is followed.
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written =
        opened.and_then(|mut file| writeln!(file, "{}", token.0).and_then(|()| file.sync_all()));
    written.map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: std::io::Error) -> TokenError {
    TokenError::File {
        path: path.to_owned(),
        source,
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path) -> Tokens {
        open(dir, &dir.join("sweep.db"), None).unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_only_its_hash_is_in_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let first = opened(dir.path());
        let token = first.local;
        assert_eq!(token.reveal().len(), PREFIX.len() + 64);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(first.hashes.matches(token.reveal()));
        assert!(!first.hashes.matches("swp_"));
        assert!(!first.hashes.matches(""));
        let file = dir.path().join(FILE_NAME);
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let database = std::fs::read(dir.path().join("sweep.db")).unwrap();
        let secret = token.reveal().strip_prefix(PREFIX).unwrap().as_bytes();
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
        std::fs::remove_file(dir.path().join(FILE_NAME)).unwrap();
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
        let file = dir.path().join(FILE_NAME);
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
        let file = dir.path().join(FILE_NAME);
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
