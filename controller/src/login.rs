//! How a browser logs in: a link with a code that is good once, then a cookie.
//!
//! The cookie is `<expiry>.<nonce>.<mac>`: the MAC is HMAC-SHA-256 (RFC 2104) of the two before it, with a key that follows from the token of the data
//! directory. So a session needs no storage, outlives a restart, and ends when the token is rotated; a copy of the database is not enough to make one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sweep_access::Token;

/// The page that logs a browser in.
pub const PATH: &str = "/login";
/// How long a link is good.
pub(crate) const CODE_TERM: Duration = Duration::from_secs(600);
/// How long a browser stays logged in.
pub(crate) const SESSION_TERM: Duration = Duration::from_secs(30 * 24 * 3600);
/// Unused codes; of more, the oldest is refused.
const CODES_MAX: usize = 1000;

/// Issues login codes and checks sessions.
pub struct Logins {
    key: [u8; 32],
    /// Hashes of unused codes, and when each expires, in seconds since 1970.
    codes: Mutex<BTreeMap<[u8; 32], u64>>,
    cookie: String,
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins")
    }
}

impl Logins {
    /// Sessions are signed with a key that follows from `token`.
    pub fn new(token: &Token) -> Self {
        let derived = |purpose: &str| {
            Sha256::new()
                .chain_update(purpose)
                .chain_update(token.reveal())
                .finalize()
        };
        // Cookies know no ports: each controller of a machine has its own name.
        let cookie = format!(
            "sweep_session_{}",
            hex::encode(&derived("sweep cookie name ")[..4])
        );
        Self {
            key: derived("sweep session key ").into(),
            codes: Mutex::default(),
            cookie,
        }
    }

    /// Returns the name of the cookie that holds a session.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Returns a code that logs in once within [`CODE_TERM`].
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn issue(&self) -> Result<String, getrandom::Error> {
        let code = random_hex()?;
        let now = now_s();
        let mut codes = self.codes();
        codes.retain(|_, expiry| *expiry > now);
        if codes.len() >= CODES_MAX
            && let Some(oldest) = codes
                .iter()
                .min_by_key(|(_, expiry)| **expiry)
                .map(|(hash, _)| *hash)
        {
            codes.remove(&oldest);
        }
        codes.insert(digest(&code), now + CODE_TERM.as_secs());
        Ok(code)
    }

    /// Takes a code, and returns the session for it; `None`: it is unknown, was used, or has expired.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn redeem(&self, code: &str) -> Result<Option<String>, getrandom::Error> {
        // By its hash: the time of a look-up reveals nothing about the codes.
        let expiry = self.codes().remove(&digest(code));
        if expiry.is_none_or(|expiry| expiry <= now_s()) {
            return Ok(None);
        }
        self.begin_session().map(Some)
    }

    /// Returns a new session, for a caller that has shown the token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn begin_session(&self) -> Result<String, getrandom::Error> {
        let session = format!("{}.{}", now_s() + SESSION_TERM.as_secs(), random_hex()?);
        let mac = hex::encode(self.mac(&session).finalize().into_bytes());
        Ok(format!("{session}.{mac}"))
    }

    /// Returns whether a cookie's value is a session that has not ended.
    pub(crate) fn is_session(&self, value: &str) -> bool {
        let Some((session, mac)) = value.rsplit_once('.') else {
            return false;
        };
        let Some(expiry) = session
            .split('.')
            .next()
            .and_then(|text| text.parse::<u64>().ok())
        else {
            return false;
        };
        let Ok(mac) = hex::decode(mac) else {
            return false;
        };
        self.mac(session).verify_slice(&mac).is_ok() && expiry > now_s()
    }

    fn mac(&self, session: &str) -> Hmac<Sha256> {
        let mac: Hmac<Sha256> =
            Hmac::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.chain_update(session)
    }

    fn codes(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], u64>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Returns 128 random bits as text.
fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(token: &str) -> Logins {
        Logins::new(&Token::parse(token).unwrap())
    }

    #[test]
    fn a_code_logs_in_once() {
        let logins = logins("a-token-of-a-directory");
        let code = logins.issue().unwrap();
        assert_eq!(
            logins.redeem("00000000000000000000000000000000").unwrap(),
            None
        );
        let session = logins.redeem(&code).unwrap().unwrap();
        assert!(logins.is_session(&session));
        assert_eq!(logins.redeem(&code).unwrap(), None, "it was used");
    }

    #[test]
    fn an_expired_code_and_an_expired_session_are_refused() {
        let logins = logins("a-token-of-a-directory");
        let code = logins.issue().unwrap();
        logins
            .codes()
            .values_mut()
            .for_each(|expiry| *expiry = now_s());
        assert_eq!(logins.redeem(&code).unwrap(), None);
        let session = format!("{}.{}", now_s() - 1, random_hex().unwrap());
        let mac = hex::encode(logins.mac(&session).finalize().into_bytes());
        assert!(!logins.is_session(&format!("{session}.{mac}")));
    }

    #[test]
    fn a_session_outlives_a_restart_and_ends_with_its_token() {
        let first = logins("a-token-of-a-directory");
        let session = first.redeem(&first.issue().unwrap()).unwrap().unwrap();
        assert!(logins("a-token-of-a-directory").is_session(&session));
        assert!(!logins("another-token-of-a-directory").is_session(&session));
    }

    #[test]
    fn a_forged_session_is_refused() {
        let logins = logins("a-token-of-a-directory");
        let session = logins.redeem(&logins.issue().unwrap()).unwrap().unwrap();
        let (expiry, rest) = session.split_once('.').unwrap();
        let later = format!("{}.{rest}", expiry.parse::<u64>().unwrap() + 1);
        for forged in [
            later.as_str(),
            "",
            ".",
            "..",
            "9999999999..",
            "9999999999.a.zz",
            &session[..session.len() - 1],
            &format!("{session}0"),
        ] {
            assert!(!logins.is_session(forged), "{forged}");
        }
    }

    #[test]
    fn codes_do_not_pile_up() {
        let logins = logins("a-token-of-a-directory");
        for _ in 0..CODES_MAX + 10 {
            logins.issue().unwrap();
        }
        assert_eq!(logins.codes().len(), CODES_MAX);
    }
}
