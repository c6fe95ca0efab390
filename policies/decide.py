"""What to answer and what to store, from the cached row, DNS and HTTPS: the pure decision.

`decide` is for a lookup and, with `force`, for an operator's refetch; `decide_refresh` is for the
periodic refresh. Both are asked twice at most: once with what DNS said, and, where they answer
`NEEDS_FETCH`, again with what the policy host said. The table they implement is in
docs/decisions/0002-the-decision.md; tests/test_decide.py holds it row by row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from policies.mtasts import Mode, Policy, Record
from policies.mtasts.errors import (
    DNSError,
    FetchError,
    MTASTSError,
    NoRecordError,
    PolicySyntaxError,
    RecordError,
)
from policies.tlsrpt.failures import BACK_OFF, FALLBACK, failure_details
from policies.tlsrpt.lines import policy_lines, received_lines
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy, ResultType

if TYPE_CHECKING:
    from policies.mtasts.https import FetchedPolicy

BACKOFF = timedelta(minutes=5)
"""How long no fetch follows a failed one, per record id (RFC 8461 section 3.3)."""


Look: TypeAlias = Record | RecordError | DNSError
"""What a TXT answer came to."""

Fetched: TypeAlias = "FetchedPolicy | FetchError | PolicySyntaxError"
"""What a policy host's answer came to."""


class _NeedsFetch(Enum):
    NEEDS_FETCH = "needs fetch"


NEEDS_FETCH: Final = _NeedsFetch.NEEDS_FETCH
"""The decision needs the policy host's answer: fetch, and ask again."""

NeedsFetch = Literal[_NeedsFetch.NEEDS_FETCH]


class Store(StrEnum):
    """What is to be written after an answer."""

    NOTHING = "nothing"
    """No row, or none that counts."""
    USE = "use"
    """The row stays as it is, but for the time of its last use."""
    POLICY = "policy"
    """The fetched policy replaces what the row held."""
    EDIT = "edit"
    """A fetch confirmed an edited row: its life, and whether the published text differs."""
    BACKOFF = "backoff"
    """No policy and a failed fetch: a row that says when to try again."""
    HOLD = "hold"
    """The policy stays; its row notes the record id whose fetch failed."""
    DELETE = "delete"
    """The row goes: the domain has opted out, or what was backed off from is gone."""


@dataclass(frozen=True, slots=True)
class Cached:
    """A row that has not expired, as far as decisions need it.

    `policy` is None while backing off. `failure` is why the fetch of `failed_id` failed, and no
    further fetch of that id is made before `retry_at`.
    """

    policy: Policy | None
    policy_text: str
    record_id: str
    failed_id: str = ""
    retry_at: datetime | None = None
    failure: FailureDetails | None = None
    edited: bool = False

    def holds_off(self, record_id: str, now: datetime) -> bool:
        """Whether the fetch of this id failed so recently that it is not tried again yet."""
        return self.failed_id == record_id and self.retry_at is not None and now < self.retry_at


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a decision.

    `error` is set when there is no answer for now; `result` says why even then. `failure` is the
    cause as found now, without what was done about it. `record_id` is the published one, where
    DNS gave one.
    """

    policy: Policy | None
    result: Result
    fresh: bool
    store: Store
    error: DNSError | None = None
    failure: FailureDetails | None = None
    record_id: str = ""


def decide(
    domain: str,
    cached: Cached | None,
    look: Look,
    fetched: Fetched | None,
    now: datetime,
    *,
    force: bool = False,
) -> Answer | NeedsFetch:
    """The answer to a lookup of `domain` (an A-label name).

    `cached`: the row, if it has not expired. `look`: what the TXT answer came to. `fetched`: what
    the policy host's answer came to, None while it was not asked. `force`: fetch whatever the
    cache says, as an operator's refetch does.
    """
    if cached is None:
        return _decide_uncached(domain, look, fetched)
    if cached.policy is None:
        return _decide_backing_off(domain, cached, look, fetched, force=force)
    return _decide_cached(domain, cached, cached.policy, look, fetched, now, force=force)


def _decide_uncached(
    domain: str,
    look: Look,
    fetched: Fetched | None,
) -> Answer | NeedsFetch:
    if isinstance(look, DNSError):
        failure = failure_details(look)
        result = _sts(domain, failures=(failure,))
        return Answer(None, result, False, Store.NOTHING, error=look, failure=failure)
    if isinstance(look, NoRecordError):
        return Answer(None, no_policy_found(domain), True, Store.NOTHING)
    if isinstance(look, RecordError):
        failure = failure_details(look)
        result = _sts(domain, failures=(failure,))
        return Answer(None, result, True, Store.NOTHING, failure=failure)
    if fetched is None:
        return NEEDS_FETCH
    if not isinstance(fetched, MTASTSError):
        return _fetched(domain, look, fetched)
    failure = failure_details(fetched)
    lines = received_lines(fetched.received) if isinstance(fetched, PolicySyntaxError) else ()
    result = _sts(domain, lines, failures=(failure,))
    return Answer(None, result, True, Store.BACKOFF, failure=failure, record_id=look.id)


def _decide_backing_off(
    domain: str,
    cached: Cached,
    look: Look,
    fetched: Fetched | None,
    *,
    force: bool,
) -> Answer | NeedsFetch:
    if isinstance(look, NoRecordError):
        return Answer(None, no_policy_found(domain), True, Store.DELETE)
    if force or (isinstance(look, Record) and look.id != cached.record_id):
        return _decide_uncached(domain, look, fetched)
    first = cached.failure.reason_code if cached.failure else ""
    failure = FailureDetails(ResultType.STS_POLICY_FETCH_ERROR, BACK_OFF).with_suffix(first)
    result = _sts(domain, failures=(failure,))
    return Answer(None, result, False, Store.USE, failure=failure)


def _decide_cached(
    domain: str,
    cached: Cached,
    policy: Policy,
    look: Look,
    fetched: Fetched | None,
    now: datetime,
    *,
    force: bool,
) -> Answer | NeedsFetch:
    if not isinstance(look, Record):
        # RFC 8461 section 3.1: a record that is gone or broken does not end a cached policy.
        return _fall_back(domain, cached, failure_details(look), Store.USE)
    if not force:
        known = look.id == cached.record_id and (cached.policy_text or cached.edited)
        if known:
            return Answer(policy, _of_cached(domain, cached), True, Store.USE, record_id=look.id)
        if cached.holds_off(look.id, now):
            return _fall_back(domain, cached, cached.failure, Store.USE, look.id)
    if fetched is None:
        return NEEDS_FETCH
    if isinstance(fetched, MTASTSError):
        return _fall_back(domain, cached, failure_details(fetched), Store.HOLD, look.id)
    return _fetched(domain, look, fetched)


def decide_refresh(
    domain: str, held: Cached, look: Look, fetched: Fetched | None, now: datetime, *, valid: bool
) -> Answer | NeedsFetch:
    """What becomes of a row that is due for its refresh. `valid`: it has not expired.

    A valid policy is fetched anew whatever the TXT record says (RFC 8461 section 3.3), so that a
    policy changed without a new id is seen and no life grows longer without a fetch. A policy of
    mode none whose record is gone has been phased out (section 8.3). An expired row is as if
    absent: its fetch needs a record, too.
    """
    if (
        held.policy is not None
        and held.policy.mode is Mode.NONE
        and isinstance(look, NoRecordError)
    ):
        return Answer(None, no_policy_found(domain), True, Store.DELETE)
    if held.policy is None or not valid:
        return decide(domain, None, look, fetched, now)
    record_id = look.id if isinstance(look, Record) else held.record_id
    if held.holds_off(record_id, now):
        return _fall_back(domain, held, held.failure, Store.USE, record_id)
    if fetched is None:
        return NEEDS_FETCH
    if isinstance(fetched, MTASTSError):
        return _fall_back(domain, held, failure_details(fetched), Store.HOLD, record_id)
    answer = _renewed(domain, held, record_id, fetched)
    if isinstance(look, Record) or answer.result.policy.type is not PolicyType.STS:
        return answer
    # The host vouches for the policy, DNS does not: mail servers that ask now are told so, too.
    failure = failure_details(look)
    result = Result(answer.result.policy, (failure.with_suffix(FALLBACK),))
    return replace(answer, result=result, failure=failure)


def _renewed(domain: str, cached: Cached, record_id: str, fetched: FetchedPolicy) -> Answer:
    """An edit holds until the record id changes; else what was fetched replaces the row."""
    if cached.edited and record_id == cached.record_id:
        result = _of_cached(domain, cached)
        return Answer(cached.policy, result, True, Store.EDIT, record_id=record_id)
    result = policy_result(domain, fetched.policy, fetched.text)
    return Answer(fetched.policy, result, True, Store.POLICY, record_id=record_id)


def _fetched(domain: str, look: Record, fetched: FetchedPolicy) -> Answer:
    result = policy_result(domain, fetched.policy, fetched.text)
    return Answer(fetched.policy, result, True, Store.POLICY, record_id=look.id)


def _fall_back(
    domain: str,
    cached: Cached,
    failure: FailureDetails | None,
    store: Store,
    record_id: str = "",
) -> Answer:
    """The cached policy stays in force; what failed is told, but for mode none (section 6)."""
    result = _of_cached(domain, cached)
    if failure is not None and result.policy.type is PolicyType.STS:
        result = Result(result.policy, (failure.with_suffix(FALLBACK),))
    return Answer(cached.policy, result, False, store, failure=failure, record_id=record_id)


def _of_cached(domain: str, cached: Cached) -> Result:
    assert cached.policy is not None  # noqa: S101 - callers hold a row that is not backing off
    if cached.edited and cached.policy.mode is not Mode.NONE:
        return _sts(domain)  # what an operator wrote is no policy of the domain's
    return policy_result(domain, cached.policy, cached.policy_text)


def policy_result(domain: str, policy: Policy, text: str) -> Result:
    """The result of a policy in force. `text`: as served; rebuilt where a row has none.

    Mode none counts as no policy (RFC 8461 section 5), here as everywhere.
    """
    if policy.mode is Mode.NONE:
        return no_policy_found(domain)
    return _sts(domain, policy_lines(text or str(policy)), tuple(map(str, policy.mx)))


def no_policy_found(domain: str) -> Result:
    """The result of a domain without MTA-STS."""
    return Result(ResultPolicy(PolicyType.NO_POLICY_FOUND, domain))


def _sts(
    domain: str,
    lines: tuple[str, ...] = (),
    mx: tuple[str, ...] = (),
    failures: tuple[FailureDetails, ...] = (),
) -> Result:
    return Result(ResultPolicy(PolicyType.STS, domain, lines, mx), failures)
