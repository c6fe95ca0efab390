"""Log lines: `time=… level=… logger=… msg=… key=value …`, one line each, on standard error; or
the same as JSON (LOG_FORMAT).

Code logs an event's words as the message and its facts as `extra`:
`logger.info("policy fetched", extra={"domain": domain})` ends in `msg="policy fetched"
domain=example.org`.
"""

from __future__ import annotations

import json
import logging
import math
import re
from datetime import UTC, datetime
from typing import Any

from mtastsweb import requestid
from mtastsweb.environment import LogFormat

_OWN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Django puts these on its records: objects, or what the message says already.
_LEFT_OUT = _OWN_ATTRIBUTES | {"request", "server_time", "status_code", "sql", "params"}
# Whoever has the link makes the first login; Django logs the addresses of what it refuses.
_SETUP_TOKEN = re.compile(r"/setup/[^/\s\"]+")


class _Formatter(logging.Formatter):
    """One line for each event, in a form that `line` gives it."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        facts |= {key: value for key, value in vars(record).items() if key not in _LEFT_OUT}
        if "domain" in facts:
            facts["domain"] = _a_labels(facts["domain"])
        if request_id := requestid.current():
            facts["request_id"] = request_id
        if (job := requestid.job()) is not None:
            facts.setdefault("job", job)
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return _SETUP_TOKEN.sub("/setup/…", self.line(facts))

    def line(self, facts: dict[str, Any]) -> str:
        raise NotImplementedError


class KeyValueFormatter(_Formatter):
    """Quotes like JSON whatever is not plain, so that no text from outside can forge a line."""

    def line(self, facts: dict[str, Any]) -> str:
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in facts.items())


class JSONFormatter(_Formatter):
    """An object a line, in ASCII: numbers and truths stay what they are."""

    def line(self, facts: dict[str, Any]) -> str:
        plain = {
            key: value if isinstance(value, (bool, int)) or _is_number(value) else str(value)
            for key, value in facts.items()
        }
        return json.dumps(plain)


def _a_labels(domain: object) -> object:
    """The name as DNS has it, whichever way rows have it; as it is where it is no domain name."""
    if not isinstance(domain, str) or domain.isascii():
        return domain
    from policies.mtasts import DomainNameError, parse_domain  # the settings come before all of it

    try:
        return parse_domain(domain).ascii
    except DomainNameError:
        return domain


def _is_number(value: object) -> bool:
    """Whether JSON has a number for it."""
    return isinstance(value, float) and math.isfinite(value)


def _quoted(value: str) -> str:
    plain = value.isascii() and value.isprintable() and not set(value) & set(' ="\\')
    return value if plain and value else json.dumps(value)


def configuration(form: LogFormat) -> dict[str, Any]:
    """A `logging.config.dictConfig` for Django and for gunicorn."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            LogFormat.KEY_VALUE: {"()": "mtastsweb.logs.KeyValueFormatter"},
            LogFormat.JSON: {"()": "mtastsweb.logs.JSONFormatter"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": form,
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            # Django hangs handlers of its own on these two; one line on stderr is enough.
            "django": {"level": "INFO", "handlers": [], "propagate": True},
            "django.server": {"level": "INFO", "handlers": [], "propagate": True},
            "axes.apps": {"level": "WARNING"},  # else a greeting before every command
            # Its warnings quote what a policy host sent, as much as that likes; how the fetch ended
            # has a line of ours.
            "urllib3": {"level": "ERROR"},
            "gunicorn.error": {"handlers": [], "propagate": True},
        },
    }
