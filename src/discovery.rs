//! Finds the controllers of this user on this machine, and their tokens.
//!
//! Each controller notes its data directory in `$XDG_STATE_HOME/sweep/controllers/<address>`. The token is read from the data directory, and only while
//! a controller holds it and serves at the address: a program of another user that has taken the port gets none.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sweep_access::{TOKEN_FILE, Token, card};

use crate::places;

/// A controller of this user on this machine.
#[derive(Debug)]
pub(crate) struct LocalController {
    /// Where to connect: an address, never a name, which may lead to another user's program.
    pub(crate) address: SocketAddr,
    /// The token of its data directory; `None`: it asks for none.
    pub(crate) token: Option<Token>,
}

/// A note of where a controller's data is; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Announcement(PathBuf);

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Notes where the data of a controller is. Without the note, commands find only the controller of the default data directory.
pub(crate) fn announce(address: SocketAddr, data_dir: &Path) -> Option<Announcement> {
    let folder = folder()?;
    let note = folder.join(address.to_string());
    let write = || -> std::io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            if data_dir_in(&entry.path()).is_none_or(|data_dir| card(&data_dir).is_none()) {
                fs::remove_file(entry.path())?;
            }
        }
        let new = folder.join(format!("{address}.new"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(data_dir.canonicalize()?.as_os_str().as_encoded_bytes())?;
        fs::rename(new, &note)
    };
    match write() {
        Ok(()) => Some(Announcement(note)),
        Err(error) => {
            tracing::warn!(%error, path = %note.display(), "cannot note where the controller's data is: commands need its token or data directory");
            None
        }
    }
}

/// Returns the addresses of this user's controllers on this machine that have noted themselves and serve.
pub(crate) fn all() -> Vec<SocketAddr> {
    let notes = folder()
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = notes
        .filter_map(|entry| Some(card(&data_dir_in(&entry.path())?)?.address))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Finds the controller of this user that serves at `host:port`; `None`: there is none, or the host is not this machine's loopback.
pub(crate) fn find(address: &str) -> Option<LocalController> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let wanted = if host.eq_ignore_ascii_case("localhost") {
        None
    } else {
        Some(host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback)?)
    };
    let found = data_dirs(port).into_iter().find_map(|data_dir| {
        Some((card(&data_dir)?.address, data_dir))
            .filter(|(address, _)| fits(*address, wanted, port))
    });
    let (served, data_dir) = found?;
    let ip = match (wanted, served.ip()) {
        (Some(ip), _) => ip,
        (None, IpAddr::V4(ip)) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        (None, IpAddr::V6(ip)) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        (None, ip) => ip,
    };
    let token = match Token::read(&data_dir.join(TOKEN_FILE)) {
        Ok(token) => Some(token),
        Err(error) => {
            tracing::debug!(%error, "no token is read");
            None
        }
    };
    Some(LocalController {
        address: SocketAddr::new(ip, port),
        token,
    })
}

fn fits(served: SocketAddr, wanted: Option<IpAddr>, port: u16) -> bool {
    let ip = served.ip();
    served.port() == port
        && (ip.is_unspecified() || wanted.map_or(ip.is_loopback(), |wanted| wanted == ip))
}

/// Returns the data directories that may be those of a controller with a port.
fn data_dirs(port: u16) -> Vec<PathBuf> {
    let notes = folder()
        .and_then(|folder| fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .flatten();
    let suffix = format!(":{port}");
    let noted = notes
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))
        .filter_map(|entry| data_dir_in(&entry.path()));
    let usual = std::env::var_os("SWEEP_DATA_DIR")
        .map(PathBuf::from)
        .into_iter()
        .chain(places::data_dir().ok());
    noted.chain(usual).collect()
}

fn data_dir_in(note: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = fs::read(note).ok()?;
    let path = PathBuf::from(std::ffi::OsString::from_vec(bytes));
    path.is_absolute().then_some(path)
}

fn folder() -> Option<PathBuf> {
    Some(places::state_dir().ok()?.join("controllers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_fits_the_address_that_it_serves() {
        let loopback = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        let fits = |served: &str, wanted| fits(served.parse().unwrap(), wanted, 7433);
        assert!(fits("127.0.0.1:7433", loopback) && fits("127.0.0.1:7433", None));
        assert!(fits("0.0.0.0:7433", loopback) && fits("[::]:7433", None));
        assert!(!fits("127.0.0.1:7434", loopback), "another port");
        assert!(
            !fits("127.0.0.2:7433", loopback),
            "another address, where another user may serve"
        );
        assert!(
            !fits("192.0.2.1:7433", None),
            "it does not serve on loopback"
        );
    }

    #[test]
    fn no_token_is_looked_for_beyond_loopback() {
        for address in [
            "gpu-head:7433",
            "192.0.2.1:7433",
            "[2001:db8::1]:7433",
            "127.0.0.1",
            "127.0.0.1:port",
        ] {
            assert!(find(address).is_none(), "{address}");
        }
    }
}
