"""The cache of postfix-mta-sts-resolver: every row becomes a policy, or a reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from policies.moving.found import Bad, Found, Unreadable
from policies.moving.sqlite import sts_resolver_cache
from tests.moving.peers import fields, make_cache
from tests.worlds import NOON


def test_a_row_is_a_policy_with_its_time(tmp_path: Path) -> None:
    body = fields(mode="testing", **{"x-note": "hello"})
    make_cache(tmp_path / "cache", [("example.org", NOON, "2026a", body)])
    (found,) = sts_resolver_cache(tmp_path / "cache")
    assert isinstance(found, Found)
    assert found.domain.ascii == "example.org"
    assert found.held is not None
    assert (found.held.record_id, found.held.fetched) == ("2026a", NOON)
    assert found.held.policy.mode == "testing"
    assert found.held.policy.mx == ["mx.example.org", "*.example.net"]
    assert found.held.policy.max_age == 604_800
    assert found.held.policy.extensions == [("x-note", "hello")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("a b", NOON, "1", fields()), "no domain name"),
        (("a.example", "never", "1", fields()), "'never' is no time"),
        (("a.example", 10**18, "1", fields()), "no time"),
        (("a.example", None, "1", fields()), "no time"),
        (("a.example", NOON, "no id!", fields()), "no record id"),
        (("a.example", NOON, "1", "{"), "no JSON"),
        (("a.example", NOON, "1", None), "no JSON"),
        (("a.example", NOON, "1", "[" * 100_000), "no JSON"),
        (("a.example", NOON, "1", "[]"), "no fields"),
        (("a.example", NOON, "1", {"mode": "none"}), "no fields"),
        (("a.example", NOON, "1", fields(mode="strict")), "none by RFC 8461"),
        (("a.example", NOON, "1", fields(mx=[])), "none by RFC 8461"),
        (("a.example", NOON, "1", fields(mx=["mx.example servername=evil"])), "none by RFC 8461"),
        (("a.example", NOON, "1", fields(mx=["mx.example\nmx: evil.example"])), "wrong value"),
        (("a.example", NOON, "1", fields(max_age=-5)), "none by RFC 8461"),
        (("a.example", NOON, "1", fields(note={"a": 1})), "wrong value"),
    ],
)
def test_a_bad_row_is_left_out_and_told(
    tmp_path: Path, row: tuple[Any, Any, Any, Any], reason: str
) -> None:
    make_cache(tmp_path / "cache", [row, ("good.example", NOON, "1", fields())])
    bad, good = sts_resolver_cache(tmp_path / "cache")
    assert isinstance(bad, Bad)
    assert str(bad).startswith("row 1: ")
    assert reason in bad.reason
    assert isinstance(good, Found)


def test_another_file_is_refused_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello\n" * 100)
    for name in ("text", "missing"):
        with pytest.raises(Unreadable, match="no cache of postfix-mta-sts-resolver"):
            list(sts_resolver_cache(tmp_path / name))
    assert not (tmp_path / "missing").exists()
