"""Each command in the documentation runs, or what it names is there.

`CHECKS` says how each kind of line is checked; a line that none knows fails the test. Commands of
the product run against the laboratory, in the order of the pages, on a database of their own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.urls import resolve

from mtastsweb import values
from mtastsweb.environment import BASE_DIR
from policies.socketmap.request import Query, parse_request
from tests.docs.shown import Shown, shown
from tests.docs.typing_in import Typed, type_in
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
    r"(?:postfix-tlspol -dump \| )?(?:\.venv/bin/python )?manage\.py ([^\[]+)"  # no synopsis
)
STATUSES = {
    r"restore \S+": 1,  # says what it would do, and asks for --yes
    r"mtasts exception import \S+ --dry-run": 65,  # what was exported is there already
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


def units_are_there(match: re.Match[str]) -> None:
    for name in match["units"].split():
        unit = name if "." in name else f"{name}.service"
        assert (BASE_DIR / "deploy" / "systemd" / unit).is_file(), unit


def sources_are_there(match: re.Match[str]) -> None:
    for pattern in match["sources"].split():
        assert list(BASE_DIR.glob(pattern)), pattern


def compose_is_there(match: re.Match[str]) -> None:
    assert list(BASE_DIR.glob(f"**/{match[1]}"))


def program_knows(match: re.Match[str]) -> None:
    """The program has these long options, where it is installed."""
    name, *words = shlex.split(match.string)
    if find_program(name):
        help_text = subprocess.run([name, "--help"], capture_output=True, text=True, check=True)
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in help_text.stdout


def page_is_there(match: re.Match[str]) -> None:
    assert resolve(match["path"].partition("?")[0])


def setting_is_accepted(match: re.Match[str]) -> None:
    accepted = {
        "ALLOWED_HOSTS": values.many(values.allowed_host),
        "WEB_HTTPS": values.boolean,
    }
    assert accepted[match["name"]](match["value"])


def elsewhere(reason: str) -> Check:
    """Checked by another test, or not ours to check: `reason` says which."""
    return lambda _: reason


CHECKS: list[tuple[str, Check]] = [
    (r"make (\w+)", make_has),
    (r"(?P<name>smtp_\w+) = (?P<value>.+)", postfix_has),
    (r"postconf -e '(?P<name>smtp_\w+) = (?P<value>.+)'", postfix_has),
    (r"postconf (?:-X )?(?P<name>\w+)(?P<value>)", postfix_has),
    (r"curl .*http://127\.0\.0\.1:8000(?P<path>/[^\s'\"]*).*", page_is_there),
    (r"postmap -q \S+ socketmap:\S+", socketmap_is_ours),
    (r"systemctl (?:enable --now|restart) (?P<units>.+)", units_are_there),
    (r"cp (?P<sources>deploy/.+) /etc/\S+", sources_are_there),
    (r"docker compose --file (\S+) up --detach", compose_is_there),
    (r"(?:pg_dump|pg_restore|createdb|createuser) .+", program_knows),
    (r"(?P<name>[A-Z_]+)=(?P<value>\S+)", setting_is_accepted),
    (r"30 3 \* \* \* cd /opt/mtastsweb && \.venv/bin/python manage\.py backup --force .+",
     elsewhere("tests/test_backup.py backs up with --force")),
    (r"manage\.py mtasts report \[--day .+", elsewhere("a synopsis; tests/test_commands.py")),
    (r"(?:python3 -m venv|\.venv/bin/pip install|runuser -u mtastsweb -- env DATA_DIR=) ?.+",
     elsewhere("tests/test_wheel.py installs from the wheel and runs it")),
    (r"cd /opt/mtastsweb( && git pull && \.venv/bin/pip install \.)?",
     elsewhere("tests/test_wheel.py installs from the wheel and runs it")),
    (r"(?:apt-get install|git clone|systemd-sysusers|systemctl daemon-reload|install -[dm]) ?.*",
     elsewhere("changes the system; Debian's own commands")),
    (r"(?:cd deploy/container|umask 077|openssl rand|printf 'postgres:) ?.*",
     elsewhere("the shell's and OpenSSL's own")),
    (r"(?:postfix reload|postqueue -f|grep .+ /var/log/mail\.log)",
     elsewhere("Postfix's own, and grep")),
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
    commands = list(dict.fromkeys(each.text for each in shown() if PRODUCT.fullmatch(each.text)))
    assert len(commands) > 8
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
        assert ended.stdout or ended.stderr or ">" in command, command


def typed(command: str, path: Path) -> Typed:
    """The command with files of the test's; what is piped into it is what postfix-tlspol dumps."""
    for shown_, meant in (
        (".venv/bin/python ", ""),
        ("manage.py ", ""),
        (" FILE", f" {path}/policy"),
        ("/var/backups/", f"{path}{os.sep}"),
        ("/var/log/mail.log", f"{path}/mail.log"),
    ):
        command = command.replace(shown_, meant)
    _, is_piped, command = command.rpartition(" | ")
    command, _, target = command.partition(" > ")
    return Typed(
        shlex.split(command),
        stdin=f"{path}/dump" if is_piped else None,
        stdout=f"{path}/{target}" if target else None,
    )
