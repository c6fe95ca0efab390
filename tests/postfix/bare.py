"""A bare Debian 12 in a directory: a machine as a newcomer finds it, without its own kernel."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

from tests.needs import find_program

SUITE = "bookworm"
USER = "newcomer"
HOME = f"/home/{USER}"

# Whatever is mounted goes with the process.
_ENTER = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc")
_PREPARE = """
root=$1; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
for path; do
    mkdir -p "$root$path"
    mount --rbind "$path" "$root$path"
done
exec chroot "$root" sleep infinity
"""


class Bare:
    """A machine with Debian's base system and nothing else; commands run in it by name.

    Lives in `directory` from the beginning of the context to its end, on this machine's network.
    It gets packages by the way that this machine does. Needs root, and an archive of Debian.
    `pip`: the environment by which pip finds packages there, some of them in `directories`.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory / "machine"
        self.pip, self._files, self.directories = how_pip_gets_packages()

    def run(
        self, command: str, *, user: str = "root", text: str = "", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """What a line typed into a shell there does."""
        return subprocess.run(
            self._inside(command, user, environ),
            input=text, capture_output=True, text=True, timeout=600,
        )  # fmt: skip

    def type(self, command: str, *, user: str = "root", **environ: str) -> str:
        """What the line prints; it has to succeed."""
        done = self.run(command, user=user, **environ)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def start(self, command: str, *, user: str, **environ: str) -> subprocess.Popen[str]:
        """The line as a process; its standard output is read by the caller."""
        return subprocess.Popen(
            self._inside(command, user, environ), stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Bare:
        _unpack(self.root)
        # How names are found, as on this machine.
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        for file in self._files:
            shutil.copy(file, self.root / "srv")
        self._process = subprocess.Popen(
            [*_ENTER, _PREPARE, "sh", str(self.root), *self.directories], stdin=subprocess.DEVNULL
        )
        try:
            self.type("apt-get update")
            self.type(f"useradd --create-home --shell /bin/sh {USER}")
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        """Kill the first process of the namespace, without which no other lives."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._first(), 9)
        self._process.wait(60)

    def _first(self) -> int:
        """The process that holds the namespaces, once it has prepared them."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        while self._process.poll() is None:
            for child in map(int, children.read_text().split()):
                if Path(f"/proc/{child}/root").readlink() == self.root:
                    return child
        raise ProcessLookupError(f"{self.root} ended at once")

    def _inside(self, command: str, user: str, environ: Mapping[str, str]) -> Sequence[str]:
        home = "/root" if user == "root" else HOME
        fields = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": home,
            "DEBIAN_FRONTEND": "noninteractive", **self.pip, **environ,
        }  # fmt: skip
        return [
            "nsenter", "--target", str(self._first()), "--mount", "--pid",
            "chroot", f"--userspec={user}", str(self.root), "env", "-i",
            *(f"{name}={value}" for name, value in fields.items()),
            "sh", "-c", command,
        ]  # fmt: skip


def _unpack(root: Path) -> None:
    command = [str(find_program("debootstrap")), "--variant=minbase", SUITE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        last = done.stdout.strip().rpartition("\n")[2]
        pytest.skip(f"debootstrap {SUITE}: {last}; it needs an archive of Debian")
    # Nobody is there to answer, and nothing starts by itself where no init runs.
    (root / "etc/apt/apt.conf.d/90yes").write_text('APT::Get::Assume-Yes "true";\n')
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def how_pip_gets_packages() -> tuple[dict[str, str], list[Path], list[str]]:
    """By which pip finds packages on this machine: the environment for it, files that have to be in
    /srv for that, and directories at their own places."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    environ = {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2].upper().replace("-", "_")
        environ.setdefault(f"PIP_{key}", " ".join(shlex.split(value.replace("\\n", " "))))
    words = {word for value in environ.values() for word in value.split() if _path(word).exists()}
    files = {word for word in words if _path(word).is_file()}
    for name, value in environ.items():
        environ[name] = " ".join(
            f"/srv/{_path(word).name}" if word in files else word for word in value.split()
        )
    directories = {_path(word) for word in words - files}
    # What an index of packages names lies beside it.
    whole = {each.parent if each.name == "simple" else each for each in directories}
    return environ, sorted(map(_path, files)), sorted(map(str, whole))


def _path(word: str) -> Path:
    """What a word of pip's configuration names; nothing, for what is no path."""
    path = word.removeprefix("file://")
    return Path(path if path.startswith("/") else "/nonexistent")
