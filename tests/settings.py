"""The settings of a test run: the product's, with an environment of its own.

What a developer has set does not leak in; `TEST_DATABASE_URL` alone is heeded.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_PREFIXES = (
    "ALERT_",
    "EMAIL_",
    "HISTORY_",
    "LOG_",
    "METRICS_",
    "MTASTS_",
    "OUTCOME_",
    "PUBLIC_",
    "REFRESH_",
    "REPORT_",
    "SOCKETMAP_",
    "WEB_",
)
_NAMES = (
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "DATA_DIR",
    "DEBUG",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
    "DOCS_URL",
    "NODE_NAME",
    "SECRET_KEY",
    "WORKERS",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
)


def is_of_the_product(name: str) -> bool:
    """Whether an environment variable has a meaning for the product or what it is made of."""
    return name.startswith(_PREFIXES) or name.upper().removesuffix("_FILE") in _NAMES


def _data_dir() -> Path:
    """One for each process: a worker of pytest-xdist has it inside that of its parent."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        return Path(os.environ["DATA_DIR"], worker)
    path = Path(tempfile.mkdtemp(prefix="mtastsweb-tests-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


_pinned = {
    "DATA_DIR": str(_data_dir()),
    "SECRET_KEY": "for tests alone, and of no use to anyone who finds it out",
}
if "TEST_DATABASE_URL" in os.environ:
    _pinned["DATABASE_URL"] = os.environ["TEST_DATABASE_URL"]

for _name in filter(is_of_the_product, list(os.environ)):
    del os.environ[_name]
os.environ.update(_pinned)
# Commands that tests start are the product's, with the environment that the test gives them.
os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"

from mtastsweb.settings import *  # noqa: E402, F403 - the environment had to come first

if "DATABASE_URL" in _pinned:
    # Two runs on one server at a time must not take each other's database.
    DATABASES["default"]["TEST"] = {"NAME": f"test_mtastsweb_{os.getpid()}"}  # noqa: F405

# The product's takes a quarter of a second for each password, on purpose.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
