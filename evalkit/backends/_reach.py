"""Whether a server is there, told before anything is asked of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from evalkit.backends import _tls
from evalkit.backends._retry import Failure
from evalkit.errors import ConfigError, ModelError

CONNECT = 10.0  # seconds to reach a server that is there


def reach_any(addresses: Sequence[str], patience: float = CONNECT) -> None:
    """Raises ConfigError for what is no address, ModelError where none of the servers is there."""
    failed: list[ModelError] = []
    for address in addresses:
        try:
            _reach(address, patience)
        except ModelError as error:
            failed.append(error)
    if len(failed) == len(addresses):
        raise failed[0]


def endpoint(base_url: str) -> tuple[str, int]:
    """Host and port of an address; raises ConfigError for what is none."""
    try:
        parts = urlsplit(base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ConfigError(f"base_url {base_url!r}: {error}") from None
    if parts.username or parts.password:
        raise ConfigError("base_url must not hold a user or password: name it by api_key_env")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base_url {base_url!r} must look like http://127.0.0.1:8000/v1")
    return parts.hostname, port


def _reach(base_url: str, patience: float) -> None:
    host, port = endpoint(base_url)
    try:
        with socket.create_connection((host, port), patience) as line:
            if base_url.lower().startswith("https:"):
                _tls.shake(line, host)
    except Failure as failure:
        raise ModelError(f"cannot ask {base_url}: {failure}") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError(f"cannot reach {base_url}: {why}: is the server running?") from None
