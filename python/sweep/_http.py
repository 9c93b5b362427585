"""Calls of the controller: JSON over HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from typing import Any, Dict, Iterator, Tuple, Type

from . import _locate
from .errors import (
    AccessDenied,
    DiskFull,
    InvalidArgument,
    NotFound,
    Refused,
    SweepError,
    TimedOut,
    Unavailable,
)

#: The limit of a call, in seconds.
TIMEOUT_S = 30.0
#: The tries of a call whose outcome is unknown, all with the same request id.
_TRIES = 4
_FIRST_WAIT_S = 0.1
#: The version of the calls: https://… `POST /api/v1/<Call>`.
_PREFIX = "/api/v1/"
_BY_CODE: Dict[str, Type[SweepError]] = {
    "NotFound": NotFound,
    "Unimplemented": NotFound,
    "InvalidArgument": InvalidArgument,
    "OutOfRange": InvalidArgument,
    "FailedPrecondition": Refused,
    "AlreadyExists": Refused,
    "Aborted": Refused,
    "Unauthenticated": AccessDenied,
    "PermissionDenied": AccessDenied,
    "ResourceExhausted": DiskFull,
    "Unavailable": Unavailable,
    "DeadlineExceeded": TimedOut,
}
_BY_STATUS = {401: "Unauthenticated", 403: "PermissionDenied", 404: "NotFound", 421: "PermissionDenied", 503: "Unavailable", 504: "DeadlineExceeded"}


def request_id() -> str:
    """Makes an id by which a repeated call is carried out once."""
    import secrets

    return secrets.token_hex(16)


class Connection:
    """A controller. Can be used by several threads."""

    def __init__(self, target: _locate.Target) -> None:
        self.target = target

    def call(self, name: str, fields: Dict[str, Any], timeout: float = TIMEOUT_S) -> Dict[str, Any]:
        """Makes a call that may be repeated: a read, or one with a request id.

        Args:
            name: The call, as in the reference of JSON over HTTP.
            fields: The fields of the request.
            timeout: The limit in seconds, all tries together.

        Raises:
            SweepError: The class says why.
        """
        end = time.monotonic() + timeout
        wait = _FIRST_WAIT_S
        for attempt in range(1, _TRIES + 1):
            try:
                answer = self._once(name, fields, end)
                if not isinstance(answer, dict):
                    raise SweepError(f"the answer to {name} is no object")
                return answer
            except Unavailable as error:
                is_final = str(error).endswith("; ask again") or attempt == _TRIES
                if is_final or time.monotonic() + wait >= end:
                    raise
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")

    def stream(self, name: str, fields: Dict[str, Any], timeout: float = TIMEOUT_S) -> Iterator[Dict[str, Any]]:
        """Makes a call whose answers come one after the other.

        Args:
            name: The call.
            fields: The fields of the request.
            timeout: The longest wait for the next answer, in seconds.

        Raises:
            SweepError: The class says why; also in the middle.
        """
        connection, response = self._send(name, fields, timeout)
        try:
            while True:
                line = response.readline()
                if not line:
                    return
                message = json.loads(line)
                if list(message) == ["error"]:
                    raise _error(message["error"], 500)
                yield message
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _broken(self.target.address, error) from error
        finally:
            connection.close()

    def _once(self, name: str, fields: Dict[str, Any], end: float) -> Any:
        connection, response = self._send(name, fields, max(end - time.monotonic(), 0.001))
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _broken(self.target.address, error) from error
        finally:
            connection.close()
        try:
            return json.loads(body)
        except ValueError as error:
            raise SweepError(f"the answer to {name} is not JSON: {error}") from error

    def _send(self, name: str, fields: Dict[str, Any], timeout: float) -> Tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Sends a request over a separate connection: nothing is shared by threads, or by processes after a fork."""
        host, _, port = self.target.address.rpartition(":")
        headers = {"content-type": "application/json", "connection": "close"}
        if self.target.token:
            headers["authorization"] = f"Bearer {self.target.token}"
        body = json.dumps(fields, allow_nan=False).encode()
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=timeout)
        try:
            connection.request("POST", _PREFIX + urllib.parse.quote(name), body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _broken(self.target.address, error) from error
        if response.status >= 400:
            try:
                text = response.read(1 << 16)
            except (OSError, http.client.HTTPException):
                text = b""
            connection.close()
            raise _refusal(text, response)
        return connection, response


def _refusal(text: bytes, response: http.client.HTTPResponse) -> SweepError:
    try:
        found = json.loads(text)["error"]
        return _error(found, response.status)
    except (ValueError, KeyError, TypeError):
        message = response.getheader("grpc-message") or text.decode(errors="replace").strip() or response.reason
        return _error({"code": _BY_STATUS.get(response.status, ""), "message": urllib.parse.unquote(message)}, response.status)


def _error(found: Dict[str, Any], status: int) -> SweepError:
    code = str(found.get("code") or "")
    kind = _BY_CODE.get(code, SweepError)
    message = str(found.get("message") or f"HTTP status {status}")
    return kind(message, code)


def _broken(address: str, error: Exception) -> Unavailable:
    if isinstance(error, socket.timeout):
        return TimedOut(f"the controller at {address} did not answer in time")
    hint = "start one with `sweep controller start`, or name another with controller= or $SWEEP_CONTROLLER"
    return Unavailable(f"no controller answers at {address}: {error or type(error).__name__}; {hint}")
