"""A newcomer with docs/tutorial.md and nothing else: from a clone to a Postfix that uses it.

What is typed is taken from the page. Only ports, domain and log file are the test's own, and the
machine's packages are there already. Postfix is a real one, and delivers a mail at the end.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import shlex
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
from tests.postfix.needs import POSTFIX
from tests.postfix.rig import policy
from tests.socketmap.server.process import free_port

if TYPE_CHECKING:
    from tests.postfix.rig import Rig

pytestmark = [
    *POSTFIX,
    pytest.mark.slow,
    needs_program("git", apt="git"),
    needs_program("make", apt="make"),
]

TUTORIAL = BASE_DIR / "docs" / "tutorial.md"
IN_TIME = 600.0  # seconds: what the page promises
DOMAIN = "newcomer.test"


class Newcomer:
    """Types what the page says, in a clone of the checkout, with an empty home directory."""

    def __init__(self, directory: Path, rig: Rig) -> None:
        self.clone = directory / "mtastsweb"
        for name in ("home", "postfix"):
            (directory / name).mkdir()
        (directory / "postfix" / "main.cf").write_text("compatibility_level = 3.6\n")
        self.web, self.socketmap = free_port(), free_port()
        self.log = directory / "mail.log"
        self._lines = [line.text for line in shown() if line.page == TUTORIAL]
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PATH", "PIP_"))}
        self.environ = {
            **kept,
            **rig.lab.settings(),
            "HOME": str(directory / "home"),
            "MAIL_CONFIG": str(directory / "postfix"),  # where postmap looks for main.cf
            "WEB_LISTEN": f"127.0.0.1:{self.web}",
            "SOCKETMAP_LISTEN": f"127.0.0.1:{self.socketmap}",
            "SOCKETMAP_DANE": "off",
        }

    def line(self, beginning: str) -> str:
        """The line of the page that begins so, with what is the test's own in it."""
        (found, *_) = [each for each in self._lines if each.startswith(beginning)]
        return (
            found.replace("gmail.com", DOMAIN)
            .replace("8461", str(self.socketmap))
            .replace("/var/log/mail.log", str(self.log))
        )

    def type(self, beginning: str) -> str:
        """What that line prints."""
        return subprocess.run(
            shlex.split(self.line(beginning)),
            cwd=self.clone, env=self.environ, check=True, capture_output=True, text=True,
            timeout=IN_TIME,
        ).stdout  # fmt: skip

    @contextlib.contextmanager
    def running(self) -> Iterator[list[str]]:
        """`make run`, once it has said all that the page shows; what it said."""
        with subprocess.Popen(
            shlex.split(self.line("make run")),
            cwd=self.clone, env=self.environ, stdout=subprocess.PIPE, text=True,
        ) as make:  # fmt: skip
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

    def postfix_parameters(self) -> dict[str, str]:
        """main.cf as the page makes it, for a Postfix before 3.10."""
        typed = [shlex.split(each)[2] for each in self._lines if each.startswith("postconf -e")]
        pairs = [each.partition(" = ") for each in typed if not each.endswith("-tlsrpt")]
        return {
            name: value.replace("8461", str(self.socketmap))
            for name, _, value in pairs
            if name != "smtp_tls_CAfile"  # the test's authority instead of the world's
        }


def test_from_a_clone_to_a_postfix_that_uses_it(tmp_path: Path, rig: Rig) -> None:
    rig.domain(DOMAIN, policy(f"mx.{DOMAIN}"))
    newcomer = Newcomer(tmp_path, rig)
    newcomer.log.write_text(
        "Mar  1 12:00:00 mail postfix/smtp[10]: 4Xa: to=<b@elsewhere.test>,"
        " relay=mx.elsewhere.test[192.0.2.1]:25, dsn=2.0.0, status=sent (250 ok)\n"
    )
    began = time.monotonic()
    subprocess.run(
        ["git", "clone", "--quiet", BASE_DIR, newcomer.clone], check=True, capture_output=True
    )
    with newcomer.running() as said:
        shape = [re.sub(r"[0-9]+$|/setup/.*", "", line) for line in said[-3:]]
        assert shape == [
            "Web: http://127.0.0.1:",
            "Socketmap: 127.0.0.1:",
            f"First login: http://127.0.0.1:{newcomer.web}",
        ]
        link = newcomer.type(".venv/bin/python manage.py setup-link").strip()
        assert "Nothing is cached yet" in log_in(link)
        got = newcomer.type(".venv/bin/python manage.py mtasts get")
        assert got == f"{DOMAIN}: enforce mx mx.{DOMAIN}\n"
        answer = newcomer.type("postmap -q")
        assert answer == f"secure match=mx.{DOMAIN} servername=hostname\n"
        assert "Would look up 1 domains" in newcomer.type(
            ".venv/bin/python manage.py mtasts import"
        )
        with rig.postfix(newcomer.postfix_parameters()) as postfix:
            assert "status=sent" in postfix.send(f"someone@{DOMAIN}")
            assert postfix.log.matching(rf"Verified TLS connection established to mx\.{DOMAIN}")
    assert time.monotonic() - began < IN_TIME


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
