"""Django's settings. What the environment decides is read in `mtastsweb.environment`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dj_database_url
from csp.constants import NONE, SELF

from mtastsweb import data_dir, environment, logs

MTASTS = environment.read()

data_dir.prepare(MTASTS.data_dir)

SECRET_KEY = MTASTS.secret_key or data_dir.secret_key(MTASTS.data_dir)
DEBUG = MTASTS.debug
ALLOWED_HOSTS = list(MTASTS.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(MTASTS.csrf_trusted_origins)

INSTALLED_APPS = [
    "policies",
    "mtastsweb.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.forms",
    "axes",
    "csp",
    "django_htmx",
    "django_q",
]

MIDDLEWARE = [
    "mtastsweb.observing.ObservingMiddleware",  # must be the first: what it sees is all of it
    # Before the next, which may refuse a request by itself: that page is strict, too.
    "csp.middleware.CSPMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # A page of fifty rows is 130 KB, and 12 compressed. What a page says is nobody's secret from
    # its reader, and Django pads each answer so that its length tells nothing of a token in it.
    "django.middleware.gzip.GZipMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "mtastsweb.hosts.HostMiddleware",  # Django's CommonMiddleware, which lets probes pass
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # A page that forgets to ask is closed, not open.
    "mtastsweb.login.LoginMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",  # must be the last
]

ROOT_URLCONF = "mtastsweb.urls"
WSGI_APPLICATION = "mtastsweb.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [environment.FILES_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # so that ours come before Django's


# Database


def _database() -> dict[str, Any]:
    if not MTASTS.is_sqlite:
        database: dict[str, Any] = {
            **dj_database_url.parse(MTASTS.database_url, conn_max_age=60, conn_health_checks=True)
        }
        # Seconds: a host that swallows packets must not hold a connection for minutes.
        options = {"connect_timeout": 5, **database.get("OPTIONS", {})}
        return {**database, "OPTIONS": options}
    return {
        **dj_database_url.parse(MTASTS.database_url),
        # Writers queue up instead of failing with "database is locked": WAL lets readers go on,
        # IMMEDIATE takes the write lock at the start, where the timeout (in seconds) applies.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
        # A file, for threads that share an in-memory database lock each other's tables.
        "TEST": {"NAME": MTASTS.data_dir / "test.sqlite3"},
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In files, for the workers' statistics of django-q2 have to cross processes, and `migrate` alone
# has to be enough: a table would want `createcachetable`.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": MTASTS.data_dir / "cache",
    }
}

# Seconds: a fetch that takes all of its time, or a tick that takes on work for 50 seconds.
TASK_TIMEOUT = max(120, int(60 + MTASTS.dns_timeout + MTASTS.fetch_timeout))

Q_CLUSTER = {
    "name": "mtastsweb",
    "label": "Queue",
    "orm": "default",
    "broker_class": "policies.queue.Broker",
    "poll": 0.2,  # seconds
    "workers": MTASTS.workers,
    # What waits in a worker's memory is lost to the others: take no more than can be worked.
    "queue_limit": MTASTS.workers,
    "timeout": TASK_TIMEOUT,  # seconds, after which a task is killed …
    "retry": TASK_TIMEOUT + 780,  # … and long after which what a dead worker held is run again
    "max_attempts": 3,
    # Without this a task that raises is delivered again for ever.
    "ack_failures": True,
    # A cluster that was stopped runs a schedule once, not once for each time it missed.
    "catch_up": False,
    "save_limit": 100,
}


# Mail: what alerts send

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = MTASTS.email_url.host
EMAIL_PORT = MTASTS.email_url.port
EMAIL_HOST_USER = MTASTS.email_url.user
EMAIL_HOST_PASSWORD = MTASTS.email_url.password
EMAIL_USE_SSL = MTASTS.email_url.tls
EMAIL_USE_TLS = MTASTS.email_url.starttls
EMAIL_TIMEOUT = 20  # seconds, for each step
DEFAULT_FROM_EMAIL = SERVER_EMAIL = MTASTS.alert_email_from


# Login, sessions, security

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = LOGIN_URL

AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
# Both together: an attacker elsewhere cannot lock an operator out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # it grows by a row with each login
AXES_CLIENT_IP_CALLABLE = "mtastsweb.client.address"

SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = MTASTS.web_https
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# Nothing from elsewhere, nothing inline: every page works with its own files alone.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

if MTASTS.web_https:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Probes and Prometheus come from inside, without TLS.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
    SECURE_HSTS_SECONDS = 31_536_000  # a year

SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains: not ours to promise for the operator's other hosts
    "security.W021",  # nor to have the domain preloaded in browsers
]


# Static files: WhiteNoise takes them where the finders see them, so none need be collected.
STATIC_URL = "/static/"
STATICFILES_DIRS = [environment.FILES_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
FORMAT_MODULE_PATH = "mtastsweb.formats"  # the language's own formats outweigh DATETIME_FORMAT

LOGGING = logs.configuration(MTASTS.log_format)
