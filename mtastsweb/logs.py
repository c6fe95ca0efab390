"""Log lines: `time=… level=… logger=… msg=… key=value …`, one line each, on standard error.

Code logs an event's words as the message and its facts as `extra`:
`logger.info("policy fetched", extra={"domain": domain})` ends in `msg="policy fetched"
domain=example.org`.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Django puts these on its records: objects, or what the message says already.
_LEFT_OUT = _OWN_ATTRIBUTES | {"request", "server_time", "status_code", "sql", "params"}
# Whoever has the link makes the first login; Django logs the addresses of what it refuses.
_SETUP_TOKEN = re.compile(r"/setup/[^/\s\"]+")


class KeyValueFormatter(logging.Formatter):
    """Quotes like JSON whatever is not plain, so that no text from outside can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        facts |= {key: value for key, value in vars(record).items() if key not in _LEFT_OUT}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        line = " ".join(f"{key}={_quoted(str(value))}" for key, value in facts.items())
        return _SETUP_TOKEN.sub("/setup/…", line)


def _quoted(value: str) -> str:
    plain = value.isascii() and value.isprintable() and not set(value) & set(' ="\\')
    return value if plain and value else json.dumps(value)


def configuration() -> dict[str, Any]:
    """A `logging.config.dictConfig` for Django and for gunicorn."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"key-value": {"()": "mtastsweb.logs.KeyValueFormatter"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "key-value",
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            # Django hangs handlers of its own on these two; one line on stderr is enough.
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.server": {"level": "INFO", "handlers": [], "propagate": True},
            "axes.apps": {"level": "WARNING"},  # else a greeting before every command
            "gunicorn.error": {"handlers": [], "propagate": True},
        },
    }
