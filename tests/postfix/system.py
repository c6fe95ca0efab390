"""A Postfix of the test's own: its queue, its configuration, its resolver, its process tree."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tests.postfix.output import Output

INSIDE = "/srv"
"""Where Postfix finds the test's directory, in a mount namespace of its own."""

# Only what a mail needs on its way from sendmail(1) to another host.
_MASTER_CF = """
postlog   unix-dgram n - n - 1 postlogd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
smtp      unix  - - n - - smtp
retry     unix  - - n - - error
error     unix  - - n - - error
proxymap  unix  - - n - - proxymap
discard   unix  - - n - - discard
"""

# The namespaces vanish with the process, and what is mounted in them too.
_ENTER = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc")
_PREPARE = """
directory=$1 root=$2; shift 2
mount --bind "$directory" "$root/srv"
mount --bind "$directory/resolv.conf" "$root/etc/resolv.conf"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"
"""


class Postfix:
    """Postfix in foreground, from `root`, an unpacked Debian system (by default this one).

    `nameserver`: the address of the resolver it uses, on port 53. `parameters`: more of main.cf.
    What the directory holds Postfix sees under `/srv`. It listens nowhere, and runs from the
    beginning of the context to its end. Needs root.
    """

    def __init__(
        self,
        directory: Path,
        *,
        nameserver: str,
        parameters: Mapping[str, str],
        root: Path = Path("/"),
    ) -> None:
        self._directory = directory
        self._root = root
        for name in ("etc", "queue", "lib"):
            (directory / name).mkdir()
        # Postfix's processes give up root, and then still have to come in here.
        directory.chmod(0o755)
        (directory / "resolv.conf").write_text(f"nameserver {nameserver}\n")
        (directory / "etc/master.cf").write_text(_MASTER_CF)
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": f"{INSIDE}/queue",
            "data_directory": f"{INSIDE}/lib",
            "maillog_file": "/dev/stdout",
            "myhostname": "sender.test",
            "mydestination": "",
            "inet_interfaces": "127.0.0.1",
            "inet_protocols": "ipv4",
            "alias_maps": "",
            "alias_database": "",
            "local_recipient_maps": "",
            "notify_classes": "",
            "smtp_tls_loglevel": "1",
            **parameters,
        }
        lines = (f"{name} = {value}\n" for name, value in settings.items())
        (directory / "etc/main.cf").write_text("".join(lines))

    @property
    def version(self) -> str:
        return self.run("postconf", "-d", "-h", "mail_version").stdout.strip()

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command where Postfix runs, with `text` on its standard input."""
        return subprocess.run(
            self._inside(*command), input=text, capture_output=True, text=True, timeout=60
        )

    def postmap(self, key: str, table: str) -> subprocess.CompletedProcess[str]:
        """`postmap -q`: exit status 0 with the value, or 1 where there is none, or a warning."""
        return self.run("postmap", "-c", f"{INSIDE}/etc", "-q", key, table)

    def send(self, recipient: str) -> str:
        """Sends a mail there; the log line that says what came of it, deferred or sent."""
        sendmail = ("sendmail", "-C", f"{INSIDE}/etc", "-f", "sender@sender.test", recipient)
        sent = self.run(*sendmail, text="Subject: test\n\ntest\n")
        assert sent.returncode == 0, sent.stderr
        return self.log.wait_for(rf"to=<{recipient}>,.* status=", timeout=60)

    def __enter__(self) -> Postfix:
        owner = self.run("chown", "postfix", f"{INSIDE}/lib")
        assert owner.returncode == 0, owner.stderr
        self._process = subprocess.Popen(
            self._inside("postfix", "-c", f"{INSIDE}/etc", "start-fg"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        self.log = Output(self._process.stdout)
        try:
            self.log.wait_for("daemon started")
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
        for child in self._children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        self.log.close()

    def _children(self) -> list[int]:
        """The first process of the namespace, without which the others cannot live.

        `--kill-child` does not reach it: the master has changed its user for a moment, and that
        makes the kernel forget.
        """
        pid = self._process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def _inside(self, *command: str) -> list[str]:
        return [*_ENTER, _PREPARE, "sh", str(self._directory), str(self._root), *command]
