"""HTTP over a connection that stands already, by way of requests.

There is no Session: it would bring cookies, redirects, .netrc and proxies from the environment,
each to be switched off again. The adapter under it has none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool
from urllib3.util.retry import Retry
from urllib3.util.url import parse_url

from policies.mtasts.tls import TLSStream


def send_get(stream: TLSStream, url: str, headers: Mapping[str, str]) -> requests.Response:
    """The answer to a GET of `url` sent over `stream`, its body still unread.

    Raises whatever requests, urllib3 and http.client do; `causes.fetch_error` sorts it out.
    """
    request = requests.Request("GET", url, headers=dict(headers)).prepare()
    return _Adapter(stream).send(request, stream=True)


class _Connection(HTTPSConnection):
    def __init__(self, *args: Any, stream: TLSStream, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stream = stream

    def connect(self) -> None:
        self.sock = self._stream
        self.is_verified = True


class _Pool(HTTPSConnectionPool):
    ConnectionCls = _Connection


class _Adapter(HTTPAdapter):
    def __init__(self, stream: TLSStream) -> None:
        super().__init__(max_retries=Retry(False))
        self._stream = stream

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the handshake has verified, and the original reads the roots again here."""

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> _Pool:
        url = parse_url(cast(str, request.url))
        return _Pool(cast(str, url.host), url.port, stream=self._stream)
