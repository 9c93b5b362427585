//! Connections to the controller. On a shared machine another user's program may take the port of a
//! controller that has ended: it must get no token, and no command of it may be executed. So before
//! anything is sent over loopback, it is looked up whose program listens there.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use hyper_util::rt::TokioIo;
use nix::unistd::{Uid, User};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Error, Uri};
use tower::service_fn;

/// The user whose program may be the controller on this machine, beside the superuser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This user's.
    Own,
    /// That of any user, for a token that names the user. Only one user: that of the program that
    /// was met first.
    First,
}

/// Returns whether a call that ended with this code may have had its effect: the same request is
/// sent again.
pub fn is_outcome_unknown(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled | Code::Unavailable | Code::DeadlineExceeded | Code::Unknown
    )
}

/// The controller, as it is connected to.
#[derive(Clone, Debug)]
pub struct ControllerTarget {
    /// Its address, deadlines and keep-alive.
    pub endpoint: Endpoint,
    /// See [`Trust`].
    pub trust: Trust,
}

impl ControllerTarget {
    /// Connects when it is first used, and again whenever the connection is lost.
    pub fn connect_lazy(&self) -> Channel {
        let guard = Guard::new(self.trust);
        self.endpoint
            .connect_with_connector_lazy(service_fn(move |uri| connect(guard.clone(), uri)))
    }

    /// Connects now, and again whenever the connection is lost.
    ///
    /// # Errors
    /// Nothing listens there, or a program of another user.
    pub async fn connect(&self) -> Result<Channel, Error> {
        let guard = Guard::new(self.trust);
        self.endpoint
            .connect_with_connector(service_fn(move |uri| connect(guard.clone(), uri)))
            .await
    }
}

/// The state that all connections of a channel share.
#[derive(Clone)]
struct Guard {
    trust: Trust,
    first: Arc<OnceLock<u32>>,
}

async fn connect(guard: Guard, uri: Uri) -> io::Result<TokioIo<TcpStream>> {
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
    stream.set_nodelay(true)?;
    let (own, peer) = (stream.local_addr()?, stream.peer_addr()?);
    if peer.ip().to_canonical().is_loopback() {
        tokio::task::spawn_blocking(move || guard.check(&Sockets::read(), own, peer))
            .await
            .map_err(io::Error::other)??;
    }
    Ok(TokioIo::new(stream))
}

impl Guard {
    fn new(trust: Trust) -> Self {
        Self {
            trust,
            first: Arc::default(),
        }
    }

    fn check(&self, sockets: &Sockets, own: SocketAddr, peer: SocketAddr) -> io::Result<()> {
        let owners = sockets.owners(own, peer);
        let me = Uid::effective().as_raw();
        for owner in owners
            .iter()
            .copied()
            .filter(|owner| *owner != 0 && *owner != me)
        {
            let is_trusted = match self.trust {
                Trust::Own => false,
                Trust::First => *self.first.get_or_init(|| owner) == owner,
            };
            if !is_trusted {
                let user = User::from_uid(Uid::from_raw(owner))
                    .ok()
                    .flatten()
                    .map_or_else(|| owner.to_string(), |user| user.name);
                return Err(io::Error::new(
                    ErrorKind::PermissionDenied,
                    format!(
                        "the program that listens at {peer} is of the user {user}; it is sent nothing (if that is your controller, name it with --controller, and \
                         its token)"
                    ),
                ));
            }
        }
        // From now on another user's program is another program.
        self.first
            .get_or_init(|| owners.first().copied().unwrap_or(me));
        Ok(())
    }
}

/// The TCP sockets of this machine.
#[derive(Default)]
struct Sockets(Vec<Socket>);

struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    owner: u32,
}

impl Sockets {
    /// Reads the tables of the kernel. A table that cannot be read counts as empty, as on other
    /// systems than Linux.
    fn read() -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
            .into_iter()
            .filter_map(|path| fs::read_to_string(path).ok());
        Self(
            tables
                .flat_map(|table| table.lines().skip(1).filter_map(socket).collect::<Vec<_>>())
                .collect(),
        )
    }

    /// Returns the owners of the other end of a connection over loopback: of its listener, and of
    /// the end itself once it was accepted (before, the kernel says 0). Nothing where the other end
    /// is in another network namespace.
    fn owners(&self, own: SocketAddr, peer: SocketAddr) -> Vec<u32> {
        let (own, peer) = (canonical(own), canonical(peer));
        let listening = |is: &dyn Fn(IpAddr) -> bool| {
            let fits = self.0.iter().filter(|socket| {
                socket.listens && socket.local.port() == peer.port() && is(socket.local.ip())
            });
            fits.map(|socket| socket.owner).collect::<Vec<_>>()
        };
        let mut owners = listening(&|ip| ip == peer.ip());
        if owners.is_empty() {
            owners = listening(&|ip| ip.is_unspecified());
        }
        let end = self
            .0
            .iter()
            .filter(|socket| !socket.listens && socket.local == peer && socket.remote == own);
        owners.extend(end.map(|socket| socket.owner));
        owners
    }
}

/// Reads a line of a table of sockets, see proc(5).
fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let [_, local, remote, state, _, _, _, owner, ..] = fields[..] else {
        return None;
    };
    Some(Socket {
        local: address(local)?,
        remote: address(remote)?,
        listens: state == "0A",
        owner: owner.parse().ok()?,
    })
}

/// Reads an address: its words in the machine's own order, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let words: Option<Vec<u8>> = (0..ip.len() / 8)
        .map(|word| {
            u32::from_str_radix(ip.get(8 * word..8 * word + 8)?, 16)
                .ok()
                .map(u32::to_ne_bytes)
        })
        .collect::<Option<Vec<_>>>()
        .map(|words| words.concat());
    let words = words?;
    let ip = match words.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(
        ip,
        u16::from_str_radix(port, 16).ok()?,
    )))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: u32 = 65_534;

    fn table(lines: &[&str]) -> Sockets {
        Sockets(lines.iter().map(|line| socket(line).unwrap()).collect())
    }

    fn check(guard: &Guard, sockets: &Sockets) -> Result<(), String> {
        let (own, peer) = (
            "127.0.0.1:40000".parse().unwrap(),
            "127.0.0.1:7433".parse().unwrap(),
        );
        guard
            .check(sockets, own, peer)
            .map_err(|error| error.to_string())
    }

    fn listener(at: &str, owner: u32) -> Socket {
        Socket {
            local: at.parse().unwrap(),
            remote: "0.0.0.0:0".parse().unwrap(),
            listens: true,
            owner,
        }
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let sockets = table(&[
            "   0: 0100007F:1D09 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 31 1 0 100 0 0 10 0",
            "   1: 0100007F:1D09 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 32 1 0 100 0 0 10 0",
            "   2: 0000000000000000FFFF00000100007F:1D0A 00000000000000000000000000000000:0000 0A 0:0 00:0 0 1002 0 33 1",
            "   3: 00000000000000000000000001000000:1D0B 00000000000000000000000000000000:0000 0A 0:0 00:0 0 1003 0 34 1",
        ]);
        let owners =
            |own: &str, peer: &str| sockets.owners(own.parse().unwrap(), peer.parse().unwrap());
        assert_eq!(owners("127.0.0.1:40000", "127.0.0.1:7433"), [1000, 1001]);
        assert_eq!(owners("127.0.0.1:40001", "127.0.0.1:7433"), [1000]);
        assert_eq!(owners("127.0.0.1:40001", "127.0.0.1:7434"), [1002]);
        assert_eq!(owners("[::1]:40001", "[::1]:7435"), [1003]);
        assert_eq!(owners("127.0.0.1:40001", "127.0.0.1:7435").len(), 0);
    }

    #[test]
    fn a_program_of_another_user_is_sent_nothing() {
        let me = Uid::effective().as_raw();
        let guard = Guard::new(Trust::Own);
        for owner in [me, 0] {
            assert_eq!(
                check(&guard, &Sockets(vec![listener("127.0.0.1:7433", owner)])),
                Ok(())
            );
        }
        assert_eq!(
            check(&guard, &Sockets::default()),
            Ok(()),
            "it is in another network namespace"
        );
        let refused = check(&guard, &Sockets(vec![listener("127.0.0.1:7433", OTHER)])).unwrap_err();
        assert!(
            refused.starts_with("the program that listens at 127.0.0.1:7433 is of the user nobody"),
            "{refused}"
        );
        assert!(check(&guard, &Sockets(vec![listener("0.0.0.0:7433", OTHER)])).is_err());
        assert_eq!(
            check(
                &guard,
                &Sockets(vec![
                    listener("127.0.0.1:7433", me),
                    listener("0.0.0.0:7433", OTHER)
                ])
            ),
            Ok(())
        );
        let accepted = Socket {
            remote: "127.0.0.1:40000".parse().unwrap(),
            listens: false,
            ..listener("127.0.0.1:7433", OTHER)
        };
        assert!(
            check(&guard, &Sockets(vec![accepted])).is_err(),
            "it listens no more"
        );
    }

    #[test]
    fn with_a_token_that_was_given_the_first_user_stays_the_one() {
        let guard = Guard::new(Trust::First);
        assert_eq!(
            check(&guard, &Sockets(vec![listener("127.0.0.1:7433", 4711)])),
            Ok(())
        );
        assert_eq!(
            check(&guard, &Sockets(vec![listener("127.0.0.1:7433", 4711)])),
            Ok(())
        );
        assert!(check(&guard, &Sockets(vec![listener("127.0.0.1:7433", OTHER)])).is_err());
        let guard = Guard::new(Trust::First);
        assert_eq!(
            check(
                &guard,
                &Sockets(vec![listener("127.0.0.1:7433", Uid::effective().as_raw())])
            ),
            Ok(())
        );
        assert!(check(&guard, &Sockets(vec![listener("127.0.0.1:7433", OTHER)])).is_err());
    }

    #[tokio::test]
    async fn the_listener_of_a_connection_is_found() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let owners =
            Sockets::read().owners(stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert_eq!(owners.first(), Some(&Uid::effective().as_raw()));
    }
}
