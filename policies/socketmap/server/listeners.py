"""The sockets on which Postfix asks: our own, or those that systemd hands over."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable, MutableMapping
from pathlib import Path

from mtastsweb.values import Address, UnixSocket

BACKLOG = 1024
FIRST_HANDED_OVER = 3
"""sd_listen_fds(3): the first of the sockets that systemd hands over."""

UNIX_MODE = 0o666
"""Everybody may ask: policies are public, and Postfix runs as a user of its own."""

_MISSING_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_REFUSED = {errno.ECONNREFUSED, errno.ENOENT}


class CannotListen(OSError):
    """An address is in use or not ours; the message names it."""


class Listeners:
    """Sockets that listen. `files`: of the unix sockets that are our own."""

    def __init__(self, sockets: Iterable[socket.socket], files: Iterable[Path] = ()) -> None:
        self.sockets = list(sockets)
        self._files = [(path, _inode(path)) for path in files]

    def remove_files(self) -> None:
        """Take away what is still ours: another server may have put its own there since."""
        for path, inode in self._files:
            if _inode(path) == inode:
                path.unlink(missing_ok=True)


def handed_over(environ: MutableMapping[str, str]) -> Listeners | None:
    """The sockets of a systemd socket unit; None where there are none for this process.

    Takes the variables away, so that no child takes them for its own.
    """
    pid, number = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdecimal() or not int(number):
        return None
    sockets = [
        socket.socket(fileno=fd) for fd in range(FIRST_HANDED_OVER, FIRST_HANDED_OVER + int(number))
    ]
    for each in sockets:
        each.setblocking(False)
        each.set_inheritable(False)
    return Listeners(sockets)


def listen(addresses: Iterable[Address | UnixSocket]) -> Listeners:
    """Sockets of our own. Raises CannotListen."""
    sockets: list[socket.socket] = []
    files: list[Path] = []
    for address in addresses:
        try:
            if isinstance(address, UnixSocket):
                sockets.append(_listen_unix(address.path))
                files.append(address.path)
            else:
                sockets.extend(_listen_tcp(address))
        except OSError as error:
            raise CannotListen(f"cannot listen on {address}: {error}") from error
    return Listeners(sockets, files)


def _listen_tcp(address: Address) -> list[socket.socket]:
    """One for each address that the host has; "localhost" is two, where there is IPv6."""
    found = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listening: list[socket.socket] = []
    failure: OSError | None = None
    for family, _, _, _, bound in dict.fromkeys(found):
        try:
            listening.append(_bound_tcp(family, bound))
        except OSError as error:
            failure = error
            if error.errno not in _MISSING_HERE:
                break
    if failure is not None and (not listening or failure.errno not in _MISSING_HERE):
        for sock in listening:
            sock.close()
        raise failure
    return listening


def _bound_tcp(family: int, bound: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Several processes may share the port, and the next may start before this one ends.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(bound)
    except OSError:
        sock.close()
        raise
    return _listening(sock)


def _listen_unix(path: Path) -> socket.socket:
    """In place of a file that a dead server left behind, never of a living one's."""
    if _inode(path) is not None and _is_dead(path):
        path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        path.chmod(UNIX_MODE)
    except OSError:
        sock.close()
        raise
    return _listening(sock)


def _listening(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.listen(BACKLOG)
    return sock


def _is_dead(path: Path) -> bool:
    """Whether it is a socket that nobody listens on."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        return stat.S_ISSOCK(path.lstat().st_mode) and client.connect_ex(str(path)) in _REFUSED


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None
