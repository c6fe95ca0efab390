"""What ties log lines together: the id of the request that led to them.

A page's request has one, the task that it queues goes on with it, and so does the fetch that the
task makes. A request that brings one of its own (X-Request-ID, from a proxy) keeps it.

A bulk refetch is worked by many ticks, each with an id of its own. The line that tells its
beginning has the request's id and the job's number, and what is done for the job has that number.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Request-ID"

_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_current: ContextVar[str] = ContextVar("request_id", default="")
_job: ContextVar[int | None] = ContextVar("job", default=None)


def current() -> str:
    """The id that what runs here belongs to; empty for none."""
    return _current.get()


def new() -> str:
    """Sixteen characters that nobody has had."""
    return secrets.token_hex(8)


def accepted(given: str) -> str:
    """`given` where it can stand in a log and a header as it is, else a new one."""
    return given if _SANE.fullmatch(given) else new()


@contextmanager
def bound(request_id: str) -> Iterator[None]:
    """What runs inside the block belongs to this id. A thread begun there has to be told:
    `threading.Thread(target=contextvars.copy_context().run, args=(work,))`."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


def job() -> int | None:
    """The job that what runs here is done for; None for none."""
    return _job.get()


@contextmanager
def for_job(number: int | None) -> Iterator[None]:
    """What runs inside the block is done for this job."""
    token = _job.set(number)
    try:
        yield
    finally:
        _job.reset(token)
