"""`manage.py metrics`: what `/metrics` says, for machines without the web (docs/metrics.md)."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.wsgi import get_wsgi_application
from django.utils import timezone

from policies import scrape

PROBES = "mtastsweb.probes"
PATIENCE = 10.0
"""Seconds for which a client may keep a connection without saying anything."""


class Command(BaseCommand):
    help = "Prints this machine's metrics; with --serve, has METRICS_LISTEN tell them."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--serve",
            action="store_true",
            help="answer /metrics, /readyz and /healthz on METRICS_LISTEN until Ctrl-C or SIGTERM",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["serve"]:
            _serve()
        else:
            text, _media_type = scrape.exposition("", timezone.now())
            self.stdout.write(text.decode(), ending="")


def _serve() -> None:
    """Returns after SIGTERM or SIGINT. Raises CommandError."""
    settings.ROOT_URLCONF = PROBES
    listen = settings.MTASTS.metrics_listen
    _Server.address_family = _family(listen.host)
    try:
        server = make_server(listen.host, listen.port, get_wsgi_application(), _Server, _Handler)
    except OSError as error:
        raise CommandError(f"Cannot listen on METRICS_LISTEN={listen}: {error}") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not in this thread, which runs the loop that is to end.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    sys.stderr.write(f"Metrics: http://{listen}/metrics\n")
    with server:
        server.serve_forever()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = PATIENCE

    def log_message(self, *_: Any) -> None:
        """A scrape each few seconds is nothing to tell."""

    def address_string(self) -> str:
        return str(self.client_address[0])
