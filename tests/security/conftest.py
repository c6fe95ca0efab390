"""Browsers of every role, as the tests of pages have them."""

from tests.pages.conftest import as_

__all__ = ["as_"]
