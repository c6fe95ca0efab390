"""`manage.py mtasts exception …`: what it does, prints, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from policies.models import PolicyException
from tests.worlds import ENFORCE

pytestmark = pytest.mark.django_db

Run = Callable[..., tuple[int, str, str]]
WHY = ("--reason", "the certificate is expired")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `mtasts exception` with these words; exit status, output and what was said beside."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status: Any = 0
        try:
            call_command("mtasts", "exception", *words)
        except SystemExit as exit_:
            status = exit_.code
        said = capsys.readouterr()
        return int(status or 0), said.out, said.err

    return run


def test_a_skip_is_for_a_week(run: Run) -> None:
    status, out, _ = run("add", "Example.org", "--action", "skip", *WHY, "--json")
    told = json.loads(out)
    assert status == 0
    assert {name: told[name] for name in ("scope", "target", "action", "state", "reason")} == {
        "scope": "domain", "target": "example.org", "action": "skip", "state": "active",
        "reason": WHY[1],
    }  # fmt: skip
    row = PolicyException.objects.get()
    assert row.until
    assert row.until - row.since == timedelta(days=7)
    assert row.owner


@pytest.mark.parametrize(
    ("words", "scope", "target"),
    [
        ([".Example.org"], "suffix", ".example.org"),
        (["--mx", "*.Protection.Example"], "mx", "*.protection.example"),
        (["--everything", "--hours", "2"], "everything", ""),
        (["--everything"], "everything", ""),
    ],
)
def test_it_may_be_about_more_than_a_domain(
    words: list[str], scope: str, target: str, run: Run
) -> None:
    assert run("add", *words, *WHY)[0] == 0
    row = PolicyException.objects.get()
    assert (row.scope, row.target) == (scope, target)
    assert run("remove", *words[: 2 if scope == "mx" else 1])[0] == 0


def test_a_pin_takes_its_text_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy"
    file.write_text(ENFORCE)
    words = ("--policy", str(file), "--days", "30", "--owner", "postmaster")
    assert run("add", "a.test", "--action", "pin", *WHY, *words)[0] == 0
    row = PolicyException.objects.get()
    assert (row.policy_text, row.owner) == (ENFORCE, "postmaster")


def test_a_requirement_takes_level_and_names(run: Run) -> None:
    words = ("--level", "secure", "--match", "mx.a.test:.b.test", "nexthop", "--no-end")
    assert run("add", "a.test", "--action", "require", *WHY, *words)[0] == 0
    row = PolicyException.objects.get()
    assert (row.level, row.match, row.until) == (
        "secure",
        ["mx.a.test", ".b.test", "nexthop"],
        None,
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["a b.test"], 64, "no domain name"),
        (["--mx", "*"], 64, "no domain name"),
        ([], 2, "Give one of"),
        (["a.test", "--mx", "b.test"], 2, "Give one of"),
        (["a.test", "--action", "pin"], 2, "policy text"),
        (["a.test", "--action", "require"], 2, "Choose a level"),
        (["a.test", "--level", "encrypt"], 2, "--action require"),
        (["--everything", "--hours", "25"], 2, "24 hours"),
        (["--everything", "--no-end"], 2, "24 hours"),
        (["--mx", "a.test", "--action", "require", "--level", "encrypt"], 2, "policies"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], status: int, said: str, run: Run) -> None:
    given, out, err = run("add", *words, *WHY)
    assert (given, out) == (status, "")
    assert said in err
    assert not PolicyException.objects.exists()


@pytest.mark.parametrize(
    "words",
    [("--days", "0"), ("--days", "x"), ("--days", "nan"), ("--since", "noon"),
     ("--policy", "/nowhere/x"), ("--action", "drop"), ("--days", "1", "--no-end")],
)  # fmt: skip
def test_wrong_options_are_refused(words: tuple[str, ...], run: Run) -> None:
    with pytest.raises(CommandError):
        run("add", "a.test", *WHY, *words)


def test_removing_what_is_not_there_says_so(run: Run) -> None:
    status, _, err = run("remove", "a.test")
    assert status == 1
    assert "no exception for a.test" in err


def test_the_list_leaves_out_what_has_ended(run: Run) -> None:
    run("add", "a.test", *WHY)
    run("add", "b.test", *WHY, "--since", "2999-01-01T00:00")
    run("add", "c.test", *WHY)
    run("remove", "c.test")
    told = [json.loads(line) for line in run("list", "--json")[1].splitlines()]
    assert [(each["target"], each["state"]) for each in told] == [
        ("a.test", "active"), ("b.test", "coming"),
    ]  # fmt: skip
    assert "c.test: ended" in run("list", "--all")[1]
    assert WHY[1] in run("list")[1]


TABLE = "a.test may\n.b.test encrypt\nc.test dane-only\n"


@pytest.fixture
def table(tmp_path: Path) -> str:
    file = tmp_path / "table"
    file.write_text(TABLE)
    return str(file)


def test_a_table_with_a_refused_line_is_imported_only_when_told_so(run: Run, table: str) -> None:
    status, out, err = run("import", table)
    assert status == 65
    assert "line 3: c.test dane-only: refused: DANE" in out
    assert "--rest" in err
    assert not PolicyException.objects.exists()
    status, _, err = run("import", table, "--rest", "--days", "3")
    assert (status, "2 imported, 1 refused" in err) == (65, True)
    assert set(PolicyException.objects.values_list("target", "action")) == {
        ("a.test", "skip"), (".b.test", "require"),
    }  # fmt: skip


def test_a_dry_run_imports_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "table"
    file.write_text("a.test may\n")
    status, out, err = run("import", str(file), "--dry-run", "--json")
    assert status == 0
    assert json.loads(out)["action"] == "skip"
    assert "Nothing was imported" in err
    assert not PolicyException.objects.exists()


def test_what_exists_already_is_refused_and_stays(run: Run, table: str) -> None:
    run("add", "a.test", "--action", "enforce", *WHY)
    _, out, _ = run("import", table, "--rest")
    assert "line 1: a.test may: refused: There is an exception" in out
    assert PolicyException.objects.get(target="a.test").action == "enforce"


def test_what_is_exported_can_be_imported(run: Run, table: str, tmp_path: Path) -> None:
    run("import", table, "--rest")
    exported = tmp_path / "exported"
    exported.write_text(run("export")[1])
    PolicyException.objects.update(ended=timezone.now())
    assert run("import", str(exported))[0] == 0
    assert PolicyException.objects.filter(ended=None).count() == 2
