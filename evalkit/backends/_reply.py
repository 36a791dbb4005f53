"""What a server replied with: an object of JSON, or a refusal and its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evalkit.backends._retry import LONGEST_RETRY_AFTER, WORTH_ANOTHER_TRY, Failure, retry_after

HINTS = {
    401: ": is api_key_env the variable that holds this server's key?",
    403: ": is api_key_env the variable that holds this server's key?",
    404: ": are base_url and model what the server knows?",
}


def json_object(content_type: str, content: bytes) -> dict[str, Any]:
    """The object that an answer is; raises Failure where it is none."""
    import orjson

    if "json" not in content_type:
        raise Failure(f"answered with {content_type} instead of JSON")
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise Failure("answered with JSON that is cut short or broken") from None
    if not isinstance(answer, dict):
        raise Failure("answered with JSON that is no object")
    return answer


def refusal(status: int, headers: Mapping[str, str], content: bytes, key: str) -> Failure:
    """What a status other than 200 means, without the key if the server repeats it."""
    words = one_line(_reason(content)) + HINTS.get(status, "")
    if key:
        words = words.replace(key, "***")
    after = retry_after(headers.get("Retry-After", ""))
    again = status in WORTH_ANOTHER_TRY or status >= 500
    if after > LONGEST_RETRY_AFTER:
        return Failure(f"HTTP {status}, asks to wait {after:.0f} s", again=False)
    return Failure(f"HTTP {status}: {words}", again=again, after=after, status=status)


def _reason(content: bytes) -> str:
    """The server's own words on a refusal, out of the JSON that most wrap them in."""
    import orjson

    text = content.decode(errors="replace")
    try:
        found = orjson.loads(content)
        found = found.get("error", found)
        found = found if isinstance(found, str) else found["message"]
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return text
    return str(found)


def one_line(text: str, limit: int = 300) -> str:
    """The beginning of a text, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[:limit] + " …"
