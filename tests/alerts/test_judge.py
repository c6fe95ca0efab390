"""What is a downgrade, and what is none: the rules of docs/decisions/0009-alarm.md as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from policies.alerts.judge import (
    HELD,
    USED,
    Held,
    Standing,
    failing_from,
    may_end,
    new_zones,
    sightings,
    standing,
)
from policies.alerts.kinds import NOTICES, Kind, Severity, bits, of_bits
from policies.decide import Fetched, Look
from policies.mtasts import Mode
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
from tests.worlds import ENFORCE, NONE, NOON, TESTING, policy, record, served

DAY = timedelta(days=1)
NOW = NOON + DAY / 2

WEEKS = ENFORCE.replace("86400", "1209600")
HELD_NOW = Held(Mode.ENFORCE, policy(WEEKS), NOON + 14 * DAY, used_at=NOON)

GONE = NoRecordError("gone")
SEVERAL = MultipleRecordsError("two")
BROKEN = RecordSyntaxError("no id")
DNS_DOWN = DNSError("servfail", reason="servfail")
ABSENT = NoPolicyError("404")
EXPIRED = CertificateError("expired", reason="certificate-expired")
NO_POLICY = PolicySyntaxError("mode: expected", line=2)
DOWN = FetchError("500", reason="http-status-500")
NEW_ID = record("2")


def mx(*hosts: str, max_age: int = 1_209_600, mode: str = "enforce") -> str:
    lines = "".join(f"mx: {host}\n" for host in hosts)
    return f"version: STSv1\nmode: {mode}\n{lines}max_age: {max_age}\n"


ALARMS: list[tuple[str, Look, Fetched | None, Kind]] = [
    ("a lookup finds no record", GONE, None, Kind.RECORD_GONE),
    ("a refresh finds no record, and the host as ever", GONE, served(WEEKS), Kind.RECORD_GONE),
    ("two records", SEVERAL, None, Kind.RECORD_BROKEN),
    ("a broken record", BROKEN, served(WEEKS), Kind.RECORD_BROKEN),
    ("host absent or 404", NEW_ID, ABSENT, Kind.HOST_GONE),
    ("certificate refused", NEW_ID, EXPIRED, Kind.CERTIFICATE_REFUSED),
    ("no policy in what is served", record(), NO_POLICY, Kind.POLICY_INVALID),
    ("mode testing", NEW_ID, served(mx("mx.example.org", mode="testing")), Kind.ENFORCE_TO_TESTING),
    ("testing under the same id", record(), served(TESTING), Kind.ENFORCE_TO_TESTING),
    ("an hour", NEW_ID, served(mx("mx.example.org", max_age=3600)), Kind.MAX_AGE_CUT),
    ("another mail host", NEW_ID, served(mx("mx.example.org", "mx.example.net")), Kind.MX_WIDENED),
    ("all below a suffix", NEW_ID, served(mx("*.co.uk")), Kind.MX_WIDENED),
]


@pytest.mark.parametrize(("what", "look", "fetched", "kind"), ALARMS, ids=[a[0] for a in ALARMS])
def test_is_a_downgrade(what: str, look: Look, fetched: Fetched | None, kind: Kind) -> None:
    assert sightings(HELD_NOW, look, fetched, NOW) == {kind}


QUIET: list[tuple[str, Look, Fetched | None]] = [
    ("all is well", record(), None),
    ("fetched as it was", record(), served(WEEKS)),
    ("DNS fails", DNS_DOWN, None),
    ("DNS fails, and the host cannot be had", DNS_DOWN, DOWN),
    ("the host cannot be had for once", NEW_ID, DOWN),
    ("mode none under a new id", NEW_ID, served(NONE)),
    ("mode none under the old id", record(), served(NONE)),
    ("mode none behind a record that is gone", GONE, served(NONE)),
    ("max_age of a day", NEW_ID, served(mx("mx.example.org", max_age=86_400))),
    ("more hosts of the same domain", NEW_ID, served(mx("*.example.org", "mx2.example.org"))),
    ("fewer hosts", NEW_ID, served(mx("mx.example.org", max_age=2_000_000))),
]


@pytest.mark.parametrize(("what", "look", "fetched"), QUIET, ids=[q[0] for q in QUIET])
def test_is_none(what: str, look: Look, fetched: Fetched | None) -> None:
    assert not sightings(HELD_NOW, look, fetched, NOW)


@pytest.mark.parametrize("mode", [Mode.TESTING, Mode.NONE])
@pytest.mark.parametrize(("what", "look", "fetched", "kind"), ALARMS, ids=[a[0] for a in ALARMS])
def test_only_enforce_policies_raise_alarms(
    what: str, look: Look, fetched: Fetched | None, kind: Kind, mode: Mode
) -> None:
    assert not sightings(replace(HELD_NOW, mode=mode), look, fetched, NOW)


@pytest.mark.parametrize(("what", "look", "fetched", "kind"), ALARMS, ids=[a[0] for a in ALARMS])
def test_only_domains_in_use_raise_alarms(
    what: str, look: Look, fetched: Fetched | None, kind: Kind
) -> None:
    held = replace(HELD_NOW, valid_end=NOW + DAY)
    assert not sightings(replace(held, used_at=None), look, fetched, NOW)
    assert not sightings(replace(held, used_at=NOW - USED - DAY), look, fetched, NOW)
    assert sightings(replace(held, used_at=NOW - USED), look, fetched, NOW) == {kind}


def test_a_policy_that_was_outlasted_lately_still_counts() -> None:
    lately = replace(HELD_NOW, valid_end=NOW - HELD)
    assert sightings(lately, GONE, None, NOW) == {Kind.RECORD_GONE}
    assert not sightings(replace(lately, valid_end=NOW - HELD - DAY), GONE, None, NOW)


def test_of_a_policy_whose_text_is_lost_only_the_mode_is_compared() -> None:
    lost = replace(HELD_NOW, policy=None)
    assert sightings(lost, NEW_ID, served(TESTING), NOW) == {Kind.ENFORCE_TO_TESTING}
    assert not sightings(lost, NEW_ID, served(mx("mx.example.net", max_age=60)), NOW)


def test_what_an_operator_wrote_is_no_measure_for_what_is_published() -> None:
    edited = replace(HELD_NOW, edited=True)
    assert not sightings(edited, record(), served(TESTING), NOW)
    assert sightings(edited, GONE, None, NOW) == {Kind.RECORD_GONE}


def test_max_age_has_to_go_below_half_and_below_a_day() -> None:
    two_days = replace(HELD_NOW, policy=policy(mx("mx.example.org", max_age=172_800)))

    def cut_to(seconds: int) -> bool:
        found = sightings(two_days, NEW_ID, served(mx("mx.example.org", max_age=seconds)), NOW)
        return Kind.MAX_AGE_CUT in found

    assert not cut_to(86_400)
    assert cut_to(86_399)
    hours = replace(HELD_NOW, policy=policy(mx("mx.example.org", max_age=7200)))
    assert not sightings(hours, NEW_ID, served(mx("mx.example.org", max_age=3600)), NOW)
    assert sightings(hours, NEW_ID, served(mx("mx.example.org", max_age=3599)), NOW)


def test_one_fetch_may_weaken_in_two_ways() -> None:
    fetched = served(mx("mx.example.net", max_age=60))
    assert sightings(HELD_NOW, NEW_ID, fetched, NOW) == {Kind.MAX_AGE_CUT, Kind.MX_WIDENED}


def test_registrable_domains_follow_the_public_suffix_list() -> None:
    before = policy(mx("mx.example.co.uk", "*.mail.example.com"))
    assert new_zones(before, policy(mx("a.example.co.uk", "*.example.com"))) == ()
    assert new_zones(before, policy(mx("mx.other.co.uk"))) == ("other.co.uk",)


class TestARefreshThatFails:
    SINCE = NOW - 3 * DAY

    def failing(self, **changes: object) -> Held:
        fields = {"failing_since": self.SINCE, "valid_end": NOW + 100 * DAY} | changes
        return replace(HELD_NOW, **fields)  # type: ignore[arg-type]

    def test_is_told_after_three_days(self) -> None:
        assert sightings(self.failing(), record(), DOWN, NOW) == {Kind.REFRESH_FAILING}
        later = self.failing(failing_since=self.SINCE + timedelta(seconds=1))
        assert not sightings(later, record(), DOWN, NOW)

    def test_or_after_half_of_what_was_left(self) -> None:
        assert failing_from(NOW, NOW + DAY) == NOW + DAY / 2
        assert failing_from(NOW, NOW + 6 * DAY) == NOW + 3 * DAY
        half = self.failing(failing_since=NOW - DAY, valid_end=NOW + DAY)
        assert sightings(half, record(), DOWN, NOW) == {Kind.REFRESH_FAILING}

    def test_is_no_matter_of_lives_where_none_was_left(self) -> None:
        assert failing_from(NOW, NOW - DAY) == NOW + 3 * DAY

    def test_is_told_by_a_lookup_too(self) -> None:
        assert sightings(self.failing(), record(), None, NOW) == {Kind.REFRESH_FAILING}

    def test_is_not_told_beside_its_cause(self) -> None:
        assert sightings(self.failing(), record(), ABSENT, NOW) == {Kind.HOST_GONE}

    def test_is_over_with_a_fetch_that_works(self) -> None:
        assert not sightings(self.failing(), record(), served(WEEKS), NOW)


STANDINGS: list[tuple[Kind, Look, Fetched | None, Standing]] = [
    (Kind.RECORD_GONE, GONE, None, Standing.SEEN),
    (Kind.RECORD_GONE, record(), None, Standing.WELL),
    (Kind.RECORD_GONE, DNS_DOWN, None, Standing.UNKNOWN),
    (Kind.RECORD_GONE, DNS_DOWN, served(WEEKS), Standing.UNKNOWN),
    (Kind.RECORD_GONE, BROKEN, None, Standing.WELL),  # and the other kind opens
    (Kind.RECORD_GONE, GONE, served(NONE), Standing.OPTED_OUT),
    (Kind.RECORD_BROKEN, SEVERAL, None, Standing.SEEN),
    (Kind.RECORD_BROKEN, record(), DOWN, Standing.WELL),
    (Kind.HOST_GONE, record(), None, Standing.UNKNOWN),
    (Kind.HOST_GONE, record(), ABSENT, Standing.SEEN),
    (Kind.HOST_GONE, record(), DOWN, Standing.UNKNOWN),
    (Kind.HOST_GONE, GONE, served(WEEKS), Standing.WELL),
    (Kind.CERTIFICATE_REFUSED, record(), EXPIRED, Standing.SEEN),
    (Kind.CERTIFICATE_REFUSED, record(), served(TESTING), Standing.WELL),
    (Kind.POLICY_INVALID, record(), NO_POLICY, Standing.SEEN),
    (Kind.REFRESH_FAILING, record(), DOWN, Standing.UNKNOWN),
    (Kind.REFRESH_FAILING, record(), served(WEEKS), Standing.WELL),
    (Kind.ENFORCE_TO_TESTING, record(), None, Standing.UNKNOWN),
    (Kind.ENFORCE_TO_TESTING, record(), served(TESTING), Standing.SEEN),
    (Kind.ENFORCE_TO_TESTING, record(), served(WEEKS), Standing.WELL),
    (Kind.ENFORCE_TO_TESTING, NEW_ID, served(NONE), Standing.OPTED_OUT),
    (Kind.MAX_AGE_CUT, record(), served(mx("mx.example.org", max_age=60)), Standing.SEEN),
    (Kind.MAX_AGE_CUT, record(), served(WEEKS), Standing.WELL),
    (Kind.MX_WIDENED, record(), served(mx("mx.example.net")), Standing.SEEN),
    (Kind.MX_WIDENED, record(), served(WEEKS), Standing.WELL),
]


@pytest.mark.parametrize(("kind", "look", "fetched", "expected"), STANDINGS)
def test_an_open_alert_stands_as_the_next_look_says(
    kind: Kind, look: Look, fetched: Fetched | None, expected: Standing
) -> None:
    # What is held now is what the domain changed to: a notice is measured by what was held before.
    held = replace(HELD_NOW, mode=Mode.TESTING) if kind in NOTICES else HELD_NOW
    seen = sightings(held, look, fetched, NOW)
    assert standing(kind, policy(WEEKS), seen, look, fetched) is expected


@pytest.mark.parametrize(("kind", "look", "fetched", "expected"), STANDINGS)
def test_what_ends_an_alert_can_be_told_without_reading_it(
    kind: Kind, look: Look, fetched: Fetched | None, expected: Standing
) -> None:
    ends = expected in {Standing.WELL, Standing.OPTED_OUT}
    is_other = bool(sightings(HELD_NOW, look, fetched, NOW) - {kind})
    assert not ends or is_other or may_end(frozenset({kind}), look, fetched)


def test_no_alert_ends_because_nobody_looks() -> None:
    unused = replace(HELD_NOW, used_at=None)
    seen = sightings(unused, GONE, None, NOW)
    assert standing(Kind.RECORD_GONE, policy(WEEKS), seen, GONE, None) is Standing.UNKNOWN


def test_there_are_six_warnings_and_three_notices_with_words_and_bits_of_their_own() -> None:
    severities = [kind.severity for kind in Kind]
    assert severities.count(Severity.WARNING) == 6
    assert severities.count(Severity.NOTICE) == 3
    assert all(kind.words and kind.meaning and kind.remedy for kind in Kind)
    assert len({kind.bit for kind in Kind}) == 9
    assert of_bits(bits(frozenset(Kind))) == frozenset(Kind)
    assert of_bits(0) == frozenset()
