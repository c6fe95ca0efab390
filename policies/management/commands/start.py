"""`manage.py start`: the whole product in the foreground."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from policies import occupancy, queue, schema, setup
from policies.supervisor.product import child_environ, children, is_reachable, load
from policies.supervisor.supervisor import AlreadyRunning, Supervisor, exclusive


class Command(BaseCommand):
    help = "Runs web, worker and socketmap until Ctrl-C or SIGTERM, and restarts what dies."
    requires_system_checks: list[str] = []  # they load all pages, to stay in memory

    def handle(self, *args: Any, **options: Any) -> None:
        occupancy.share()
        schema.check()
        environment = settings.MTASTS
        supervisor = Supervisor(
            children(environment),
            environment.data_dir / "run",
            child_environ(environment),
            on_up=self._say_what_is_up,
        )
        try:
            with exclusive(environment.data_dir / "run"):
                if is_reachable(environment.web_listen):
                    raise CommandError(f"{environment.web_listen} is in use: see WEB_LISTEN.")
                load()
                connections.close_all()  # none is to be had in common
                supervisor.run()
        except AlreadyRunning as error:
            raise CommandError(f"Already running on {environment.data_dir} ({error}).") from error

    def _say_what_is_up(self) -> None:
        listens = ", ".join(map(str, settings.MTASTS.socketmap_listen))
        self.stdout.write(f"Web: http://{settings.MTASTS.web_listen}")
        self.stdout.write(f"Socketmap: {listens}")
        if setup.is_open():
            self.stdout.write(f"First login: {setup.make_link()}")
        queue.put_tick()
        connections.close_all()  # what is forked later makes its own
        self.stdout.flush()
