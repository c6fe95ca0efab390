"""What the tests of these pages share with those of the others."""

from __future__ import annotations

from tests.pages.conftest import as_

__all__ = ["as_"]
