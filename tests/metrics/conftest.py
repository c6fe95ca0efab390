"""Servers for the tests of metrics, as the socketmap's own tests have them."""

from tests.socketmap.server.conftest import serve

__all__ = ["serve"]
