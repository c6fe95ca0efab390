"""A container engine with a store and a network of its own, which leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import resource
import shlex
import subprocess
from pathlib import Path
from types import TracebackType

from tests.postfix.bare import how_pip_gets_packages
from tests.socketmap.server.running import wait_until

# Where both kinds of control groups are mounted, crun runs nothing. Ports are those of `lo` here.
_PREPARE = """
if grep -q " /sys/fs/cgroup/unified " /proc/mounts; then umount /sys/fs/cgroup/unified; fi
ip link set lo up
: > "$1"
exec sleep infinity
"""
_CONFIGURATION = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "{directory}/tmp"
[network]
network_backend = "netavark"
network_config_dir = "{directory}/networks"
"""
_STORAGE = """
[storage]
driver = "overlay"
graphroot = "{directory}/store"
runroot = "{directory}/run"
"""


class Engine:
    """podman, from the beginning of the context to its end; all that it runs ends with that.

    Its files are in `directory`. Published ports are seen by commands typed here, and nobody else.
    Needs root, but neither an init nor control groups.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
        for name, text in (("containers", _CONFIGURATION), ("storage", _STORAGE)):
            (directory / f"{name}.conf").write_text(
                text.format(directory=directory, files=files, processes=processes)
            )
        (directory / "networks").mkdir()
        self._environ = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(directory),
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }  # fmt: skip

    def run(
        self, command: str, cwd: Path = Path("/"), *, on_our_network: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """What a line typed into a shell does."""
        networks = [] if on_our_network else ["--net"]
        return subprocess.run(
            ["nsenter", f"--target={self._first()}", "--mount", *networks, "--pid",
             f"--wd={cwd}", "sh", "-euc", command],
            env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip

    def type(self, command: str, cwd: Path = Path("/"), *, on_our_network: bool = False) -> str:
        """What the line prints; it has to succeed."""
        done = self.run(command, cwd, on_our_network=on_our_network)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def pip(self) -> str:
        """The words that let pip within a build find packages, without a trace in the image."""
        environ, files, directories = how_pip_gets_packages()
        lines = (
            f"{name.removeprefix('PIP_').lower().replace('_', '-')} = {value}\n"
            for name, value in environ.items()
        )
        configuration = self.directory / "pip.conf"
        configuration.write_text(f"[global]\n{''.join(lines)}")
        volumes = {str(configuration): "/etc/pip.conf"}
        volumes |= {str(file): f"/srv/{file.name}" for file in files}
        volumes |= {name: name for name in directories}
        return " ".join(
            shlex.quote(f"--volume={outside}:{inside}:ro") for outside, inside in volumes.items()
        )

    def __enter__(self) -> Engine:
        ready = self.directory / "ready"
        self._popen = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
             "sh", "-euc", _PREPARE, "sh", str(ready)],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(ready.exists, 30)
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
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(self._first(), 9)
        self._popen.wait(60)

    def _first(self) -> int:
        """The process that holds the namespaces."""
        children = Path(f"/proc/{self._popen.pid}/task/{self._popen.pid}/children").read_text()
        return int(children.split()[0])
