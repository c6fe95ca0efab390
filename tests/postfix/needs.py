"""What the tests with a real Postfix need, and that they share one worker."""

from __future__ import annotations

import pytest

from tests.needs import needs_program, needs_root

POSTFIX = [
    pytest.mark.postfix,
    pytest.mark.xdist_group("postfix"),
    needs_program("postfix", apt="postfix"),
    needs_program("unbound", apt="unbound"),
    needs_root(),
]
