"""Everything that a mail meets on its way, on loopback."""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.lab.answers import Records
from tests.lab.ca import Authority
from tests.lab.certificate import Certificate
from tests.lab.lab import Lab
from tests.postfix.sink import mail_host
from tests.postfix.system import INSIDE, Postfix
from tests.unbound import unbound


def policy(*mx: str, mode: str = "enforce") -> str:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {each}" for each in mx), "max_age: 86400"]
    return "".join(f"{line}\n" for line in lines)


class Rig:
    """A laboratory with mail hosts, and a resolver at an address that resolv.conf can name.

    It has a net of its own, 127.x.y.0/24, because port 25 and port 53 cannot be chosen.
    `nameserver`: the resolver's address. Ends with the context that it is made in.
    """

    def __init__(
        self, lab: Lab, directory: Path, contexts: contextlib.ExitStack, *, anchor: str = ""
    ) -> None:
        self.lab = lab
        self.authority = Authority()
        contexts.callback(self.authority.close)
        self._directory = directory
        self._contexts = contexts
        self._net = f"127.{random.randrange(64, 250)}.{random.randrange(1, 250)}"
        self._hosts = itertools.count(100)
        self._systems = itertools.count(1)
        self.nameserver = f"{self._net}.53"
        resolver = unbound(directory, lab.nameserver, anchor=anchor, at=(self.nameserver, 53))
        contexts.enter_context(resolver)

    def mail_host(self, name: str, certificate: Certificate = Certificate.GOOD) -> str:
        """A host that takes mail, with a certificate for `name`; its address."""
        address = f"{self._net}.{next(self._hosts)}"
        context = self.authority.context(certificate, name)
        self._contexts.enter_context(mail_host(address, context))
        return address

    def domain(
        self,
        name: str,
        published: str | None,
        *,
        mx: str | None = None,
        certificate: Certificate = Certificate.GOOD,
        certificate_for: str | None = None,
    ) -> str:
        """A domain with this policy, or without one, and one mail host; returns the name."""
        host = mx or f"mx.{name}"
        served = self.lab.domain(name, published, id="1" if published else None)
        served.mx = Records(f"10 {host}.")
        self.lab.zone[host, "A"] = Records(self.mail_host(certificate_for or host, certificate))
        return name

    @contextlib.contextmanager
    def postfix(self, parameters: Mapping[str, str], root: Path = Path("/")) -> Iterator[Postfix]:
        """A running Postfix that trusts the authority of the mail hosts."""
        directory = self._directory / f"postfix-{next(self._systems)}"
        directory.mkdir()
        shutil.copy(self.authority.ca_file, directory / "ca.pem")
        with Postfix(
            directory,
            nameserver=self.nameserver,
            parameters={"smtp_tls_CAfile": f"{INSIDE}/ca.pem", **parameters},
            root=root,
        ) as postfix:
            yield postfix
