//! A token and its file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;

const PREFIX: &str = "swp_";
/// The name of the token file in the data directory of a controller.
pub const TOKEN_FILE: &str = "token";
/// Shorter tokens can be guessed.
const CHARS_MIN: usize = 16;
/// Longer ones fit no header.
const CHARS_MAX: usize = 1024;

/// A token. Its `Debug` hides it, so that it cannot end in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

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
        Self::find(path)?.ok_or_else(|| file_error(path, ErrorKind::NotFound.into()))
    }

    /// Reads a token file as [`Token::read`] does; `None`: there is none.
    ///
    /// # Errors
    /// As [`Token::read`].
    pub fn find(path: &Path) -> Result<Option<Self>, TokenError> {
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
        Self::parse(&text).map(Some).map_err(|error| {
            invalid(&format!(
                "{error}; a controller makes a new token where the one of its data directory is missing"
            ))
        })
    }

    /// Writes a token file where there is none.
    ///
    /// # Errors
    /// [`TokenError::File`]: there is one, or it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TokenError> {
        // `create_new` with a mode: at no moment can anybody else read it, and no link is followed.
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        let written =
            opened.and_then(|mut file| writeln!(file, "{}", self.0).and_then(|()| file.sync_all()));
        written.map_err(|source| file_error(path, source))
    }

    /// Returns its text, for a header.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Draws a new token: 256 random bits.
    ///
    /// # Errors
    /// [`TokenError::Randomness`].
    pub fn draw() -> Result<Self, TokenError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(format!("{PREFIX}{}", hex::encode(secret))))
    }
}

fn file_error(path: &Path, source: std::io::Error) -> TokenError {
    TokenError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(TOKEN_FILE);
        assert!(Token::find(&file).unwrap().is_none());
        let token = Token::draw().unwrap();
        token.write(&file).unwrap();
        assert!(Token::read(&file).unwrap() == token);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert!(Token::draw().unwrap().write(&file).is_err());
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(token.reveal().len(), PREFIX.len() + 64);
    }
}
