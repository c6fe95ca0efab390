"""Each command in the documentation runs, or what it names is there.

`CHECKS` says how each kind of line is checked; a line that none knows fails the test. Commands of
the product run against the laboratory, in the order of the pages, on a database of their own; so do
those of docs/commands.md. Other programs run in tests/docs/test_programs_shown.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import get_commands, load_command_class

from mtastsweb import values
from mtastsweb.environment import BASE_DIR
from policies.socketmap.request import Query, parse_request
from tests.docs.shown import Fence, Shown, fences, shown, spans, synopses
from tests.docs.typing_in import Typed, type_in
from tests.fuzz.targets import TARGETS
from tests.needs import find_program
from tests.socketmap.server.process import environment, free_port

if TYPE_CHECKING:
    from tests.lab.lab import Lab

Check = Callable[[re.Match[str]], object]

LOG = (
    "Mar  1 12:00:00 mail postfix/smtp[10]: 4Xa: to=<b@example.org>,"
    " relay=mx.example.org[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 ok)\n"
)
DUMP = "example.org                      17  secure match=mx.example.org servername=hostname\n"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"
PRODUCT = re.compile(
    r"(?:postfix-tlspol -dump \| )?"
    r"(?:(?:\.venv/bin/python )?manage\.py"
    r"|(?:docker compose --file \S+ exec (?:-T )?mtastsweb )?mtastsweb)"
    r" ((?!…).+)"
)
COMMAND = re.compile(
    r"(?:SLOW=1 )?(?P<kind>make|systemctl(?! --)|(?:\.venv/bin/)?python -m|mtastsweb|mtasts"
    r"|(?:\.venv/bin/python )?manage\.py)(?: |$)"
)
PLACES = ("/var/backups/mtastsweb/", "/var/backups/", "/data/", "~/")
"""Where commands put files; here they are in a directory of the test's."""

SYNOPSES = {
    "--policy FILE": "--policy policy",
    "DOMAIN…": "example.org",
    "DOMAIN": "example.org",
    "MODE": "enforce",
    "N": "3",
    "YYYY-MM-DD": "2026-03-01",
    "ACTION": "skip",
    "REASON": "why",
    "SOURCE FILE": "postfix-log /var/log/mail.log",
    "import FILE": "import tls_policy",
    "FILE": "copy.sqlite3",
    "…": "",
}
"""What stands in docs/commands.md for a word of the reader's, and one such word."""

LASTING = {"socketmap", "qcluster", "start", "metrics --serve"}
"""They run until they are stopped, as tests/supervisor and tests/metrics have them do."""

ASKING = {"changepassword USER"}
"""Django's; it wants a terminal."""

STATUSES = {
    r"restore (?!.*--yes).+": 1,  # says what it would do, and asks for --yes
    r"mtasts exception import \S+ --dry-run( --rest)?": 65,  # what was exported is there already
}
"""How a command ends where it is not with 0."""


def make_has(match: re.Match[str]) -> None:
    assert re.search(rf"^{match[1]}: .*## ", (BASE_DIR / "Makefile").read_text(), re.MULTILINE)


def postfix_has(match: re.Match[str]) -> None:
    """Postfix knows the parameter; where it is installed, it says so itself."""
    name, value = match["name"], match["value"]
    if value.startswith("socketmap:"):
        socketmap_is_ours(re.search(r"\S+", value) or match)
    if postconf := find_program("postconf"):
        done = subprocess.run([postconf, "-d", name], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{name} ="), done.stderr


def socketmap_is_ours(match: re.Match[str]) -> None:
    """The port is the default one, and the map is known."""
    found = re.search(r"socketmap:inet:127\.0\.0\.1:8461:(\S+)", match.string)
    assert found is not None
    assert isinstance(parse_request(f"{found[1].strip(chr(39))} example.org".encode()), Query)


def fuzz_knows(match: re.Match[str]) -> None:
    """The parser is one; atheris itself is for those who install it."""
    assert match.string.split("--atheris ")[1].split()[0] in TARGETS


def units_are_there(match: re.Match[str]) -> None:
    for name in match["units"].split():
        unit = name if "." in name else f"{name}.service"
        assert (BASE_DIR / "deploy" / "systemd" / unit).is_file(), unit


def sources_are_there(match: re.Match[str]) -> None:
    for pattern in match["sources"].split():
        assert list(BASE_DIR.glob(pattern)), pattern


def compose_is_there(match: re.Match[str]) -> None:
    (found,) = (BASE_DIR / "deploy" / "container").glob(match[1].removeprefix("deploy/container/"))
    assert re.search("^  mtastsweb:$", found.read_text(), re.MULTILINE)


def setting_is_accepted(match: re.Match[str]) -> None:
    accepted = {
        "ALLOWED_HOSTS": values.many(values.allowed_host),
        "WEB_HTTPS": values.boolean,
    }
    assert accepted[match["name"]](match["value"])


def elsewhere(reason: str) -> Check:
    """Checked by another test, which there is, or not ours to check: `reason` says which."""

    def check(_: re.Match[str]) -> None:
        for name in re.findall(r"tests/[\w/]+\.py", reason):
            assert (BASE_DIR / name).is_file(), name

    return check


CHECKS: list[tuple[str, Check]] = [
    (r"make (\w+)(?: [A-Z_]+=\w+)?", make_has),
    (r"\.venv/bin/python -m tests\.fuzz .+", fuzz_knows),
    (r"\.venv/bin/pip install atheris", elsewhere("tests/fuzz runs without it")),
    (r"(?P<name>smtp_\w+) = (?P<value>.+)", postfix_has),
    (r"docker compose --file (\S+) (?:up --detach|cp mtastsweb:\S+ \S+)", compose_is_there),
    (r"systemctl (?:enable --now|restart|stop) (?P<units>.+)", units_are_there),
    (r"(?P<name>[A-Z_]+)=(?P<value>\S+)", setting_is_accepted),
    (r"(?:postconf|postmap|curl|grep) .+", elsewhere("tests/docs/test_programs_shown.py")),
    (r"(?:pg_dump|pg_restore|createdb|createuser) .+",
     elsewhere("tests/docs/test_programs_shown.py")),
    (r"30 3 \* \* \* .+", elsewhere("tests/docs/test_programs_shown.py")),
    (r"(?:cp deploy/|install -[dmD] |systemd-sysusers).*",
     elsewhere("tests/docs/test_programs_shown.py")),
    (r"(?:cd deploy/container|umask 077|openssl rand|printf 'postgres:) ?.*",
     elsewhere("tests/docs/test_programs_shown.py")),
    (r"(?:python3 -m venv|\.venv/bin/pip install) ?.+",
     elsewhere("tests/test_wheel.py installs from the wheel and runs it")),
    (r"cd /opt/mtastsweb( && git pull && \.venv/bin/pip install \.)?",
     elsewhere("tests/test_wheel.py installs from the wheel and runs it")),
    (r"apt-get install .+", elsewhere("tests/postfix/test_newcomer.py types it")),
    (r"postfix reload", elsewhere("tests/postfix/test_newcomer.py types it")),
    (r"(?:git clone .+|systemctl daemon-reload)",
     elsewhere("tests/deploy/test_units.py types it, with a repository of its own")),
    (r"postqueue -f", elsewhere("tests/postfix/test_outage.py types it")),
    (r"(?:Web|Socketmap|First login): .+", elsewhere("output; tests/test_make.py waits for it")),
    (r"secure match=.+", elsewhere("output; tests/postfix/test_postmap.py asks for it")),
    (r"msg=.+", elsewhere("log lines; tests/test_logs.py")),
]  # fmt: skip


def checks_of(line: Shown) -> list[tuple[re.Match[str], Check]]:
    found = ((re.fullmatch(pattern, line.text), check) for pattern, check in CHECKS)
    return [(match, check) for match, check in found if match]


@pytest.mark.parametrize("line", [each for each in shown() if not PRODUCT.fullmatch(each.text)],
                         ids=str)  # fmt: skip
def test_what_is_shown_is_there(line: Shown) -> None:
    known = checks_of(line)
    assert known, f"{line}: nothing here knows how to check this; add it to CHECKS"
    for match, check in known[:1]:
        check(match)


def test_every_check_is_needed() -> None:
    lines = [each.text for each in shown()]
    unused = [p for p, _ in CHECKS if not any(re.fullmatch(p, text) for text in lines)]
    assert not unused


@pytest.mark.skipif(find_spec("trustme") is None, reason="the laboratory wants trustme")
def test_the_commands_of_the_product_run_as_shown(tmp_path: Path, lab: Lab) -> None:
    environ = environment(tmp_path / "data", free_port()) | lab.settings()
    for name in ("example.org", "gmail.com"):
        lab.domain(name, POLICY)
    (tmp_path / "mail.log").write_text(LOG)
    (tmp_path / "dump").write_text(DUMP)
    (tmp_path / "policy").write_text(POLICY)
    commands = [each.text for each in shown() if PRODUCT.fullmatch(each.text)]
    commands += [f"manage.py {each}" for each in synopses() if each not in LASTING | ASKING]
    commands = list(dict.fromkeys(map(filled_in, commands)))
    assert len(commands) > 40
    migrated, *ends = type_in(
        [Typed(["migrate", "--verbosity", "0"]), *(typed(each, tmp_path) for each in commands)],
        environ, tmp_path,
    )  # fmt: skip
    assert migrated.status == 0, migrated.stderr
    for command, ended in zip(commands, ends, strict=True):
        match = PRODUCT.fullmatch(command)
        assert match is not None
        special = (status for text, status in STATUSES.items() if re.fullmatch(text, match[1]))
        assert ended.status == next(special, 0), f"{command}: {ended.stderr}"
        is_quiet = ">" in command or match[1].startswith("mtasts alerts")  # there are none
        assert is_quiet or ended.stdout or ended.stderr, command


@pytest.mark.parametrize("span", [each for each in spans() if COMMAND.match(each.text)], ids=str)
def test_a_command_within_a_line_is_one(span: Shown) -> None:
    """It is there, and has the options that are named; words of the reader's may be missing."""
    match = COMMAND.match(span.text)
    assert match is not None
    kind, words = match["kind"], span.text[match.end() :].split()
    if not words:
        return  # named, and not shown
    if kind == "make":
        make_has(re.match("(.*)", words[0]) or match)
    elif kind.startswith("systemctl"):
        for unit in words[1:]:
            units_are_there(re.match("(?P<units>.*)", unit) or match)
    elif kind.endswith("python -m"):
        assert find_spec(words[0]), words[0]
    elif words[0] != "…":
        parser = parser_of(*(["mtasts", *words] if kind == "mtasts" else words))
        options = {word.strip("[]") for word in words if word.strip("[]").startswith("--")}
        assert options <= set(parser._option_string_actions)


def parser_of(*words: str) -> argparse.ArgumentParser:
    """Of the last command within a command that these words name."""
    app = get_commands()[words[0]]
    command = load_command_class(app, words[0]) if isinstance(app, str) else app
    parser: argparse.ArgumentParser = command.create_parser("manage.py", words[0])
    for word in words[1:]:
        inner = [each for each in parser._actions if isinstance(each.choices, dict)]
        if not inner or word.startswith(("-", "[")):
            break
        parser = inner[0].choices[word]
    return parser


@pytest.mark.parametrize("fence", fences(), ids=str)
def test_a_block_is_in_its_language(fence: Fence, tmp_path: Path) -> None:
    """What it says: tests/alerts/test_delivery.py, tests/api/test_docs.py."""
    if fence.language == "json":
        assert json.loads(fence.text)
    elif fence.language == "python":
        compile(fence.text, str(fence), "exec")
    elif fence.language == "yaml":
        (tmp_path / "prometheus.yml").write_text(fence.text)
        if promtool := find_program("promtool"):
            file = tmp_path / "prometheus.yml"
            subprocess.run([promtool, "check", "config", file], check=True, capture_output=True)
    else:
        raise AssertionError("nothing here knows how to check this")


def filled_in(command: str) -> str:
    """A synopsis with words in it, and with all that may be left out."""
    for shown_, meant in SYNOPSES.items():
        command = re.sub(rf"(?<![\w\"/-]){re.escape(shown_)}(?![\w\"-])", meant, command)
    return re.sub(r"[\[\]]", "", command).strip()


def typed(command: str, path: Path) -> Typed:
    """The command with files of the test's; what is piped into it is what postfix-tlspol dumps."""
    match = PRODUCT.fullmatch(command)
    assert match is not None
    is_piped, command = command.startswith("postfix-tlspol"), match[1]
    for place in PLACES:
        command = command.replace(place, f"{path}{os.sep}", 1)
    command = command.replace("/var/log/mail.log", f"{path}/mail.log")
    command, _, target = command.partition(" > ")
    return Typed(
        shlex.split(command),
        stdin=f"{path}/dump" if is_piped else None,
        stdout=f"{path}/{target}" if target else None,
    )
