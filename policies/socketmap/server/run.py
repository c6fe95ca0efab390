"""`manage.py socketmap`, from its settings to its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys

from mtastsweb.environment import Environment
from mtastsweb.values import Address
from policies import metrics, world
from policies.socketmap.server.dnssec import make_dane, tell_of_validation
from policies.socketmap.server.listeners import Listeners, handed_over, listen
from policies.socketmap.server.server import Limits, Server, make_pool

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds for which another thread may keep the event loop waiting for the interpreter."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's; asyncio's where there is none for this platform: slower, and otherwise the same."""
    try:
        from uvloop import new_event_loop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return new_event_loop()


def run(environment: Environment) -> None:
    """Answer until SIGTERM or SIGINT. Raises CannotListen."""
    metrics.share("socketmap", environment.data_dir)
    listeners = handed_over(os.environ) or listen(environment.socketmap_listen)
    sys.setswitchinterval(SWITCH_INTERVAL)
    # What was imported stays; looking through it again and again would make answers late.
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(environment, listeners))
    finally:
        listeners.remove_files()


async def _serve(environment: Environment, listeners: Listeners) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    limits = Limits(cache=environment.socketmap_cache, per_address=environment.max_per_address)
    pool = make_pool(limits)
    outside = world.limited(pool.at_address)
    dane = make_dane(environment)
    server = Server(limits, pool, outside, environment.socketmap_on_dns_error, dane)
    await server.start(listeners.sockets)
    log.info("socketmap answers", extra={"on": ", ".join(map(_name, listeners.sockets))})
    tell_of_validation(environment, server.status)
    await stop.wait()
    log.info("socketmap stops")
    await server.stop()


def _name(sock: socket.socket) -> str:
    bound = sock.getsockname()
    return f"unix:{bound}" if isinstance(bound, str) else str(Address(bound[0], bound[1]))
