"""The decision, row by row (docs/decisions/0002-the-decision.md)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from policies.decide import (
    NEEDS_FETCH,
    Answer,
    Cached,
    Fetched,
    Look,
    Store,
    decide,
    decide_refresh,
)
from policies.mtasts.errors import (
    CertificateError,
    DNSError,
    FetchError,
    MultipleRecordsError,
    NoPolicyError,
    NoRecordError,
    PolicySyntaxError,
    RecordSyntaxError,
)
from policies.tlsrpt.result import FailureDetails
from tests.worlds import AT_ONCE, ENFORCE, NONE, NOON, TESTING, policy, record, served

DOMAIN = "example.org"

GONE = NoRecordError("none")
SEVERAL = MultipleRecordsError("two")
BROKEN = RecordSyntaxError("broken")
SERVFAIL = DNSError("servfail", reason="servfail")
BOGUS = DNSError("bogus", reason="servfail", ede=6)

ABSENT = NoPolicyError("404")
STATUS = FetchError("500", reason="http-status-500")
EXPIRED_CERTIFICATE = CertificateError("expired", reason="certificate-expired")
GARBAGE = PolicySyntaxError("found '<html>'", line=1, received="<html>\r\n<p>hello\x07")

CACHED = Cached(policy(), ENFORCE, "1")
CACHED_NONE = Cached(policy(NONE), NONE, "1")
EDITED = replace(CACHED, edited=True)
IMPORTED = replace(CACHED, policy_text="")
BACKING_OFF = Cached(
    None,
    "",
    "1",
    failed_id="1",
    retry_at=NOON + timedelta(minutes=1),
    failure=FailureDetails("sts-webpki-invalid", "certificate-expired"),
)
HELD = replace(
    CACHED,
    failed_id="2",
    retry_at=NOON + timedelta(minutes=1),
    failure=FailureDetails("sts-policy-fetch-error", "cannot-fetch-policy+http-status-500"),
)
HELD_LONG_AGO = replace(HELD, retry_at=NOON)

FETCH_ERROR = "sts-policy-fetch-error: "
FALLBACK = "+fallback-to-cached-policy"


@dataclass
class Case:
    """A row of the table. `failure` empty: none; `says`: the policy text that the result quotes."""

    cached: Cached | None
    look: Look
    fetched: Fetched | None
    mode: str | None
    fresh: bool
    kind: str
    failure: str
    store: Store
    says: str = ""


STS, NO = "sts", "no-policy-found"

TABLE = {
    "nothing cached, no record": Case(None, GONE, None, None, True, NO, "", Store.NOTHING),
    "nothing cached, several records": Case(
        None,
        SEVERAL,
        None,
        None,
        True,
        STS,
        FETCH_ERROR + "multiple-mta-sts-records",
        Store.NOTHING,
    ),
    "nothing cached, record broken": Case(
        None, BROKEN, None, None, True, STS, FETCH_ERROR + "record-syntax-error", Store.NOTHING
    ),
    "nothing cached, no policy served": Case(
        None, record(), ABSENT, None, True, STS, FETCH_ERROR + "no-policy-served", Store.BACKOFF
    ),
    "nothing cached, cannot fetch": Case(
        None,
        record(),
        STATUS,
        None,
        True,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500",
        Store.BACKOFF,
    ),
    "nothing cached, certificate refused": Case(
        None,
        record(),
        EXPIRED_CERTIFICATE,
        None,
        True,
        STS,
        "sts-webpki-invalid: certificate-expired",
        Store.BACKOFF,
    ),
    "nothing cached, policy does not parse": Case(
        None,
        record(),
        GARBAGE,
        None,
        True,
        STS,
        "sts-policy-invalid: policy-syntax-error",
        Store.BACKOFF,
        "<html>\n<p>hello\ufffd",
    ),
    "nothing cached, DNS fails": Case(
        None, SERVFAIL, None, None, False, STS, FETCH_ERROR + "dns-lookup+servfail", Store.NOTHING
    ),
    "nothing cached, DNSSEC fails": Case(
        None,
        BOGUS,
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "dns-extended-error-6-dnssec-bogus",
        Store.NOTHING,
    ),
    "nothing cached, mode none fetched": Case(
        None, record(), served(NONE), "none", True, NO, "", Store.POLICY
    ),
    "nothing cached, enforce fetched": Case(
        None, record(), served(), "enforce", True, STS, "", Store.POLICY, ENFORCE
    ),
    "nothing cached, testing fetched": Case(
        None, record(), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "nothing cached, max_age 0 fetched": Case(
        None, record(), served(AT_ONCE), "enforce", True, STS, "", Store.POLICY, AT_ONCE
    ),
    "backing off, same id": Case(
        BACKING_OFF,
        record(),
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "back-off-after-recent-fetch-error+certificate-expired",
        Store.USE,
    ),
    "backing off for a reason that is not known": Case(
        replace(BACKING_OFF, failure=None),
        record(),
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "back-off-after-recent-fetch-error",
        Store.USE,
    ),
    "backing off, DNS fails": Case(
        BACKING_OFF,
        SERVFAIL,
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "back-off-after-recent-fetch-error+certificate-expired",
        Store.USE,
    ),
    "backing off, record broken": Case(
        BACKING_OFF,
        BROKEN,
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "back-off-after-recent-fetch-error+certificate-expired",
        Store.USE,
    ),
    "backing off, several records": Case(
        BACKING_OFF,
        SEVERAL,
        None,
        None,
        False,
        STS,
        FETCH_ERROR + "back-off-after-recent-fetch-error+certificate-expired",
        Store.USE,
    ),
    "backing off, new id, fetch works": Case(
        BACKING_OFF, record("2"), served(), "enforce", True, STS, "", Store.POLICY, ENFORCE
    ),
    "backing off, new id, fetch fails": Case(
        BACKING_OFF,
        record("2"),
        STATUS,
        None,
        True,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500",
        Store.BACKOFF,
    ),
    "backing off, record gone": Case(BACKING_OFF, GONE, None, None, True, NO, "", Store.DELETE),
    "cached, same id": Case(CACHED, record(), None, "enforce", True, STS, "", Store.USE, ENFORCE),
    "cached, DNS fails": Case(
        CACHED,
        SERVFAIL,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "dns-lookup+servfail" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "cached, record gone": Case(
        CACHED,
        GONE,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "no-mta-sts-dns-txt-record" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "cached, record broken": Case(
        CACHED,
        BROKEN,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "record-syntax-error" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "cached, several records": Case(
        CACHED,
        SEVERAL,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "multiple-mta-sts-records" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "cached, new id, fetch works": Case(
        CACHED, record("2"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "cached, new id, mode none fetched": Case(
        CACHED, record("2"), served(NONE), "none", True, NO, "", Store.POLICY
    ),
    "cached, new id, fetch fails": Case(
        CACHED,
        record("2"),
        STATUS,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500" + FALLBACK,
        Store.HOLD,
        ENFORCE,
    ),
    "cached, new id, certificate refused": Case(
        CACHED,
        record("2"),
        EXPIRED_CERTIFICATE,
        "enforce",
        False,
        STS,
        "sts-webpki-invalid: certificate-expired" + FALLBACK,
        Store.HOLD,
        ENFORCE,
    ),
    "cached, new id, policy does not parse": Case(
        CACHED,
        record("2"),
        GARBAGE,
        "enforce",
        False,
        STS,
        "sts-policy-invalid: policy-syntax-error" + FALLBACK,
        Store.HOLD,
        ENFORCE,
    ),
    "cached, new id whose fetch failed lately": Case(
        HELD,
        record("2"),
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "cached, another id than the one that failed": Case(
        HELD, record("3"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "cached, new id whose fetch failed long ago": Case(
        HELD_LONG_AGO, record("2"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "cached, own id again while another failed": Case(
        HELD, record("1"), None, "enforce", True, STS, "", Store.USE, ENFORCE
    ),
    "imported without text, same id, fetch works": Case(
        IMPORTED, record(), served(), "enforce", True, STS, "", Store.POLICY, ENFORCE
    ),
    "imported without text, same id, fetch fails": Case(
        IMPORTED,
        record(),
        STATUS,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500" + FALLBACK,
        Store.HOLD,
        ENFORCE,
    ),
    "imported without text, same id, fetch failed lately": Case(
        replace(HELD, policy_text="", failed_id="1"),
        record(),
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "mode none cached, same id": Case(CACHED_NONE, record(), None, "none", True, NO, "", Store.USE),
    "mode none cached, DNS fails": Case(
        CACHED_NONE, SERVFAIL, None, "none", False, NO, "", Store.USE
    ),
    "mode none cached, record gone": Case(
        CACHED_NONE, GONE, None, "none", False, NO, "", Store.USE
    ),
    "mode none cached, new id, fetch fails": Case(
        CACHED_NONE, record("2"), STATUS, "none", False, NO, "", Store.HOLD
    ),
    "edited, same id: the text is not the domain's": Case(
        EDITED, record(), None, "enforce", True, STS, "", Store.USE
    ),
    "edited, DNS fails": Case(
        EDITED,
        SERVFAIL,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "dns-lookup+servfail" + FALLBACK,
        Store.USE,
    ),
    "edited, new id, fetch works": Case(
        EDITED, record("2"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
}


def assert_is(answer: object, case: Case) -> None:
    assert isinstance(answer, Answer)
    assert (answer.policy and str(answer.policy.mode)) == case.mode
    assert answer.fresh is case.fresh
    assert answer.store is case.store
    assert answer.result.policy.type == case.kind
    assert answer.result.policy.domain == DOMAIN
    assert [str(failure) for failure in answer.result.failures] == list(
        filter(None, [case.failure])
    )
    assert "\n".join(answer.result.policy.string) == case.says.rstrip("\n")
    assert (answer.error is not None) is (case.store is Store.NOTHING and not case.fresh)


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE)
def test_a_lookup_is_decided_as_the_table_says(case: Case) -> None:
    if case.fetched is not None:
        assert decide(DOMAIN, case.cached, case.look, None, NOON) is NEEDS_FETCH
    assert_is(decide(DOMAIN, case.cached, case.look, case.fetched, NOON), case)


def test_the_result_names_the_mx_patterns() -> None:
    answer = decide(DOMAIN, None, record(), served(TESTING), NOON)
    assert isinstance(answer, Answer)
    assert answer.result.policy.mx_host == ("*.example.org",)


REFETCHED = {
    "cached, same id": Case(
        CACHED, record(), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "edited, same id: the edit ends": Case(
        EDITED, record(), served(), "enforce", True, STS, "", Store.POLICY, ENFORCE
    ),
    "cached, the id failed lately": Case(
        HELD, record("2"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "cached, record gone": Case(
        CACHED,
        GONE,
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "no-mta-sts-dns-txt-record" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "backing off, same id": Case(
        BACKING_OFF, record(), served(), "enforce", True, STS, "", Store.POLICY, ENFORCE
    ),
    "backing off, same id, fails again": Case(
        BACKING_OFF,
        record(),
        STATUS,
        None,
        True,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500",
        Store.BACKOFF,
    ),
    "backing off, record broken": Case(
        BACKING_OFF,
        BROKEN,
        None,
        None,
        True,
        STS,
        FETCH_ERROR + "record-syntax-error",
        Store.NOTHING,
    ),
    "backing off, record gone": Case(BACKING_OFF, GONE, None, None, True, NO, "", Store.DELETE),
}


@pytest.mark.parametrize("case", REFETCHED.values(), ids=REFETCHED)
def test_a_refetch_fetches_whatever_is_cached(case: Case) -> None:
    if case.fetched is not None:
        assert decide(DOMAIN, case.cached, case.look, None, NOON, force=True) is NEEDS_FETCH
    assert_is(decide(DOMAIN, case.cached, case.look, case.fetched, NOON, force=True), case)


REFRESHED = {
    "same id, fetched all the same": Case(
        CACHED, record(), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
    "record gone, the host answers": Case(
        CACHED,
        GONE,
        served(TESTING),
        "testing",
        True,
        STS,
        FETCH_ERROR + "no-mta-sts-dns-txt-record" + FALLBACK,
        Store.POLICY,
        TESTING,
    ),
    "record gone, the host says none": Case(
        CACHED, GONE, served(NONE), "none", True, NO, "", Store.POLICY
    ),
    "DNS fails, the host answers": Case(
        CACHED,
        SERVFAIL,
        served(),
        "enforce",
        True,
        STS,
        FETCH_ERROR + "dns-lookup+servfail" + FALLBACK,
        Store.POLICY,
        ENFORCE,
    ),
    "same id, fetch fails": Case(
        CACHED,
        record(),
        ABSENT,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "no-policy-served" + FALLBACK,
        Store.HOLD,
        ENFORCE,
    ),
    "new id whose fetch failed lately": Case(
        HELD,
        record("2"),
        None,
        "enforce",
        False,
        STS,
        FETCH_ERROR + "cannot-fetch-policy+http-status-500" + FALLBACK,
        Store.USE,
        ENFORCE,
    ),
    "mode none, record gone: phased out": Case(
        CACHED_NONE, GONE, None, None, True, NO, "", Store.DELETE
    ),
    "mode none, record there": Case(
        CACHED_NONE, record(), served(NONE), "none", True, NO, "", Store.POLICY
    ),
    "mode none, DNS fails": Case(
        CACHED_NONE, SERVFAIL, served(NONE), "none", True, NO, "", Store.POLICY
    ),
    "edited, same id: the edit holds": Case(
        EDITED, record(), served(TESTING), "enforce", True, STS, "", Store.EDIT
    ),
    "edited, record gone: the edit holds": Case(
        EDITED,
        GONE,
        served(TESTING),
        "enforce",
        True,
        STS,
        FETCH_ERROR + "no-mta-sts-dns-txt-record" + FALLBACK,
        Store.EDIT,
    ),
    "edited, new id: the edit ends": Case(
        EDITED, record("2"), served(TESTING), "testing", True, STS, "", Store.POLICY, TESTING
    ),
}


@pytest.mark.parametrize("case", REFRESHED.values(), ids=REFRESHED)
def test_a_refresh_fetches_whatever_the_record_says(case: Case) -> None:
    assert case.cached is not None
    if case.fetched is not None:
        first = decide_refresh(DOMAIN, case.cached, case.look, None, NOON, valid=True)
        assert first is NEEDS_FETCH
    answer = decide_refresh(DOMAIN, case.cached, case.look, case.fetched, NOON, valid=True)
    assert_is(answer, case)


def test_the_refresh_of_a_record_that_is_gone_keeps_the_id_under_which_it_was_fetched() -> None:
    answer = decide_refresh(DOMAIN, CACHED, GONE, served(), NOON, valid=True)
    assert isinstance(answer, Answer)
    assert answer.record_id == "1"


def test_an_expired_row_is_as_if_absent() -> None:
    answer = decide_refresh(DOMAIN, CACHED, GONE, None, NOON, valid=False)
    assert_is(answer, TABLE["nothing cached, no record"])
    fetched = decide_refresh(DOMAIN, CACHED, record(), served(), NOON, valid=False)
    assert_is(fetched, TABLE["nothing cached, enforce fetched"])
