"""The Django project: settings, environment, web server."""

__version__ = "0.1.0"
