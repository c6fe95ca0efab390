"""Domains by the million for benchmarks: answered by rule, so that none has to be stored."""

from __future__ import annotations

import re
import ssl
from functools import lru_cache

from tests.lab.answers import Absent, Answer, Records
from tests.lab.lab import Lab, Served

PER_CERTIFICATE = 100
CERTIFICATES_KEPT = 2000  # of some 40 KiB each; a new one costs a millisecond
SUFFIX = "lab.test"

_NAME = re.compile(rf"(_mta-sts|mta-sts)\.d(\d+)\.{re.escape(SUFFIX)}")


def serve_synthetic(lab: Lab, count: int, policy: str, *, id: str = "1") -> None:  # noqa: A002 - the record's word
    """Serves one policy for d0.lab.test, d1.lab.test … up to `count` domains.

    They are spread over the addresses of the laboratory; a hundred neighbours share a
    certificate, which is made when the first of them is asked for.
    """
    txt = Records(f"v=STSv1; id={id};")
    no_data = Absent()
    addresses = [Records(address) for address in lab.addresses]

    def number(name: str, label: str) -> int | None:
        match = _NAME.fullmatch(name)
        if match is None or match[1] != label or int(match[2]) >= count:
            return None
        return int(match[2])

    def answer(name: str, type_: str) -> Answer | None:
        if type_ == "TXT" and number(name, "_mta-sts") is not None:
            return txt
        if (index := number(name, "mta-sts")) is not None:
            return addresses[index % len(addresses)] if type_ == "A" else no_data
        return None

    @lru_cache(maxsize=CERTIFICATES_KEPT)
    def certificate(shard: int) -> ssl.SSLContext:
        first = shard * PER_CERTIFICATE
        return lab.shared_certificate(
            f"d{index}.{SUFFIX}" for index in range(first, first + PER_CERTIFICATE)
        )

    def served(sni: str) -> Served | None:
        index = number(sni, "mta-sts")
        if index is None:
            return None
        return Served(policy, certificate(index // PER_CERTIFICATE))

    lab.dns_default = answer
    lab.https_default = served
