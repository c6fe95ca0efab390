"""HTTP over a connection that stands already, by way of urllib3.

Its connection alone, without the pools and sessions above it: they would bring retries, redirects,
cookies, .netrc and proxies from the environment, each to be switched off again, and cost more than
the rest of a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any

import urllib3.exceptions
from urllib3.connection import HTTPSConnection
from urllib3.response import BaseHTTPResponse

from policies.mtasts.deadline import LimitedSocket
from policies.mtasts.tls import TLSStream

EXCHANGE_ERRORS = (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)
"""What `send_get`, `send_post` and their answers raise; ValueError for a chunk of negative size."""

MAX_INTERIM = 16
"""Interim answers that are read past, 100 not counted. Honest hosts send one."""


def send_get(
    stream: TLSStream, host: str, port: int, path: str, headers: Mapping[str, str]
) -> BaseHTTPResponse:
    """The answer to a GET of `path` sent over `stream` to `host`, its body still unread.

    Raises whatever urllib3 and http.client do; `causes.fetch_error` sorts it out.
    """
    connection = _Connection(host, port, stream=stream)
    connection.request("GET", path, headers=headers, preload_content=False, decode_content=False)
    return connection.getresponse()


def send_post(
    stream: LimitedSocket | TLSStream,
    host: str,
    port: int,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
) -> BaseHTTPResponse:
    """The same for a POST, with TLS or without."""
    connection = _Connection(host, port, stream=stream)
    connection.request("POST", path, body, headers, preload_content=False, decode_content=False)
    return connection.getresponse()


class _FinalResponse(HTTPResponse):
    """The final answer, read past interim ones such as 103 (RFC 9110 section 15.2).

    http.client reads past 100 alone. Where there are more than MAX_INTERIM, the one after them is
    taken for the answer, and so is 101, which ends HTTP.
    """

    def begin(self) -> None:
        super().begin()
        for _ in range(MAX_INTERIM):
            if not self.status < HTTPStatus.OK or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                return
            self.headers = None  # type: ignore[assignment] # else begin() believes that it has begun
            super().begin()


class _Connection(HTTPSConnection):
    response_class = _FinalResponse

    def __init__(self, *args: Any, stream: LimitedSocket | TLSStream, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stream = stream

    def connect(self) -> None:
        self.sock = self._stream
        self.is_verified = True
