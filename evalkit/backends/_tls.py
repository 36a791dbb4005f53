"""TLS: whom to trust, and what a handshake that failed says.

A certificate that does not hold is the same at every try; a handshake that was cut is not.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

from evalkit.backends._retry import Failure
from evalkit.errors import ConfigError

CUT = "the TLS handshake was cut off"
AUTHORITY_FILE = "SSL_CERT_FILE"
UNKNOWN_AUTHORITY = frozenset({7, 18, 19, 20, 21})  # codes of X.509 verification, as below
NOT_YET, EXPIRED = 9, 10
OTHER_NAME = frozenset({62, 64})
NOT_SPOKEN = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL makes of bytes that are no TLS."""


def trust() -> ssl.SSLContext:
    """Believes what the system's authorities sign, or in their place those in SSL_CERT_FILE.

    Raises ConfigError where that names no file, which OpenSSL would pass over.
    """
    named = os.environ.get(AUTHORITY_FILE)
    if named and not Path(named).is_file():
        raise ConfigError(f"{AUTHORITY_FILE}: there is no file {named}")
    try:
        return ssl.create_default_context()
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{AUTHORITY_FILE}: {named} cannot be read: {error}") from None


def failure(error: ssl.SSLError) -> Failure:
    """What a handshake ended with, and what mends it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message.rstrip(".")
        return _final(f"TLS: {words}: {_remedy(error.verify_code)}")
    if isinstance(error, ssl.SSLEOFError) or "EOF" in (error.reason or ""):
        return Failure(CUT, silent=True)
    if error.reason in NOT_SPOKEN:
        return _final("does not speak TLS: does base_url begin with http:// there?")
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return _final(f"TLS: {reason}: have the server offer TLS 1.2 or 1.3 and a usual cipher")


def not_expected() -> Failure:
    """The failure of plain HTTP with a server that speaks TLS."""
    return _final("speaks TLS: base_url has to begin with https://")


def _final(words: str) -> Failure:
    """A failure that another try would only bring again, though another server may not."""
    return Failure(words, again=False, silent=True)


def _remedy(code: int) -> str:
    if code in UNKNOWN_AUTHORITY:
        return f"if you trust it, name the file of its authority by {AUTHORITY_FILE}"
    if code == EXPIRED:
        return "have the server's certificate renewed"
    if code == NOT_YET:
        return "are the clocks here and there right?"
    if code in OTHER_NAME:
        return "write base_url with a name that the certificate has"
    return "have the server's certificate mended"


def shake(line: socket.socket, host: str) -> None:
    """A handshake over a connection; raises Failure where no try would be another, or none comes.

    One that is cut is left to the tries of requests.
    """
    try:
        trust().wrap_socket(line, server_hostname=host).close()
    except ssl.SSLError as error:
        found = failure(error)
        if not found.again:
            raise found from None
    except ConnectionError:
        pass
    except TimeoutError:
        raise Failure("no TLS handshake in time: does it speak TLS there?") from None


def speaks(host: str, port: int, patience: float) -> bool:
    """Whether a server speaks TLS, whoever it is: nothing is said to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        suppress(OSError),
        socket.create_connection((host, port), patience) as line,
        context.wrap_socket(line),
    ):
        return True
    return False
