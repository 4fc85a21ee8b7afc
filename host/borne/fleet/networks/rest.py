"""A server's HTTP interface: JSON in, JSON out, and its refusals as errors of this room."""

from __future__ import annotations

import email.utils
import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from borne.fleet.networks.errors import Busy, Denied, Exists, Missing, Refused, lost_line, scrub
from borne.fleet.networks.pace import Pace

_TIMEOUT_S: Final = 30.0
_BUSY: Final = (408, 425, 429, 500, 502, 503, 504)
_DENIED: Final = (401, 403)
_REFUSED: Final[Mapping[int, type[Refused]]] = {404: Missing, 409: Exists, 410: Missing}


class Rest:
    """Calls below `url`, with `headers` that hold the token; `secret` is the token itself, to be kept out of errors.

    `reason` finds a server's words in the JSON of an error.
    """

    def __init__(
        self,
        name: str,
        url: str,
        headers: Mapping[str, str],
        secret: str,
        pace: Pace,
        *,
        reason: Callable[[Any], str],
        ca: bytes | None = None,
    ) -> None:
        self._name, self._secret, self._pace, self._reason = name, secret, pace, reason
        verify: Any = ssl.create_default_context(cadata=ca.decode()) if ca else True
        agent = {"User-Agent": "borne", "Accept": "application/json"}
        self._client = httpx.Client(
            base_url=url,
            headers={**agent, **headers},
            timeout=_TIMEOUT_S,
            verify=verify,
            follow_redirects=False,
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, **params: str | int) -> Any:
        return self.send("GET", path, params=params)[0]

    def send(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str | int] | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """JSON and headers of the answer. Raises NetworkError, Denied, Refused, Missing, Exists."""
        return self._pace(lambda: self._attempt(method, path, body, params))

    def _attempt(
        self, method: str, path: str, body: Any, params: Mapping[str, str | int] | None
    ) -> tuple[Any, Mapping[str, str]]:
        try:
            answer = self._client.request(method, path, json=body, params=params or None)
        except httpx.HTTPError as error:
            # Not the exception's own words where it holds the request: the class says enough.
            words = scrub(str(error) or type(error).__name__, self._secret)
            raise lost_line(f"{self._name} at {self._client.base_url.netloc.decode()}", words) from None
        if answer.is_success:
            return self._parsed(answer), answer.headers
        raise self._told(answer)

    def _parsed(self, answer: httpx.Response) -> Any:
        if not answer.content:
            return {}
        try:
            return answer.json()
        except ValueError:
            raise Refused(
                f"{self._name}: answers with something that is no JSON: is the URL right?"
            ) from None

    def _told(self, answer: httpx.Response) -> Exception:
        status = answer.status_code
        try:
            words = self._reason(json.loads(answer.content))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            words = ""
        text = f"{self._name}: {scrub(words, self._secret) or f'HTTP status {status}'}"
        if status in _BUSY:
            return Busy(text, _rest(answer.headers))
        if status in _DENIED:
            return Denied(f"{text} (the token is unknown, has expired, or lacks a right)")
        return _REFUSED.get(status, Refused)(text)


def _rest(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: RFC 9110, 10.2.3; The Things Stack, "Rate Limiting"."""
    for name in ("retry-after", "x-rate-limit-retry"):
        if name in headers:
            try:
                return float(headers[name])
            except ValueError:
                pass
            try:
                return max(0.0, email.utils.parsedate_to_datetime(headers[name]).timestamp() - time.time())
            except ValueError:
                return None
    return None
