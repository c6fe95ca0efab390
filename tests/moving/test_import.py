"""`mtasts import` and `mtasts export`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from policies import cache
from policies.models import Outcome, PolicyRecord
from policies.mtasts.errors import DNSError, FetchError, NoRecordError
from tests.moving.peers import fields, make_cache
from tests.worlds import ENFORCE, NONE, NOON, TESTING, Script, policy, record

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(script: Script, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `mtasts` with these words: its exit status, and what it printed to either side."""
    # What is planned is planned at the script's time, too.
    monkeypatch.setattr("policies.management.moving.timezone.now", script.now)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status: Any = 0
        try:
            call_command("mtasts", *map(str, words))
        except SystemExit as exit_:
            status = exit_.code
        printed = capsys.readouterr()
        return int(status or 0), printed.out, printed.err

    return run


@pytest.fixture
def sts_resolver(tmp_path: Path) -> Path:
    """Its cache: a policy that holds, one that has ended, one to opt out, a broken one."""
    return make_cache(
        tmp_path / "cache",
        [
            ("held.example", NOON - timedelta(days=2), "7", fields()),
            ("ended.example", NOON - timedelta(days=8), "7", fields()),
            ("out.example", NOON - timedelta(days=1), "7", fields(mode="none", mx=[])),
            ("bad.example", NOON, "7", fields(mode="strict")),
        ],
    )


@pytest.mark.django_db
class TestDryRun:
    def test_says_what_it_would_do_and_does_nothing(
        self, script: Script, run: Run, sts_resolver: Path
    ) -> None:
        status, out, err = run("import", "postfix-mta-sts-resolver", sts_resolver)
        assert status == 0
        assert "Would import 2 policies" in out
        assert "Would look up 1 domains" in out
        assert "1 entries were left out" in out
        assert "--yes" in out
        assert err.startswith("Left out: row 4: bad.example")
        assert not PolicyRecord.objects.exists()
        assert not script.looks

    def test_a_file_of_another_kind_is_refused(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("hello\n")
        for source in ("postfix-mta-sts-resolver", "postfix-log"):
            status, out, err = run("import", source, tmp_path / "file", "--yes")
            assert (status, out) == (65, "")
            assert "Nothing was imported" in err
        assert run("import", "postfix-tlspol", tmp_path / "file")[0] == 65

    def test_many_bad_lines_are_counted(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "list").write_text("a b\n" * 100 + "good.example\n")
        status, _, err = run("import", "domains", tmp_path / "list")
        assert status == 0
        assert len(err.splitlines()) == 21
        assert "and 80 more" in err


@pytest.mark.django_db(transaction=True)  # the threads that look up have connections of their own
class TestImport:
    def test_a_policy_that_holds_is_in_force_and_no_longer_than_it_was(
        self, script: Script, run: Run, sts_resolver: Path
    ) -> None:
        _, out, _ = run("import", "postfix-mta-sts-resolver", sts_resolver, "--yes", "--json")
        counts = json.loads(out)
        assert (counts["imported"], counts["looked_up"], counts["without"]) == (2, 1, 1)
        row = PolicyRecord.objects.get(domain="held.example")
        assert row.valid_end == NOON + timedelta(days=5)
        assert (row.last_update, row.last_use) == (NOON - timedelta(days=2), None)
        assert (row.mode, row.mx) == ("enforce", ["mx.example.org", "*.example.net"])
        assert (row.record_id, row.policy_text) == ("7", "")
        assert row.refresh_due is not None
        assert NOON <= row.refresh_due <= NOON + timedelta(days=1)
        assert script.looks == ["ended.example"]

    def test_it_is_fetched_when_it_is_first_asked_for(
        self, script: Script, run: Run, sts_resolver: Path
    ) -> None:
        run("import", "postfix-mta-sts-resolver", sts_resolver, "--yes")
        script.look, script.fetch = record("7"), FetchError("500", reason="http-status-500")
        answer = cache.get("held.example")
        assert answer.policy is not None
        assert answer.policy.mx == ["mx.example.org", "*.example.net"]
        assert not answer.fresh
        script.pass_(minutes=6)
        script.publish(ENFORCE, "7")
        assert cache.get("held.example").fresh
        row = PolicyRecord.objects.get(domain="held.example")
        assert (row.policy_text, row.valid_end) == (ENFORCE, script.time + timedelta(days=1))

    def test_a_clock_that_was_ahead_makes_no_policy_last_longer(
        self, script: Script, run: Run, tmp_path: Path
    ) -> None:
        ahead = NOON + timedelta(days=300)
        make_cache(tmp_path / "ahead", [("a.example", ahead, "1", fields())])
        run("import", "postfix-mta-sts-resolver", tmp_path / "ahead", "--yes")
        assert PolicyRecord.objects.get().valid_end == NOON + timedelta(days=7)

    def test_what_is_in_force_here_stays_and_what_has_ended_gives_way(
        self, script: Script, run: Run, sts_resolver: Path
    ) -> None:
        cache.upsert("held.example", "9", policy(TESTING), TESTING)
        cache.upsert("out.example", "9", policy(NONE), NONE)
        PolicyRecord.objects.filter(domain="out.example").update(
            valid_end=NOON - timedelta(hours=1), last_use=NOON - timedelta(days=3)
        )
        _, out, _ = run("import", "postfix-mta-sts-resolver", sts_resolver, "--yes", "--json")
        assert json.loads(out)["imported"] == 1
        assert PolicyRecord.objects.get(domain="held.example").mode == "testing"
        row = PolicyRecord.objects.get(domain="out.example")
        assert (row.record_id, row.last_use) == ("7", NOON - timedelta(days=3))

    def test_takes_the_place_of_a_failed_fetch(
        self, script: Script, run: Run, sts_resolver: Path
    ) -> None:
        cache.upsert("held.example", "7", None)
        run("import", "postfix-mta-sts-resolver", sts_resolver, "--yes")
        row = PolicyRecord.objects.get(domain="held.example")
        assert (row.backoff, row.mode, row.retry_at) == (False, "enforce", None)

    def test_twice_is_as_once(self, script: Script, run: Run, sts_resolver: Path) -> None:
        words = ("import", "postfix-mta-sts-resolver", sts_resolver, "--yes", "--json")
        run(*words)
        before = list(PolicyRecord.objects.values())
        counts = json.loads(run(*words)[1])
        assert (counts["imported"], counts["known"]) == (0, 2)
        assert list(PolicyRecord.objects.values()) == before

    def test_refreshes_of_many_are_spread(self, script: Script, run: Run, tmp_path: Path) -> None:
        rows: list[Any] = [(f"d{n}.example", NOON, "1", fields()) for n in range(1001)]
        make_cache(tmp_path / "many", rows)
        run("import", "postfix-mta-sts-resolver", tmp_path / "many", "--yes")
        hours = [
            (due - NOON) / timedelta(hours=1)
            for due in PolicyRecord.objects.values_list("refresh_due", flat=True)
            if due is not None
        ]
        assert len(hours) == 1001
        for start in range(0, 24, 6):
            assert 150 < sum(start <= hour < start + 6 for hour in hours) < 350

    def test_domains_are_looked_up_and_not_counted_as_used(
        self, script: Script, run: Run, tmp_path: Path
    ) -> None:
        script.publish()
        (tmp_path / "list").write_text("a.example\nb.example\nA.example.\n")
        _, out, _ = run("import", "domains", tmp_path / "list", "--yes", "--rate", "100")
        assert "Looked up 2 domains: 2 have a policy, 0 have none, 0 failed." in out
        assert sorted(script.fetches) == ["a.example", "b.example"]
        assert set(PolicyRecord.objects.values_list("domain", "last_use", "mode")) == {
            ("a.example", None, "enforce"), ("b.example", None, "enforce")
        }  # fmt: skip
        assert not Outcome.objects.exists()

    def test_failures_are_counted_apart(self, script: Script, run: Run, tmp_path: Path) -> None:
        (tmp_path / "list").write_text("a.example\n")
        for look, count in (
            (NoRecordError("none"), "without"),
            (DNSError("no answer", reason="timeout"), "failed"),
            (record(), "failed"),
        ):
            script.look, script.fetch = look, FetchError("500", reason="http-status-500")
            words = ("import", "domains", tmp_path / "list", "--yes", "--json")
            assert json.loads(run(*words)[1])[count] == 1

    def test_progress_is_told_and_an_interruption_ends_it_where_it_is(
        self, script: Script, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("policies.management.moving.TELL_EVERY", 0.0)
        script.publish()
        (tmp_path / "list").write_text("".join(f"d{n}.example\n" for n in range(40)))

        def interrupted(_: float) -> None:
            if len(script.fetches) > 20:
                raise KeyboardInterrupt

        monkeypatch.setattr("policies.moving.fetching.time.sleep", interrupted)
        words = ("import", "domains", tmp_path / "list", "--yes", "--rate", "10", "--json")
        status, out, err = run(*words)
        assert status == 130
        assert " of 40 looked up, " in err
        assert "takes up where it ended" in err
        stored = PolicyRecord.objects.count()
        assert 20 < stored < 40
        assert json.loads(out)["looked_up"] <= stored


@pytest.mark.django_db
class TestExport:
    def test_as_json_every_row_with_its_fields(self, script: Script, run: Run) -> None:
        cache.upsert("a.example", "1", policy(ENFORCE), ENFORCE)
        cache.upsert("b.example", "1", None)
        lines = [json.loads(line) for line in run("export", "json")[1].splitlines()]
        assert [line["domain"] for line in lines] == ["a.example", "b.example"]
        assert lines[0]["policy_text"] == ENFORCE

    def test_for_postfix_what_is_enforced_now(self, script: Script, run: Run) -> None:
        cache.upsert("bücher.example", "1", policy(ENFORCE), ENFORCE)
        cache.upsert("wild.example", "1", policy(WILD), WILD)
        cache.upsert("testing.example", "1", policy(TESTING), TESTING)
        cache.upsert("failed.example", "1", None)
        cache.upsert("ended.example", "1", policy(ENFORCE), ENFORCE)
        cache.upsert("address.example", "1", policy(ADDRESS), ADDRESS)
        PolicyRecord.objects.filter(domain="ended.example").update(valid_end=NOON)
        head, *lines = run("export", "postfix")[1].splitlines()
        assert head.startswith("# MTA-STS policies at 2026-03-01 12:00 UTC.")
        assert lines == [
            "# address.example: policy names no usable MX host",
            "xn--bcher-kva.example secure match=mx.example.org servername=hostname",
            "wild.example secure match=.wild.example:mx.wild.example servername=hostname",
        ]


WILD = "version: STSv1\nmode: enforce\nmx: *.wild.example\nmx: mx.wild.example\nmax_age: 86400\n"
ADDRESS = "version: STSv1\nmode: enforce\nmx: 192.0.2.1\nmax_age: 86400\n"
