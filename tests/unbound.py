"""unbound, a resolver as it stands in front of real mail servers."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.needs import find_program

READY = "start of service"


@contextlib.contextmanager
def unbound(
    directory: Path, upstream: str, *, anchor: str = "", at: tuple[str, int] | None = None
) -> Iterator[str]:
    """A resolver on loopback; yields "address:port".

    `upstream`: the nameserver that it asks. `anchor`: the DS record that it trusts; without one
    it proves nothing. Names under "unsigned.test" are taken for unsigned. `at`: address and port.
    """
    address, port = at or ("127.0.0.1", _free_port())
    config = directory / "unbound.conf"
    config.write_text(
        f"""
        server:
            interface: {address}@{port}
            access-control: 127.0.0.0/8 allow
            chroot: ""
            username: ""
            directory: "{directory}"
            pidfile: ""
            use-syslog: no
            logfile: ""
            verbosity: 1
            module-config: "validator iterator"
            do-not-query-localhost: no
            do-ip6: no
            num-threads: 1
            {f'trust-anchor: "{anchor}"' if anchor else ""}
            domain-insecure: "unsigned.test"
            local-zone: "test." nodefault
            ede: yes
        remote-control:
            control-enable: no
        forward-zone:
            name: "."
            forward-addr: {upstream.replace(":", "@")}
        """
    )
    command = [str(find_program("unbound")), "-d", "-p", "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if READY in line:
                    break
            else:
                raise AssertionError(f"unbound did not start: {''.join(said)}")
            yield f"{address}:{port}"
        finally:
            process.terminate()
            process.communicate()


def _free_port() -> int:
    """A port of 127.0.0.1 that was free for UDP and TCP a moment ago."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        return int(tcp.getsockname()[1])
