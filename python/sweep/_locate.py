"""Finds the controller, its token and the program ``sweep``, as the command line does."""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

from .errors import NoProgram, SweepError, Unavailable

#: The address of a controller of this machine.
LOCAL = "127.0.0.1:7433"
#: The time limit of a controller for its start, in seconds.
_START_S = 60.0


class Target(NamedTuple):
    """The address and the token of a controller."""

    #: ``host:port``
    address: str
    token: Optional[str]
    #: Whether a controller was named; else one of this machine is meant, which is started where there is none.
    is_named: bool

    def __repr__(self) -> str:
        # The token cannot end in a log.
        return f"Target({self.address!r})"


def target(controller: Optional[str] = None, token: Optional[str] = None) -> Target:
    """Returns where the controller is.

    Args:
        controller: ``host:port`` or ``http://host:port``; by default ``$SWEEP_CONTROLLER``, else the one of this machine.
        token: The token; by default that of the user's own controller on this machine, else the file ``$SWEEP_TOKEN_FILE``, else ``$SWEEP_TOKEN``.

    Raises:
        SweepError: ``$SWEEP_TOKEN_FILE`` cannot be read, or the address has no port.
    """
    named = controller or os.environ.get("SWEEP_CONTROLLER") or ""
    address = (named[len("http://") :] if named.startswith("http://") else named).rstrip("/") or LOCAL
    if "://" in address:
        raise SweepError(f"{address!r} is no address of a controller: only http:// is spoken here")
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise SweepError(f"{address!r} is no address of a controller: the port is missing; for example gpu-head:7433")
    if token:
        return Target(address, token.strip(), bool(named))
    file = os.environ.get("SWEEP_TOKEN_FILE")
    if file:
        try:
            return Target(address, Path(file).read_text(encoding="ascii").strip(), bool(named))
        except (OSError, UnicodeDecodeError) as error:
            raise SweepError(f"SWEEP_TOKEN_FILE: {error}") from error
    given = os.environ.get("SWEEP_TOKEN", "").strip() or None
    own = _own(host.strip("[]"), int(port))
    if own is None:
        return Target(address, given, bool(named))
    return Target(own[0], own[1] or given, bool(named))


def _own(host: str, port: int) -> Optional[Tuple[str, Optional[str]]]:
    """Returns the address and the token of the user's own controller; ``None``: it is not on this machine."""
    if host.lower() == "localhost":
        wanted = None
    else:
        try:
            wanted = ipaddress.ip_address(host)
        except ValueError:
            return None
        if not wanted.is_loopback:
            return None
    for data_dir in _data_dirs(port):
        served = _served(data_dir)
        if served is None or served[1] != port:
            continue
        ip = served[0]
        if not (ip.is_unspecified or (ip.is_loopback if wanted is None else ip == wanted)):
            continue
        if wanted is not None:
            ip = wanted
        elif ip.is_unspecified:
            ip = ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
        address = f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
        return address, _token_of(data_dir)
    return None


def _data_dirs(port: int) -> Iterator[Path]:
    try:
        notes = sorted((state_dir() / "controllers").iterdir())
    except OSError:
        notes = []
    for note in notes:
        if note.name.endswith(f":{port}"):
            try:
                folder = Path(os.fsdecode(note.read_bytes()))
            except OSError:
                continue
            if folder.is_absolute():
                yield folder
    if os.environ.get("SWEEP_DATA_DIR"):
        yield Path(os.environ["SWEEP_DATA_DIR"])
    yield _base("XDG_DATA_HOME", ".local/share")


def _served(data_dir: Path) -> "Optional[Tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]":
    """Returns where the controller that holds a data directory of this user listens."""
    try:
        if data_dir.stat().st_uid != os.geteuid():
            return None
        with open(data_dir / "lock", "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                # It is not held: the card is that of a controller that was killed, and another user's program may have its port.
                return None
        card = json.loads((data_dir / "controller.json").read_text(encoding="utf-8"))
        host, _, port = str(card["address"]).rpartition(":")
        return ipaddress.ip_address(host.strip("[]")), int(port)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _token_of(data_dir: Path) -> Optional[str]:
    """Returns the token in a data directory. No link is followed, and no pipe waited for."""
    try:
        opened = os.open(data_dir / "token", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(opened, encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            return None
        return file.read(2048).strip() or None


def state_dir() -> Path:
    """Returns the folder of run folders and of notes of controllers."""
    return _base("XDG_STATE_HOME", ".local/state")


def _base(variable: str, below_home: str) -> Path:
    path = os.environ.get(variable, "")
    return (Path(path) if os.path.isabs(path) else Path.home() / below_home) / "sweep"


def binary() -> str:
    """Returns the path of the program ``sweep``: beside Python, where ``pip`` puts it, else in ``$PATH``.

    Raises:
        NoProgram: It is in neither.
    """
    folders = [os.path.dirname(sys.executable), sysconfig.get_path("scripts")]
    for folder in folders:
        found = shutil.which("sweep", path=folder) if folder else None
        if found:
            return found
    found = shutil.which("sweep")
    if found is None:
        hint = "install it, or name a controller (controller=, $SWEEP_CONTROLLER)"
        raise NoProgram(f"the program `sweep` is neither beside Python nor in $PATH; {hint}")
    return found


def start_local(address: str) -> None:
    """Starts a controller of this user in the background.

    Raises:
        NoProgram: The program ``sweep`` is not here.
        Unavailable: It does not start, and why.
    """
    command: List[str] = [binary(), "controller", "start", "--listen", address]
    try:
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_START_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"the controller does not start within {_START_S:.0f} s") from error
    if ended.returncode:
        raise Unavailable(f"the controller does not start: {ended.stderr.strip()}")
