"""What the documentation shows of other programs, typed as shown where the program is.

Names and places that would be this machine's are the test's own: ports, directories, databases.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from django.db import connection

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from mtastsweb import values
from mtastsweb.environment import BASE_DIR
from tests.deploy.test_proxies import running
from tests.docs.shown import shown
from tests.needs import SBIN, find_program, needs_program
from tests.socketmap.server.process import Process, environment, free_port, manage

if TYPE_CHECKING:
    from tests.lab.lab import Lab

INSTALL = BASE_DIR / "docs" / "install.md"
PATH = f"{os.environ.get('PATH', '')}{os.pathsep}{SBIN}"
POLICY = "version: STSv1\nmode: enforce\nmx: mx.example.org\nmax_age: 86400\n"
TOKEN = """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from policies import tokens
owner = User.objects.create_superuser("feeder")
print(tokens.make(owner, "docs", timezone.now() + timedelta(days=1))[1])
"""


def lines(beginning: str, page: Path | None = None) -> list[str]:
    """Those that begin so, each once, in the order of the pages."""
    found = [
        line.text
        for line in shown()
        if re.match(beginning, line.text) and page in (None, line.page)
    ]
    assert found, beginning
    return list(dict.fromkeys(found))


def sh(command: str, environ: Mapping[str, str], directory: Path) -> str:
    """What it prints, typed into a shell; it has to succeed."""
    done = subprocess.run(
        ["sh", "-euc", command], env={"PATH": PATH, **environ}, cwd=directory,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def moved(command: str, places: Mapping[str, object]) -> str:
    """The command with each of these in place of what is shown, which it has to show."""
    for old, new in places.items():
        assert old in command, command
        command = command.replace(old, str(new))
    return command


@needs_program("postmap", apt="postfix")
class TestPostfix:
    @pytest.fixture
    def environ(self, tmp_path: Path) -> dict[str, str]:
        (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
        return {"MAIL_CONFIG": str(tmp_path)}

    def test_postmap_asks_the_product(
        self, environ: dict[str, str], tmp_path: Path, lab: Lab
    ) -> None:
        port = free_port()
        product = environment(tmp_path / "data", port) | lab.settings()
        manage(["migrate", "--verbosity", "0"], product)
        for domain in ("gmail.com", "example.org"):
            lab.domain(domain, POLICY)
        process = Process(product)
        try:
            process.client().close()
            for line in lines("postmap -q"):
                answer = sh(moved(line, {"8461": port}), environ, tmp_path)
                assert answer == "secure match=mx.example.org servername=hostname\n"
        finally:
            process.terminate()

    def test_postconf_takes_and_undoes_what_is_set(
        self, environ: dict[str, str], tmp_path: Path
    ) -> None:
        before = (tmp_path / "main.cf").read_text()
        assert sh(lines("postconf mail_version")[0], environ, tmp_path).startswith("mail_version =")
        names = set()
        for line in lines("postconf -e"):
            sh(line, environ, tmp_path)
            setting = re.sub(r"postconf -e '(.+)'", r"\1", line)
            assert f"\n{setting}\n" in (tmp_path / "main.cf").read_text()
            names.add(setting.partition(" ")[0])
        for line in lines("postconf -X"):
            sh(line, environ, tmp_path)
            names.remove(line.rpartition(" ")[2])
        left = (tmp_path / "main.cf").read_text().removeprefix(before).splitlines()
        assert {line.partition(" ")[0] for line in left} == names

    def test_grep_finds_verified_connections(self, tmp_path: Path) -> None:
        told = "postfix/smtp[1]: Verified TLS connection established to mx.example.org\n"
        (tmp_path / "mail.log").write_text(f"another line\n{told}")
        (line,) = lines("grep ")
        line = moved(line, {"/var/log/mail.log": tmp_path / "mail.log"})
        assert sh(line, {}, tmp_path) == told


@needs_program("curl", apt="curl")
def test_curl_reads_the_feed(tmp_path: Path) -> None:
    port = free_port()
    environ = environment(tmp_path / "data", free_port(), WEB_LISTEN=f"127.0.0.1:{port}")
    manage(["migrate", "--verbosity", "0"], environ)
    token = manage(["shell", "--verbosity", "0", "--command", TOKEN], environ).strip()
    web = [sys.executable, "-m", "gunicorn", "--config", "python:mtastsweb.gunicorn"]
    with running(web, environ, port=port):
        for line in lines("curl "):
            typed = moved(line, {":8000": f":{port}"}).replace("curl ", "curl --silent ", 1)
            answer = sh(typed, {"TOKEN": token}, tmp_path)
            address = urlsplit(re.findall(r"http://[^\s\"]+", line)[0])
            if "example.org" in address.path:  # which is not cached here
                assert '"status": 404' in answer
            else:
                assert answer.startswith("{"), answer
                assert '"status": 4' not in answer, answer
    assert len(lines("curl ")) > 5


@pytest.mark.postgres
@pytest.mark.django_db
@needs_program("pg_restore", apt="postgresql-client")
class TestPostgreSQL:
    @pytest.fixture
    def own(self) -> Iterator[tuple[str, dict[str, str]]]:
        """A name of the test's for role and databases, and the server's address."""
        server = connection.settings_dict
        environ = {
            "PGHOST": server["HOST"], "PGPORT": str(server["PORT"] or 5432),
            "PGUSER": server["USER"], "PGPASSWORD": server["PASSWORD"],
        }  # fmt: skip
        name = f"mtastsweb_shown_{os.getpid()}"
        try:
            yield name, environ
        finally:
            for database in (f"{name}-restored", name):
                sh(f"dropdb --if-exists {database}", environ, Path("/"))
            sh(f"dropuser --if-exists {name}", environ, Path("/"))

    def test_a_database_is_made_saved_and_put_back(
        self, own: tuple[str, dict[str, str]], tmp_path: Path
    ) -> None:
        name, environ = own

        def type_(line: str) -> None:
            line = line.replace("/var/backups/mtastsweb.dump", str(tmp_path / "dump"))
            sh(re.sub(r"\bmtastsweb\b", name, line), environ, tmp_path)

        for line in lines("create(user|db)", INSTALL):
            type_(line)
        owned = "CREATE TABLE kept AS SELECT 42 AS answer"
        sh(f'psql --quiet --dbname={name} --command "{owned}"', environ, tmp_path)
        for line in lines("(pg_|createdb)", BASE_DIR / "docs" / "backup.md"):
            type_(line)
        told = sh(f"psql -At --dbname={name}-restored --command 'TABLE kept'", environ, tmp_path)
        assert told == "42\n"
        owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        told = sh(f'psql -At --dbname={name} --command "{owner}"', environ, tmp_path)
        assert told == f"{name}\n"


class TestServer:
    """docs/install.md, on a directory that stands for the system."""

    def test_user_units_and_settings_come_to_their_places(self, tmp_path: Path) -> None:
        for name in ("etc/systemd/system", "usr/local/sbin"):
            (tmp_path / name).mkdir(parents=True)
        typed = lines("(cp deploy|systemd-sysusers|install )", INSTALL)
        assert len(typed) == 6
        for line in typed:
            if line == "systemd-sysusers":
                if find_program(line):
                    sh(f"{line} --root={tmp_path}", {}, BASE_DIR)
                    assert re.search("^mtastsweb:", (tmp_path / "etc/passwd").read_text())
                continue
            line = re.sub(r" /(etc|usr)/", rf" {tmp_path}/\1/", line)
            sh(line.replace("-g mtastsweb", f"-g {os.getgid()}"), {}, BASE_DIR)
        assert (tmp_path / "etc/mtastsweb/environment").stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "etc/mtastsweb").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / "usr/local/sbin/mtastsweb").stat().st_mode & 0o777 == 0o755
        units = {path.name for path in (tmp_path / "etc/systemd/system").iterdir()}
        assert units == {
            path.name
            for path in (BASE_DIR / "deploy/systemd").iterdir()
            if path.suffix in (".service", ".socket")
        }

    @needs_program("openssl", apt="openssl")
    def test_the_containers_secrets_are_made_for_their_owner_alone(self, tmp_path: Path) -> None:
        there = tmp_path / "deploy" / "container"
        shutil.copytree(BASE_DIR / "deploy/container", there)
        typed = lines("(cd deploy/container|umask|openssl|printf)", INSTALL)
        sh("\n".join(typed), {}, tmp_path)
        url = (there / "database-url").read_text()
        assert values.database_url(url) == url
        assert (there / "database-password").read_text().strip() in url
        assert len((there / "secret-key").read_text().strip()) == 96
        for name in ("database-url", "database-password", "secret-key"):
            assert (there / name).stat().st_mode & 0o077 == 0


class TestNightlyBackup:
    """The crontab's lines: each backs up the data of the installation that it is for."""

    LINES = lines(r"30 3 \* \* \* ")

    def command(self, line: str) -> str:
        """What cron gives to the shell: an unquoted % would end it."""
        command = " ".join(line.split(" ")[5:])
        assert re.findall(r"%", command) == ["%"]
        assert "\\%" in command
        return command.replace("\\%", "%")

    def test_in_a_checkout(self, tmp_path: Path) -> None:
        (line,) = (line for line in self.LINES if "cd ~" in line)
        environ = environment(tmp_path / "data", free_port())
        manage(["migrate", "--verbosity", "0"], environ)
        (tmp_path / "mtastsweb").symlink_to(BASE_DIR)
        command = moved(self.command(line), {".venv/bin/python": sys.executable})
        for _ in range(2):  # a week later the file is there already
            sh(command, environ | {"HOME": str(tmp_path)}, tmp_path)
        (saved,) = tmp_path.glob("mtastsweb-???.sqlite3")
        assert manage_restores(saved, environ)

    def test_with_systemd(self, tmp_path: Path) -> None:
        (line,) = (line for line in self.LINES if "cd ~" not in line)
        user, _, command = self.command(line).partition(" ")
        assert user == "root"  # who alone may ask systemd
        program = command.split(" ")[0]
        assert lines(rf"install -m 0755 deploy/systemd/\S+ {program}$", INSTALL)
        (made,) = lines("install -d", BASE_DIR / "docs" / "backup.md")
        place = made.split(" ")[-1]
        me = moved(made, {"-o mtastsweb -g mtastsweb": f"-o {os.getuid()} -g {os.getgid()}"})
        sh(moved(me, {place: tmp_path / "saved"}), {}, tmp_path)
        environ = environment(tmp_path / "data", free_port())
        manage(["migrate", "--verbosity", "0"], environ)
        # tests/deploy/test_systemd.py has the script; here it is what the script runs.
        own = {program: f"{sys.executable} {BASE_DIR / 'manage.py'}", place: tmp_path / "saved"}
        for _ in range(2):
            sh(moved(command, own), environ, tmp_path)
        (saved,) = (tmp_path / "saved").glob("???.sqlite3")
        assert manage_restores(saved, environ)


def manage_restores(saved: Path, environ: Mapping[str, str]) -> bool:
    return "0 policies" in manage(["restore", str(saved), "--yes"], environ)
