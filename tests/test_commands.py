"""`manage.py mtasts …`: what it prints, what it leaves, how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import OperationalError

from policies import cache, setup
from policies.models import Fetch, PolicyRecord
from policies.mtasts.errors import DNSError, FetchError, NoRecordError
from tests.worlds import ENFORCE, TESTING, Script, policy, record

pytestmark = pytest.mark.django_db

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(script: Script, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `mtasts` with these words; its exit status, and the lines it printed."""

    def run(*words: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        status: Any = 0
        try:
            call_command("mtasts", *words)
        except SystemExit as exit_:
            status = exit_.code
        return int(status or 0), capsys.readouterr().out.splitlines()

    return run


def objects(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


class TestGet:
    def test_prints_the_answer_as_json(self, script: Script, run: Run) -> None:
        script.publish(ENFORCE + "x-note: hello\n")
        status, lines = run("get", "Example.ORG.", "--json")
        assert status == 0
        assert objects(lines) == [
            {
                "domain": "example.org",
                "policy": {
                    "version": "STSv1",
                    "mode": "enforce",
                    "max_age": 86400,
                    "mx": ["mx.example.org"],
                    "extensions": [["x-note", "hello"]],
                },
                "fresh": True,
                "result": {
                    "policy": {
                        "policy-type": "sts",
                        "policy-string": [
                            "version: STSv1",
                            "mode: enforce",
                            "mx: mx.example.org",
                            "max_age: 86400",
                            "x-note: hello",
                        ],
                        "policy-domain": "example.org",
                        "mx-host": ["mx.example.org"],
                    },
                    "summary": {
                        "total-successful-session-count": 0,
                        "total-failure-session-count": 0,
                    },
                    "failure-details": [],
                },
                "error": None,
            }
        ]

    def test_counts_as_use(self, script: Script, run: Run) -> None:
        script.publish()
        run("get", "example.org")
        assert PolicyRecord.objects.get().last_use == script.now()

    def test_prints_a_line_for_each_and_the_worst_status_counts(
        self, script: Script, run: Run
    ) -> None:
        script.look = DNSError("no answer", reason="timeout")
        status, lines = run("get", "a.example", "not a name", "b.example", "--json")
        assert status == 75
        assert [line["domain"] for line in objects(lines)] == ["a.example", "b.example"]
        assert {line["error"] for line in objects(lines)} == {"dns-lookup+timeout"}

    @pytest.mark.parametrize("name", ["", "a b", "x" * 300, "192.0.2.1", "[::1]", "-", "a..b"])
    def test_refuses_what_is_no_domain(
        self, run: Run, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, lines = run("get", "--", name)
        assert (status, lines) == (64, [])
        assert not PolicyRecord.objects.exists()

    def test_says_it_in_words_without_json(self, script: Script, run: Run) -> None:
        script.look, script.fetch = record(), FetchError("500", reason="http-status-500")
        _, lines = run("get", "example.org")
        assert lines == [
            "example.org: none [sts-policy-fetch-error: cannot-fetch-policy+http-status-500]"
        ]
        script.look = NoRecordError("none")
        assert run("get", "none.example")[1] == ["none.example: none"]
        script.publish()
        assert run("get", "good.example")[1] == ["good.example: enforce mx mx.example.org"]
        script.look = DNSError("no answer", reason="timeout")
        assert run("get", "new.example")[1] == [
            "new.example: no answer for now (dns-lookup+timeout)"
        ]


class TestList:
    def test_prints_rows_last_use_first(self, script: Script, run: Run) -> None:
        cache.upsert("never.example", "1", policy(), ENFORCE)
        for domain in ("old.example", "new.example"):
            cache.upsert(domain, "1", policy(TESTING), TESTING)
            cache.lookup(domain)
            script.pass_(minutes=1)
        status, lines = run("list", "--json")
        rows = objects(lines)
        assert status == 0
        assert [row["domain"] for row in rows] == ["new.example", "old.example", "never.example"]
        assert set(rows[0]) == {
            *("domain", "inserted", "valid_end", "last_update", "last_use", "backoff"),
            *("record_id", "version", "mode", "mx", "max_age", "extensions", "policy_text"),
            "refresh_due",
        }
        assert rows[0]["last_use"] == (script.now() - timedelta(minutes=1)).isoformat()
        assert rows[2]["last_use"] is None

    def test_takes_a_mode_and_a_limit(self, script: Script, run: Run) -> None:
        for number in range(3):
            cache.upsert(f"d{number}.example", "1", policy(), ENFORCE)
        cache.upsert("testing.example", "1", policy(TESTING), TESTING)
        assert len(run("list", "--limit", "2")[1]) == 2
        assert [row["mode"] for row in objects(run("list", "--mode", "testing", "--json")[1])] == [
            "testing"
        ]

    def test_is_for_the_eye_without_json(self, script: Script, run: Run) -> None:
        cache.upsert("münchen.example", "1", policy(), ENFORCE)
        cache.upsert("down.example", "2", None)
        lines = run("list")[1]
        assert lines[0].startswith("down.example  fetch failed, backing off  used never")
        assert lines[1] == (
            "xn--mnchen-3ya.example  enforce  used never  valid until 2026-03-02 12:00"
            "  id 1  mx.example.org"
        )

    @pytest.mark.parametrize("limit", ["0", "-1", "x", "١", "99999999999"])
    def test_refuses_a_limit_that_is_none(self, run: Run, limit: str) -> None:
        with pytest.raises(CommandError, match="whole number"):
            run("list", "--limit", limit)


class TestRefetch:
    def test_tells_how_it_ended(self, script: Script, run: Run) -> None:
        script.publish()
        answer = {"domain": "example.org", "outcome": "fetched", "changed": True, "error": None}
        assert objects(run("refetch", "example.org", "--json")[1]) == [answer]
        assert objects(run("refetch", "example.org", "--json")[1]) == [answer | {"changed": False}]
        assert PolicyRecord.objects.get().last_use is None
        assert {fetch.source for fetch in Fetch.objects.all()} == {"operator"}

    def test_a_failed_fetch_is_a_temporary_failure(self, script: Script, run: Run) -> None:
        script.look, script.fetch = record(), FetchError("500", reason="http-status-500")
        status, lines = run("refetch", "example.org", "--json")
        assert status == 75
        assert objects(lines) == [
            {
                "domain": "example.org",
                "outcome": "failed",
                "changed": False,
                "error": "cannot-fetch-policy+http-status-500",
            }
        ]
        assert run("refetch", "example.org")[1] == [
            "example.org: failed, sts-policy-fetch-error: cannot-fetch-policy+http-status-500"
        ]

    def test_a_record_that_is_gone_is_noted_and_the_policy_stays(
        self, script: Script, run: Run
    ) -> None:
        script.publish()
        run("refetch", "example.org")
        script.look = NoRecordError("gone")
        status, lines = run("refetch", "example.org", "--json")
        assert status == 0
        assert objects(lines)[0]["outcome"] == "no-record"
        assert objects(lines)[0]["error"] == "no-mta-sts-dns-txt-record"
        assert PolicyRecord.objects.get().policy == policy()

    def test_is_in_the_log_of_what_people_did(self, script: Script, run: Run) -> None:
        script.publish()
        for _ in range(2):  # not cached yet, and cached
            run("refetch", "example.org")
        entries = LogEntry.objects.order_by("pk")
        row = str(PolicyRecord.objects.get().pk)
        assert [(each.user.get_username(), each.object_id) for each in entries] == [
            ("command-line", None), ("command-line", row),
        ]  # fmt: skip
        assert {(each.object_repr, each.get_change_message()) for each in entries} == {
            ("example.org", "Asked for a refetch.")
        }

    def test_refuses_what_is_no_domain(self, run: Run) -> None:
        assert run("refetch", "[192.0.2.1]")[0] == 64
        assert not LogEntry.objects.exists()


class TestRefresh:
    def test_prints_its_counts(self, script: Script, run: Run) -> None:
        script.publish(TESTING)
        cache.upsert("example.org", "1", policy(), ENFORCE)
        PolicyRecord.objects.update(refresh_due=None)
        counts = {"deleted": 0, "due": 1, "refreshed": 1, "unchanged": 0, "removed": 0, "failed": 0}
        assert objects(run("refresh", "--json")[1]) == [counts]
        assert run("refresh") == (
            0,
            ["deleted=0 due=0 refreshed=0 unchanged=0 removed=0 failed=0"],
        )


def test_a_database_that_does_not_answer_is_a_temporary_failure(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(cache, "policy_records", fail)
    assert run("list") == (75, [])


def test_without_an_action_it_says_which_there_are() -> None:
    with pytest.raises(CommandError, match="ACTION"):
        call_command("mtasts")


def test_setup_link_is_refused_once_there_is_a_user(
    capsys: pytest.CaptureFixture[str], django_user_model: Any
) -> None:
    call_command("setup-link")
    token = capsys.readouterr().out.strip().rstrip("/").rpartition("/")[2]
    setup.check(token)
    django_user_model.objects.create_user("someone")
    with pytest.raises(CommandError, match="changepassword"):
        call_command("setup-link")
