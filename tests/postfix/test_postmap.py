"""`postmap -q` with every kind of key that Postfix can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("trustme", reason="pip install -r requirements-dev.txt")

from tests.postfix.needs import POSTFIX
from tests.postfix.rig import policy

if TYPE_CHECKING:
    from tests.postfix.rig import Rig
    from tests.postfix.system import Postfix

pytestmark = POSTFIX

SECURE = "secure match=mx.asked.test:.backup.test servername=hostname\n"
ATTRIBUTES = (
    "secure match=mx.asked.test:.backup.test servername=hostname policy_type=sts"
    " policy_domain=asked.test mx_host_pattern=mx.asked.test mx_host_pattern=*.backup.test"
    " { policy_string = version: STSv1 } { policy_string = mode: enforce }"
    " { policy_string = mx: mx.asked.test } { policy_string = mx: *.backup.test }"
    " { policy_string = max_age: 86400 }\n"
)


@pytest.fixture
def asked(rig: Rig) -> str:
    rig.lab.domain("asked.test", policy("mx.asked.test", "*.backup.test"))
    rig.lab.domain("asked-testing.test", policy("mx.asked.test", mode="testing"))
    rig.lab.domain("asked-none.test", policy("mx.asked.test", mode="none"))
    return "asked.test"


@pytest.mark.parametrize("name", ["postfix", "QUERY"])
@pytest.mark.parametrize("key", ["asked.test", "ASKED.Test", "asked.test.", "asked.test:25"])
def test_an_enforce_policy_is_found(
    key: str, name: str, asked: str, product: str, postfix: Postfix
) -> None:
    answer = postfix.postmap(key, f"socketmap:{product}:{name}")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, SECURE, "")


@pytest.mark.parametrize("name", ["postfix-tlsrpt", "QUERYwithTLSRPT"])
def test_with_tlsrpt_the_policy_comes_along(
    name: str, asked: str, product: str, postfix: Postfix
) -> None:
    answer = postfix.postmap(asked, f"socketmap:{product}:{name}")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, ATTRIBUTES, "")


@pytest.mark.parametrize(
    "key",
    [
        "asked-testing.test",
        "asked-none.test",
        "absent.test",
        "mail.asked.test",
        ".asked.test",
        "[asked.test]",
        "[asked.test]:25",
        "[127.0.0.1]",
        "127.0.0.1",
        "[IPv6:::1]",
        "/var/run/lmtp",
        "*",
        "a" * 300,
    ],
)
def test_other_keys_are_not_found(key: str, asked: str, product: str, postfix: Postfix) -> None:
    answer = postfix.postmap(key, f"socketmap:{product}:postfix")
    assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", "")


def test_an_unknown_map_is_an_error(product: str, postfix: Postfix) -> None:
    answer = postfix.postmap("asked.test", f"socketmap:{product}:other")
    assert answer.returncode == 1
    assert "unknown map" in answer.stderr
