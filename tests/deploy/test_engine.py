"""The image is built by an engine, and both compose files are run, by the lines that the docs show.

The base image is a Debian 12 here, under its name, and so is PostgreSQL's: no registry of images is
asked. The engine is podman, with podman-compose, which takes the words of `docker compose`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtastsweb.environment import BASE_DIR
from tests.deploy.engine import Engine
from tests.docs.shown import shown, spans
from tests.needs import find_program, needs_program, needs_root
from tests.socketmap.server.running import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("image"),
    needs_root(),
    needs_program("git", apt="git"),
    needs_program("debootstrap", apt="debootstrap"),
    needs_program("podman", apt="podman"),
    needs_program("podman-compose", apt="podman-compose"),
    needs_program("buildah", apt="buildah"),
    needs_program("catatonit", apt="catatonit"),
    needs_program("crun", apt="crun"),
    needs_program("iptables", apt="iptables netavark aardvark-dns"),
]

BASE = "docker.io/library/python:3.11-slim-bookworm"
DATABASE = "docker.io/library/postgres:17"
INCLUDED = "ca-certificates,postgresql,python-is-python3,python3-venv"

# What compose.postgresql.yaml relies on of PostgreSQL's image.
DATABASE_ENTRY = """#!/bin/sh
set -eu
data=/var/lib/postgresql/data
if [ ! -s $data/PG_VERSION ]; then
    install --owner=postgres "$POSTGRES_PASSWORD_FILE" /tmp/password
    chown postgres $data
    runuser -u postgres -- initdb --pgdata=$data --username="$POSTGRES_USER" \\
        --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
    runuser -u postgres -- pg_ctl --pgdata=$data --wait --options="-c listen_addresses=" start
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    runuser -u postgres -- pg_ctl --pgdata=$data --wait stop
fi
exec runuser -u postgres -- postgres -D $data -c "listen_addresses=*"
"""
UP = 60.0
"""Seconds."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git knows of, as it is in the working tree."""
    checkout = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=BASE_DIR, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes((BASE_DIR / name).read_bytes())
    return checkout


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Iterator[Engine]:
    """With the image, built by the line at the head of the Containerfile."""
    directory = tmp_path_factory.mktemp("engine")
    root = directory / "base"
    done = subprocess.run(
        [str(find_program("debootstrap")), "--variant=minbase", f"--include={INCLUDED}",
         "bookworm", str(root)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    if done.returncode != 0:
        last = done.stdout.strip().rpartition("\n")[2]
        pytest.skip(f"debootstrap bookworm: {last}; it needs an archive of Debian")
    containerfile = (checkout / "deploy/container/Containerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", containerfile, re.MULTILINE)) == {BASE}
    with Engine(directory) as engine:
        engine.type(f"tar -C {root} -c . | podman import --quiet - {BASE}")
        (root / "entry").write_text(DATABASE_ENTRY)
        (root / "entry").chmod(0o755)
        (programs,) = (root / "usr/lib/postgresql").glob("*/bin")
        path = f"ENV PATH=/{programs.relative_to(root)}:/usr/sbin:/usr/bin:/sbin:/bin"
        engine.type(
            f"tar -C {root} -c . | podman import --quiet --change '{path}'"
            f" --change 'ENTRYPOINT [\"/entry\"]' - {DATABASE}"
        )
        here = "--format docker --pull=never --isolation chroot --network host"
        build = containerfile.partition("\n")[0].removeprefix("# ")
        assert build.startswith("podman build ")
        build = build.replace("build", f"build {here} {engine.pip()}", 1)
        engine.type(build, checkout, on_our_network=True)  # where pip finds packages
        yield engine


def lines(beginning: str) -> list[str]:
    """Those of the documentation that begin so, as podman-compose takes them."""
    found = [each.text for each in shown() if re.match(beginning, each.text)]
    assert found, beginning
    return [each.replace("docker compose", "podman-compose", 1) for each in found]


def answers(engine: Engine, address: str) -> bool:
    asked = f"import urllib.request as u; print(u.urlopen('{address}', timeout=5).status)"
    return engine.run(f'{sys.executable} -c "{asked}"').stdout == "200\n"


def wait_until_ready(engine: Engine) -> None:
    """Quotes what the containers said where that does not come."""
    try:
        wait_until(lambda: answers(engine, "http://127.0.0.1:8000/readyz"), UP)
    except TimeoutError as error:
        said = engine.run(
            "podman ps --all; for each in $(podman ps --all --quiet); do podman logs $each; done"
        )
        raise AssertionError(said.stdout + said.stderr) from error


def link_in(text: str) -> str:
    found = re.search(r"http://localhost:8000/setup/\S+", text)
    assert found is not None, text
    return found[0]


def test_what_compose_starts_is_healthy_can_be_logged_in_to_and_stops(
    engine: Engine, checkout: Path
) -> None:
    (up,) = (line for line in lines("docker compose .* up ") if "/compose.yaml " in line)
    compose = up.partition(" up ")[0]
    engine.type(up, checkout)
    try:
        wait_until(lambda: answers(engine, "http://127.0.0.1:8000/healthz"), UP)
        wait_until_ready(engine)
        assert answers(engine, link_in(engine.type(f"{compose} logs mtastsweb", checkout)))
        (name,) = engine.type("podman ps --filter name=mtastsweb_1 --format {{.Names}}").split()
        engine.type(f"podman healthcheck run {name}")
        told = engine.type(f"{compose} exec -T mtastsweb stat -c %a:%u:%g /data", checkout)
        assert "700:8461:8461" in told
        refused = engine.run(f"podman exec {name} touch /opt/mtastsweb/written")
        assert "Read-only file system" in refused.stderr
        caps = engine.type(f"podman exec {name} grep CapEff /proc/1/status")
        assert caps.split() == ["CapEff:", "0" * 16]
        for line in lines("docker compose .* exec "):
            told = engine.type(line.replace(" exec mtasts", " exec -T mtasts"), checkout)
            assert "/data/backup.sqlite3: " in told or answers(engine, link_in(told))
        (copy,) = lines("docker compose .* cp ")  # which this podman-compose does not have
        source, target = copy.split()[-2:]
        saved = engine.directory / Path(target).name
        engine.type(f"podman cp {source.replace('mtastsweb', name, 1)} {saved}")
        assert saved.read_bytes().startswith(b"SQLite format 3")
        engine.type(f"podman stop --time 90 {name}")
        assert engine.type(f"podman inspect {name} --format {{{{.State.ExitCode}}}}") == "0\n"
        assert not answers(engine, "http://127.0.0.1:8000/healthz")
    finally:
        engine.type(f"{compose} down", checkout)
    assert engine.type("podman ps --all --quiet") == ""


def test_compose_runs_it_on_postgresql(engine: Engine, checkout: Path) -> None:
    (up,) = (line for line in lines("docker compose .* up ") if "postgresql.yaml " in line)
    secrets = [
        each.text
        for each in shown()
        if re.match("cd deploy/container|umask|openssl|printf 'postgres:", each.text)
    ]
    (owner,) = (each.text for each in spans() if each.text.startswith("chown 8461 "))
    engine.type("\n".join([*secrets, owner, up]), checkout)
    there, compose = checkout / "deploy/container", up.partition(" up ")[0]
    try:
        wait_until_ready(engine)
        assert answers(engine, link_in(engine.type(f"{compose} logs mtastsweb", there)))
        (database,) = engine.type("podman ps --filter name=postgresql --format {{.Names}}").split()
        engine.type(f"podman healthcheck run {database}")
        asked = (
            "psql --username=mtastsweb --tuples-only --command='SELECT name FROM policies_lease'"
        )
        assert engine.type(f"podman exec {database} {asked}").strip()
    finally:
        engine.type(f"{compose} down", there)
    assert engine.type("podman ps --all --quiet") == ""
