"""A token, and something to read of every kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from mtastsweb.values import Address
from policies import outcomes, probing, tokens
from policies.alerts.kinds import Kind
from policies.models import (
    Alert,
    Fetch,
    MXCheck,
    PolicyException,
    PolicyRecord,
    PolicyVersion,
    Probe,
)
from policies.mtasts.mxfit import MailHost
from policies.mtasts.starttls import NO_STARTTLS, Probed
from policies.outcomes import Seen
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy
from tests.pages import making
from tests.pages.conftest import as_, someone
from tests.worlds import ENFORCE

DOMAIN = "example.org"

__all__ = ["as_"]

Get = Callable[..., HttpResponse]


@pytest.fixture(autouse=True)
def _apart(change_environment: Callable[..., None]) -> None:
    """Status asks the resolver: one where nobody listens says no at once. No wrong token is
    remembered from another test."""
    change_environment(nameservers=(Address("127.0.0.1", 1),), dns_timeout=0.5)
    cache.clear()


@pytest.fixture
def token() -> str:
    return tokens.make(someone("viewer"), "monitoring", timezone.now() + timedelta(days=1))[1]


@pytest.fixture
def get(token: str) -> Get:
    """`get("/api/v1/…", parameter=…)` with the token of a viewer."""

    def ask(path: str, **query: Any) -> HttpResponse:
        client = Client(raise_request_exception=False)
        return client.get(path, query, headers={"authorization": f"Bearer {token}"})

    return ask


@pytest.fixture
def everything() -> PolicyRecord:
    """A policy with all that can be known of one, and one of each other kind."""
    now, day = timezone.now(), timedelta(days=1)
    record = making.record(
        DOMAIN, ENFORCE, last_use=now, failures=5, failed_id="2", retry_at=now,
        failure_type="sts-webpki-invalid", failure_reason="certificate-expired",
        outcome_type="sts", outcome_failure="sts-webpki-invalid",
        outcome_reason="certificate-expired+fallback-to-cached-policy", outcome_at=now,
        certificate_end=now + day,
        certificate={"issuer": "A CA", "names": ["mta-sts.example.org"], "more_names": 0,
                     "begin": (now - 80 * day).isoformat()},
    )  # fmt: skip
    check = MXCheck(domain=DOMAIN, due=now + day)
    hosts = [MailHost(10, "in.elsewhere.example"), MailHost(20, "mx.example.org")]
    check.found("mx", hosts, record.mx, now)
    check.save()
    shown = probing.result(Probed("mx.example.org", NO_STARTTLS))
    Probe.objects.create(domain=DOMAIN, wanted_at=now, due=now, probed_at=now, results=[shown])
    for number in (1, 2):
        PolicyVersion.objects.create(
            domain=DOMAIN, record_id=str(number), policy_text=ENFORCE, digest="ab" * 32,
            mode="enforce", first_seen=now - number * day, found_by="lookup",
        )  # fmt: skip
    failure = FailureDetails("sts-webpki-invalid", "certificate-expired")
    result = Result(ResultPolicy(PolicyType.STS, DOMAIN), (failure,))
    outcomes.record([Seen(result, now, 3, domain=DOMAIN)])
    Fetch.objects.create(
        domain=DOMAIN, source="operator", state="done", outcome="failed", started_at=now,
        finished_at=now, requested_by=someone("operator"), failure_type="sts-webpki-invalid",
    )  # fmt: skip
    Alert.objects.create(
        domain=DOMAIN, kind="certificate-refused", severity="warning", state="suspected",
        found_by="refresh", opened_at=now, last_seen=now, evidence={"before": {}},
    )  # fmt: skip
    PolicyRecord.objects.update(open_alerts=Kind.CERTIFICATE_REFUSED.bit)
    PolicyException.objects.create(
        scope="domain", target=DOMAIN, action="skip", reason="broken", owner="operator",
        since=now - day, until=now + day,
    )  # fmt: skip
    return record
