"""One HTTP POST to a receiver that the operator named, within a deadline.

The receiver may be anywhere, this machine and the private network included: it is the operator's
own. Redirects are not followed: the signature is for one address.
"""

from __future__ import annotations

import hashlib
import hmac
import queue
import socket
import threading
from contextlib import ExitStack, closing
from datetime import datetime
from functools import cache
from http import HTTPStatus
from urllib.parse import urlsplit

from policies.alerts.undelivered import NotDeliveredError
from policies.mtasts.causes import HANDSHAKE, HEAD, fetch_error
from policies.mtasts.deadline import Deadline, LimitedSocket, LimitedTLSSocket
from policies.mtasts.dial import dial
from policies.mtasts.errors import FetchError
from policies.mtasts.tls import TrustStore, handshake
from policies.mtasts.transport import EXCHANGE_ERRORS, send_post

SECONDS = 15.0
"""For all of it, from the look-up of the name to the last octet of the head of the answer."""

_PORTS = {"http": 80, "https": 443}


def headers(body: str, key: str, secret: str, now: datetime) -> dict[str, str]:
    """What tells the receiver that it is us, and which message it is.

    The signature is over the time, a dot and the body, so that an old message cannot be sent anew.
    """
    timestamp = str(int(now.timestamp()))
    return {
        "Content-Type": "application/json",
        "User-Agent": "mtastsweb",
        "Connection": "close",
        "X-Mtastsweb-Id": key,
        "X-Mtastsweb-Timestamp": timestamp,
        "X-Mtastsweb-Signature": f"sha256={signature(body, timestamp, secret)}",
    }


def signature(body: str, timestamp: str, secret: str) -> str:
    """HMAC-SHA256 in hex."""
    signed = f"{timestamp}.{body}".encode()
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def post(url: str, body: str, fields: dict[str, str], seconds: float = SECONDS) -> None:
    """Hand `body` over. Raises NotDeliveredError unless the receiver answers 2xx in time."""
    try:
        status = _post(url, body, fields, Deadline(seconds))
    except (FetchError, *EXCHANGE_ERRORS) as error:
        reason = error if isinstance(error, FetchError) else fetch_error(error, HEAD)
        raise NotDeliveredError(f"no answer from the receiver: {reason.reason}") from error
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotDeliveredError(f"the receiver answers {status}")


def _post(url: str, body: str, fields: dict[str, str], deadline: Deadline) -> int:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    with ExitStack() as held:
        _, sock = dial(_addresses(host, port, deadline), port, deadline, held)
        stream: LimitedSocket | LimitedTLSSocket = sock
        if parts.scheme == "https":
            try:
                stream = handshake(sock, host, _roots().context())
            except OSError as error:
                raise fetch_error(error, HANDSHAKE) from error
            held.callback(stream.close)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        with closing(send_post(stream, host, port, target, fields, body.encode())) as response:
            return int(response.status)


def _addresses(host: str, port: int, deadline: Deadline) -> list[str]:
    """From the system, for an own receiver may stand in a hosts file. It takes no deadline, and a
    resolver that is silent may take it a minute: a thread waits for that, and we only so long."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            answers.put(error)
        else:
            answers.put(list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found)))

    threading.Thread(target=ask, name="receiver's name", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except queue.Empty as error:
        raise FetchError("no address in time", reason="receiver-name-timeout") from error
    if isinstance(answer, OSError):
        raise FetchError("no address", reason="receiver-not-found") from answer
    return answer


@cache
def _roots() -> TrustStore:
    """The system's, with whatever roots of its own an organisation has put there."""
    return TrustStore()
