"""A newcomer with docs/tutorial.md and nothing else: from a bare Debian 12 to a Postfix that asks.

What is typed is taken from the page. The test's own are the machine's preparation, the domain, the
ports and whom the laboratory's certificates come from. Postfix is a real one, and delivers a mail
at the end.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb.environment import BASE_DIR
from tests.docs.shown import shown
from tests.needs import needs_program
from tests.postfix.bare import HOME, USER, Bare
from tests.postfix.needs import POSTFIX
from tests.postfix.rig import policy
from tests.socketmap.server.process import free_port

if TYPE_CHECKING:
    from tests.postfix.rig import Rig

pytestmark = [
    *POSTFIX,
    pytest.mark.slow,
    needs_program("git", apt="git"),
    needs_program("debootstrap", apt="debootstrap"),
]

TUTORIAL = BASE_DIR / "docs" / "tutorial.md"
IN_TIME = 600.0  # seconds: what the page promises
DOMAIN = "newcomer.test"
MAIL_LOG = "/var/log/mail.log"
CLONE = f"{HOME}/mtastsweb"


def shown_as(beginning: str) -> str:
    """The line of the page that begins so."""
    lines = [line.text for line in shown() if line.page == TUTORIAL]
    return next(line for line in lines if line.startswith(beginning))


class Newcomer:
    """Types what the page says, each line where it says: as root, or as a user in the checkout."""

    def __init__(self, machine: Bare, rig: Rig) -> None:
        self.machine = machine
        self.web, self.socketmap = free_port(), free_port()
        self._environ = {
            name: value for name, value in rig.lab.settings().items() if name != "MTASTS_CA_FILE"
        } | {
            "WEB_LISTEN": f"127.0.0.1:{self.web}",
            "SOCKETMAP_LISTEN": f"127.0.0.1:{self.socketmap}",
            "SOCKETMAP_DANE": "off",
        }

    def line(self, beginning: str) -> str:
        """The line of the page that begins so, with what is the test's own in it."""
        found = shown_as(beginning)
        return found.replace("gmail.com", DOMAIN).replace("8461", str(self.socketmap))

    def type(self, beginning: str) -> str:
        """What that line prints, typed in the checkout."""
        command = f"cd {CLONE} && {self.line(beginning)}"
        return self.machine.type(command, user=USER, **self._environ)

    def type_as_root(self, beginning: str) -> str:
        return self.machine.type(self.line(beginning))

    @contextlib.contextmanager
    def running(self) -> Iterator[list[str]]:
        """`make run`, once it has said all that the page shows; what it said."""
        command = f"cd {CLONE} && exec {self.line('make run')}"
        with self.machine.start(command, user=USER, **self._environ) as make:
            assert make.stdout is not None
            said = []
            try:
                for line in make.stdout:
                    said.append(line.strip())
                    if line.startswith("First login:"):
                        break
                yield said
            finally:
                make.terminate()


@pytest.fixture
def machine(tmp_path: Path, rig: Rig) -> Iterator[Bare]:
    """As a sending mail server is: Postfix is there, and no mail comes in. The world's certificates
    come from the laboratory's authorities, and its names from the laboratory's resolver."""
    tmp_path.chmod(0o755)
    with Bare(tmp_path) as machine:
        machine.type(shown_as("apt-get install postfix"))
        machine.type("postconf -M# smtp/inet; postconf -e myhostname=sender.test mydestination=")
        machine.type(f"postconf -e maillog_file={MAIL_LOG} smtp_tls_loglevel=1")
        authorities = machine.root / "usr/local/share/ca-certificates"
        shutil.copy(rig.authority.ca_file, authorities / "mail.crt")
        shutil.copy(rig.lab.ca_file, authorities / "policies.crt")
        machine.type("update-ca-certificates")
        yield machine


def test_from_a_clone_to_a_postfix_that_uses_it(rig: Rig, machine: Bare) -> None:
    rig.domain(DOMAIN, policy(f"mx.{DOMAIN}"))
    newcomer = Newcomer(machine, rig)
    (machine.root / MAIL_LOG[1:]).write_text(
        "Mar  1 12:00:00 mail postfix/smtp[10]: 4Xa: to=<b@elsewhere.test>,"
        " relay=mx.elsewhere.test[192.0.2.1]:25, dsn=2.0.0, status=sent (250 ok)\n"
    )
    began = time.monotonic()
    newcomer.type_as_root("apt-get install git")
    clone = machine.root / CLONE[1:]
    subprocess.run(["git", "clone", "--quiet", BASE_DIR, clone], check=True, capture_output=True)
    machine.type(f"chown --recursive {USER} {CLONE}")
    with newcomer.running() as said:
        shape = [re.sub(r"[0-9]+$|/setup/.*", "", line) for line in said[-3:]]
        assert shape == [
            "Web: http://127.0.0.1:",
            "Socketmap: 127.0.0.1:",
            f"First login: http://127.0.0.1:{newcomer.web}",
        ]
        # All packages are there; from here on the laboratory is the world.
        (machine.root / "etc/resolv.conf").write_text(f"nameserver {rig.nameserver}\n")
        link = newcomer.type(".venv/bin/python manage.py setup-link").strip()
        assert "Nothing is cached yet" in log_in(link)
        got = newcomer.type(".venv/bin/python manage.py mtasts get")
        assert got == f"{DOMAIN}: enforce mx mx.{DOMAIN}\n"
        answer = newcomer.type("postmap -q")
        assert answer == f"secure match=mx.{DOMAIN} servername=hostname\n"
        told = newcomer.type(".venv/bin/python manage.py mtasts import")
        assert "Would look up 1 domains" in told

        machine.type("/etc/init.d/postfix start")
        assert newcomer.type_as_root("postconf mail_version") < "mail_version = 3.9"
        newcomer.type_as_root(
            "postconf -e 'smtp_tls_policy_maps = socketmap:inet:127.0.0.1:8461:postfix'"
        )
        newcomer.type_as_root("postconf -e 'smtp_tls_CAfile")
        newcomer.type_as_root("postconf -e 'smtp_tls_security_level")
        newcomer.type_as_root("postfix reload")
        send(machine)
        assert "Verified TLS connection established to mx." in wait_for_mail(machine, 1)
        assert time.monotonic() - began < IN_TIME

        newcomer.type_as_root("postconf -X")
        newcomer.type_as_root("postfix reload")
        send(machine)
        assert wait_for_mail(machine, 2).count("Verified") == 1
        machine.type("postfix stop")


def send(machine: Bare) -> None:
    done = machine.run(f"sendmail someone@{DOMAIN}", text="Subject: test\n\ntest\n")
    assert done.returncode == 0, done.stderr


def wait_for_mail(machine: Bare, number: int) -> str:
    """Postfix's log, once so many mails have been delivered."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        log = (machine.root / MAIL_LOG[1:]).read_text()
        if log.count(f"to=<someone@{DOMAIN}>") == number:
            assert log.count("status=sent") == number + 1  # and the one of the day before
            return log
        time.sleep(0.2)
    raise AssertionError(f"no mail arrived: {log}")


def log_in(link: str) -> str:
    """Make the first login by this link, as the form asks; the page that comes after it."""
    browser = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    )
    with browser.open(link, timeout=30) as response:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', response.read().decode())
    assert token is not None
    password = "not easily guessed"
    fields = {
        "csrfmiddlewaretoken": token[1],
        "username": "newcomer",
        "password1": password,
        "password2": password,
    }
    sent = urllib.request.Request(link, urllib.parse.urlencode(fields).encode(), {"Referer": link})
    with browser.open(sent, timeout=30) as response:
        return str(response.read().decode())
