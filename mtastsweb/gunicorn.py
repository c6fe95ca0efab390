"""gunicorn's settings, named as gunicorn names them."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

import django
from django.conf import settings

from mtastsweb import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mtastsweb.settings")

wsgi_app = "mtastsweb.wsgi"
bind = str(settings.MTASTS.web_listen)
worker_class = "gthread"
workers = 2
threads = 8
timeout = 60  # seconds without a sign of life
graceful_timeout = 8  # seconds; the supervisor kills after ten
logconfig_dict = logs.configuration(settings.MTASTS.log_format)
# Nobody's X-Forwarded-… is believed here; Django believes the proxy's, with WEB_HTTPS=1 alone.
forwarded_allow_ips = ""
control_socket_disable = True  # else a socket in the home directory takes commands


def on_starting(_arbiter: Any) -> None:
    """Before the workers are forked: they have the code in common, and none of them serves a
    database that is another program's."""
    django.setup()
    from django.db import connections

    from policies import occupancy, schema

    try:
        occupancy.share()
        schema.check()
    except (occupancy.Occupied, schema.WrongSchema) as error:
        sys.exit(str(error))
    finally:
        connections.close_all()
    gc.freeze()  # else looking for garbage copies what the workers have in common


def post_fork(_arbiter: Any, _worker: Any) -> None:
    """In each worker, before it loads the application."""
    from policies import metrics

    metrics.share("web", settings.MTASTS.data_dir)


def post_worker_init(_worker: Any) -> None:
    """In each worker, once it has loaded the application: whoever serves gives signs of life."""
    from policies import heartbeats

    heartbeats.Pulse("web").start()
