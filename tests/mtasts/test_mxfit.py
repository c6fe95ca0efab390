"""Whether mail hosts fit the patterns of a policy, case by case."""

from __future__ import annotations

import pytest

from policies.mtasts.mxfit import FORETELLS, Finding, MailHost, compare

CASES: list[tuple[str, list[tuple[int, str]], list[str], Finding, list[str], list[str]]] = [
    # what it shows, hosts, patterns, the finding, hosts that do not fit, patterns that none fits
    ("one that fits", [(10, "mx.example.org")], ["mx.example.org"], Finding.FITS, [], []),
    ("letters of any case", [(10, "MX.Example.ORG")], ["mx.example.org"], Finding.FITS, [], []),
    ("a wildcard", [(10, "a.example.org")], ["*.example.org"], Finding.FITS, [], []),
    (
        "a wildcard is one label, no more",
        [(10, "a.b.example.org")], ["*.example.org"],
        Finding.NONE, ["a.b.example.org"], ["*.example.org"],
    ),
    (
        "a wildcard is one label, no less",
        [(10, "example.org")], ["*.example.org"],
        Finding.NONE, ["example.org"], ["*.example.org"],
    ),
    (
        "a backup that does not fit",
        [(10, "mx.example.org"), (20, "backup.example.net")], ["mx.example.org"],
        Finding.PARTLY, ["backup.example.net"], [],
    ),
    (
        "one of two that are preferred alike",
        [(10, "a.example.net"), (10, "mx.example.org")], ["mx.example.org"],
        Finding.PARTLY, ["a.example.net"], [],
    ),
    (
        "only the backup fits",
        [(20, "mx.example.org"), (10, "new.example.net")], ["mx.example.org"],
        Finding.DETOUR, ["new.example.net"], [],
    ),
    (
        "moved to another provider",
        [(10, "mx.example.net"), (20, "my.example.net")], ["*.example.org", "mx.example.com"],
        Finding.NONE, ["mx.example.net", "my.example.net"], ["*.example.org", "mx.example.com"],
    ),
    (
        "a pattern to spare is no harm",
        [(10, "mx.example.org")], ["mx.example.org", "old.example.org"],
        Finding.FITS, [], ["old.example.org"],
    ),
    ("no mail host", [], ["mx.example.org"], Finding.NO_MAIL, [], ["mx.example.org"]),
    (
        "an address in place of a name",
        [(10, "192.0.2.1")], ["192.0.2.1"],
        Finding.NONE, ["192.0.2.1"], ["192.0.2.1"],
    ),
    (
        "what is no host name",
        [(10, "a b.example.org"), (20, "*.example.org"), (30, "")], ["*.example.org"],
        Finding.NONE, ["a b.example.org", "*.example.org", ""], ["*.example.org"],
    ),
    ("an underscore", [(10, "_mx.example.org")], ["*.example.org"], Finding.FITS, [], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("hosts", "patterns", "finding", "misfits", "idle"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_compares(
    hosts: list[tuple[int, str]],
    patterns: list[str],
    finding: Finding,
    misfits: list[str],
    idle: list[str],
) -> None:
    fit = compare([MailHost(*host) for host in hosts], patterns)
    assert (fit.finding, list(fit.misfits), list(fit.idle)) == (finding, misfits, idle)
    assert [each.host.name for each in fit.hosts] == [name for _, name in hosts]


def test_names_the_first_pattern_that_a_host_fits() -> None:
    fit = compare([MailHost(1, "mx.example.org")], ["*.example.org", "mx.example.org"])
    assert [each.pattern for each in fit.hosts] == ["*.example.org"]
    assert not fit.idle


def test_foretells_what_a_preferred_host_does_not_take() -> None:
    assert {Finding.NONE, Finding.DETOUR} == FORETELLS
