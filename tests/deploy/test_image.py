"""The Containerfile's steps on a bare Debian 12, which the image is made from, without an engine.

What its lines say is done: install, user, directories, command, health check. Layers,
`read_only` and capabilities are the engine's, and not tried here.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from mtastsweb.environment import BASE_DIR
from tests.needs import needs_program, needs_root
from tests.postfix.bare import Bare
from tests.socketmap.server.process import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("image"),
    needs_root(),
    needs_program("git", apt="git"),
    needs_program("debootstrap", apt="debootstrap"),
]

CONTAINERFILE = BASE_DIR / "deploy" / "container" / "Containerfile"
LINES = re.sub(
    r"\\\n\s*", " ", re.sub(r"^#.*\n", "", CONTAINERFILE.read_text(), flags=re.MULTILINE)
)


def of(instruction: str) -> list[str]:
    """What stands behind each instruction of this name, in their order."""
    return re.findall(rf"^\s*{instruction} +(.+)$", LINES, re.MULTILINE)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bare]:
    """With the Python that the image is made from, and the image's steps done."""
    directory = tmp_path_factory.mktemp("image")
    directory.chmod(0o755)
    assert of("FROM")[0].startswith("docker.io/library/python:3.11-slim-bookworm")
    with Bare(directory) as machine:
        (machine.root / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as engines do
        machine.type("apt-get install python3-venv python-is-python3 ca-certificates")
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=BASE_DIR, check=True, capture_output=True, text=True
        )
        assert of("WORKDIR")[0] == "/source"
        for name in filter(None, listed.stdout.split("\0")):
            target = machine.root / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((BASE_DIR / name).read_bytes())
        install, user = of("RUN")
        machine.type(f"cd /source && {install}")
        machine.type("rm -r /source")  # the second stage has it no more
        machine.type(user)
        yield machine


def test_what_is_built_runs_as_its_user_is_healthy_and_can_be_logged_in_to(machine: Bare) -> None:
    web, socketmap = free_port(), free_port()
    environ = dict(
        pair.split("=", 1) for pair in of("ENV")[0].replace("$PATH", "/usr/bin:/bin").split()
    )
    assert environ["WEB_LISTEN"] == "0.0.0.0:8000"
    # As both compose files have it, on ports of the test's.
    environ |= {
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "WEB_LISTEN": f"0.0.0.0:{web}",
        "SOCKETMAP_LISTEN": f"0.0.0.0:{socketmap}",
    }
    (user,) = of("USER")
    command = " ".join(f"'{word}'" for word in json.loads(of("CMD")[-1]))
    check = json.loads(re.findall(r"CMD +(\[.+\])", of("HEALTHCHECK")[0])[0])
    typed = " ".join(f'"{word}"' for word in check).replace("8000", str(web))
    workdir = of("WORKDIR")[-1]
    begun = f"cd {workdir} && echo $$ > process && exec {command}"
    with machine.start(begun, user=user, **environ) as product:
        try:
            assert product.stdout is not None
            link = ""
            for line in product.stdout:
                if line.startswith("First login: "):
                    link = line.removeprefix("First login: ").strip()
                    break
            assert link.startswith(f"http://localhost:{web}/setup/")
            opened = f"import urllib.request as u; print(u.urlopen('{link}').status)"
            assert machine.type(f'python -c "{opened}"', user=user, **environ) == "200\n"
            machine.type(typed, user=user, **environ)
            assert machine.type("stat -c %a:%u:%g /data").strip() == f"700:{user}"
        finally:
            machine.run(f"kill -{of('STOPSIGNAL')[0].removeprefix('SIG')} $(cat /data/process)")
            assert product.wait(90) == 0
    assert machine.run(typed, user=user, **environ).returncode != 0
