"""TLS reports: merging, and the JSON as RFC 8460 section 4.4 has it."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest

pytest.importorskip("hypothesis", reason="pip install -r requirements-dev.txt")
pytest.importorskip("jsonschema", reason="pip install -r requirements-dev.txt")

from hypothesis import given
from hypothesis import strategies as st

from policies.tlsrpt import text
from policies.tlsrpt.report import ALL, Report, SessionFailure, Submitter, merge
from policies.tlsrpt.result import FailureDetails, PolicyType, Result, ResultPolicy
from tests.tlsrpt import report_schema

SUBMITTER = Submitter("Mail of Example", "postmaster@mail.example.org", "mail.example.org")
DAY = date(2026, 3, 1)

few = st.sampled_from
failures = st.builds(
    FailureDetails,
    few(["sts-policy-fetch-error", "sts-policy-invalid"]),
    few(["", "a", "b"]),
    st.integers(1, 5),
) | st.builds(
    SessionFailure,
    few(["certificate-expired"]),
    few(["", "a"]),
    st.integers(1, 5),
    receiving_mx_hostname=few(["", "mx.example"]),
    sending_mta_ip=few(["", "192.0.2.1"]),
)
policies = st.builds(
    ResultPolicy,
    few(list(PolicyType)),
    few(["a.example", "b.example"]),
    few([(), ("version: STSv1",)]),
    few([(), ("mx.example",)]),
)
results = st.lists(
    st.builds(
        Result,
        policies,
        st.lists(failures, max_size=3).map(tuple),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=12,
)


def tally(some: Any) -> Counter[tuple[ResultPolicy, str]]:
    """What is counted, whatever it is grouped into."""
    counts: Counter[tuple[ResultPolicy, str]] = Counter()
    for result in some:
        counts[result.policy, "successful"] += result.successful_sessions
        counts[result.policy, "failed"] += result.failed_sessions
        for failure in result.failures:
            details = failure.to_json()
            number = details.pop("failed-session-count")
            counts[result.policy, str(sorted(details.items()))] += number
    return +counts


class TestMerge:
    @given(results)
    def test_loses_and_adds_nothing(self, some: list[Result]) -> None:
        assert tally(merge(some)) == tally(some)

    @given(results)
    def test_leaves_each_policy_and_each_detail_once(self, some: list[Result]) -> None:
        merged = merge(some)
        assert len({result.policy for result in merged}) == len(merged)
        for result in merged:
            details = [
                {**failure.to_json(), "failed-session-count": 0} for failure in result.failures
            ]
            assert all(details.count(detail) == 1 for detail in details)

    @given(results, st.randoms())
    def test_does_not_care_about_the_order(self, some: list[Result], random: Any) -> None:
        shuffled = list(some)
        random.shuffle(shuffled)
        assert merge(shuffled) == merge(some)

    @given(results, st.integers(0, 12))
    def test_may_be_done_in_parts(self, some: list[Result], at: int) -> None:
        assert merge([*merge(some[:at]), *merge(some[at:])]) == merge(some)


def render(*some: Result, domain: str = "a.example") -> dict[str, Any]:
    return report_schema.read("".join(Report(SUBMITTER, DAY, domain).chunks(some)))


class TestJSON:
    def test_of_one_failure_in_full(self) -> None:
        policy = ResultPolicy(
            PolicyType.STS, "a.example", ("version: STSv1", "mode: enforce"), ("*.a.example",)
        )
        failed = FailureDetails("sts-webpki-invalid", "certificate-expired", 7)
        assert render(Result(policy, (failed,))) == {
            "organization-name": "Mail of Example",
            "date-range": {
                "start-datetime": "2026-03-01T00:00:00Z",
                "end-datetime": "2026-03-01T23:59:59Z",
            },
            "contact-info": "postmaster@mail.example.org",
            "report-id": "20260301.1.a.example@mail.example.org",
            "policies": [
                {
                    "policy": {
                        "policy-type": "sts",
                        "policy-string": ["version: STSv1", "mode: enforce"],
                        "policy-domain": "a.example",
                        "mx-host": ["*.a.example"],
                    },
                    "summary": {
                        "total-successful-session-count": 0,
                        "total-failure-session-count": 0,
                    },
                    "failure-details": [
                        {
                            "result-type": "sts-webpki-invalid",
                            "failure-reason-code": "certificate-expired",
                            "failed-session-count": 7,
                        }
                    ],
                }
            ],
        }

    def test_of_nothing(self) -> None:
        assert render(domain=ALL)["policies"] == []

    @given(results)
    def test_is_always_one_that_the_rfc_allows(self, some: list[Result]) -> None:
        assert len(render(*merge(some))["policies"]) == len(merge(some))

    def test_leaves_out_what_is_no_address(self) -> None:
        failed = SessionFailure(
            "validation-failure", "x", sending_mta_ip="2001:DB8::1", receiving_ip="not one"
        )
        result = Result(ResultPolicy(PolicyType.STS, "a.example"), (failed,))
        (details,) = render(result)["policies"][0]["failure-details"]
        assert details["sending-mta-ip"] == "2001:db8::1"
        assert "receiving-ip" not in details

    def test_is_ascii_alone(self) -> None:
        policy = ResultPolicy(PolicyType.STS, "a.example", ("note: grüße",))
        assert "".join(Report(SUBMITTER, DAY, ALL).chunks([Result(policy)])).isascii()

    def test_has_the_file_name_of_the_rfc(self) -> None:
        report = Report(SUBMITTER, DAY, "a.example")
        assert report.file_name == "mail.example.org!a.example!1772323200!1772409599.json"


def test_an_independent_reader_understands_it() -> None:
    parsedmarc = pytest.importorskip("parsedmarc", reason="pip install -r requirements-dev.txt")
    policy = ResultPolicy(PolicyType.STS, "a.example", ("version: STSv1",), ("mx.a.example",))
    failed = (
        FailureDetails("sts-policy-fetch-error", "no-policy-served", 3),
        SessionFailure("certificate-expired", "x", 2, receiving_mx_hostname="mx.a.example"),
    )
    written = "".join(Report(SUBMITTER, DAY, "a.example").chunks([Result(policy, failed)]))
    report = parsedmarc.parse_smtp_tls_report_json(written)
    assert report["organization_name"] == "Mail of Example"
    assert report["report_id"] == "20260301.1.a.example@mail.example.org"
    (read,) = report["policies"]
    assert (read["policy_domain"], read["policy_type"]) == ("a.example", "sts")
    assert read["policy_strings"] == ["version: STSv1"]
    assert read["successful_session_count"] == read["failed_session_count"] == 0
    counts = {one["result_type"]: one["failed_session_count"] for one in read["failure_details"]}
    assert counts == {"sts-policy-fetch-error": 3, "certificate-expired": 2}


class TestText:
    @given(st.text(st.characters(), max_size=400), st.integers(2, 300))
    def test_a_code_can_be_printed_and_is_no_longer_than_its_limit(
        self, given: str, limit: int
    ) -> None:
        shown = text.code(given, limit)
        assert shown.isprintable()
        assert len(shown) <= limit
        assert text.code(shown, limit) == shown

    @given(st.text(st.characters(), max_size=100))
    def test_a_line_can_stand_in_a_report(self, given: str) -> None:
        policy = ResultPolicy(PolicyType.STS, "a.example", (text.line(given),))
        assert render(Result(policy))["policies"][0]["policy"]["policy-string"]
