"""Sockets of our own, and those that systemd hands over."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from mtastsweb.values import Address, UnixSocket
from policies.socketmap.server.listeners import CannotListen, Listeners, handed_over, listen


@pytest.fixture
def opened() -> ExitStack:
    with ExitStack() as stack:
        yield stack


def _listen(opened: ExitStack, *addresses: Address | UnixSocket) -> Listeners:
    listeners = listen(addresses)
    for sock in listeners.sockets:
        opened.enter_context(sock)
    return listeners


def _is_reachable(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def test_several_addresses_of_several_kinds(opened: ExitStack, tmp_path: Path) -> None:
    path = UnixSocket(tmp_path / "s")
    listeners = _listen(opened, Address("127.0.0.1", 0), path, Address("127.0.0.1", 0))
    assert [sock.family for sock in listeners.sockets] == [
        socket.AF_INET, socket.AF_UNIX, socket.AF_INET,
    ]  # fmt: skip


def test_two_processes_may_share_a_port(opened: ExitStack) -> None:
    first = _listen(opened, Address("127.0.0.1", 0))
    port = first.sockets[0].getsockname()[1]
    assert _listen(opened, Address("127.0.0.1", port)).sockets


def test_a_port_of_somebody_elses_is_refused_with_its_name(opened: ExitStack) -> None:
    theirs = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = theirs.getsockname()[1]
    with pytest.raises(CannotListen, match=f"127.0.0.1:{port}"):
        listen([Address("127.0.0.1", port)])


def test_everybody_may_ask_on_a_unix_socket_and_its_file_goes_with_it(
    opened: ExitStack, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    listeners = _listen(opened, UnixSocket(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    listeners.remove_files()
    assert not path.exists()


def test_the_file_of_a_dead_server_is_replaced(opened: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "s"
    for sock in listen([UnixSocket(path)]).sockets:
        sock.close()
    assert not _is_reachable(path)
    _listen(opened, UnixSocket(path))
    assert _is_reachable(path)


def test_the_socket_of_a_living_server_is_left_to_it(opened: ExitStack, tmp_path: Path) -> None:
    path = tmp_path / "s"
    _listen(opened, UnixSocket(path))
    with pytest.raises(CannotListen):
        listen([UnixSocket(path)])
    assert _is_reachable(path)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(CannotListen):
        listen([UnixSocket(path)])
    assert path.read_text() == "precious"


def test_the_file_that_another_server_has_put_there_since_is_left_alone(
    opened: ExitStack, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    first = _listen(opened, UnixSocket(path))
    path.rename(tmp_path / "moved")
    _listen(opened, UnixSocket(path))
    first.remove_files()
    assert _is_reachable(path)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
    ],
)
def test_sockets_for_another_process_are_not_taken(environ: dict[str, str]) -> None:
    assert handed_over(environ) is None
    assert not environ
