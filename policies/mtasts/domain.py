"""Domain names: from what an operator, Postfix or a policy writes to one form to compare.

Labels are separated by U+002E only; the other full stops of Unicode never split a name. All
work is linear: whatever is too long is refused before IDNA sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import idna

from policies.mtasts.errors import DomainNameError

MAX_NAME = 253
"""Octets of a name without its trailing dot (RFC 1035 section 2.3.4)."""

MAX_LABEL = 63
"""Octets of one label."""

KEPT = 4096
"""Names that are remembered as they were read: pages and lookups read each of theirs many times."""

_LDH = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_LDH_OR_UNDERSCORE = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")

# inet_aton() takes a host name that ends in such a label for an address ("127.1", "0x7f000001"),
# and no top-level domain is spelt like this.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_HINTS = {
    "@": "leave out the '@' and what stands before it",
    ":": "leave out the port; an IP address is no domain name",
    "[": "an address or a bracketed host is no domain name",
    "/": "leave out the scheme and the path",
    "*": "a wildcard is no domain name",
    "_": "an underscore is not allowed here",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """A policy domain. Compare by `ascii`; show `unicode` with `ascii` beside it."""

    ascii: str
    """A-labels, lower case, no trailing dot."""

    unicode: str
    """U-labels. A label that IDNA cannot decode stays as it is in `ascii`."""

    @property
    def both(self) -> str:
        """What people write and, where it differs, the A-labels in brackets: for messages."""
        return self.ascii if self.ascii == self.unicode else f"{self.unicode} ({self.ascii})"

    @property
    def record_name(self) -> str:
        """The absolute name of the TXT record (RFC 8461 section 3.1).

        Raises DomainNameError where the domain leaves no room for it: there is nothing to ask.
        """
        return self._below("_mta-sts.") + "."

    @property
    def policy_host(self) -> str:
        """The name of the policy host (RFC 8461 section 3.3); raises as `record_name` does."""
        return self._below("mta-sts.")

    def _below(self, prefix: str) -> str:
        name = prefix + self.ascii
        if len(name) > MAX_NAME:
            raise DomainNameError(
                f"the domain is too long for MTA-STS: {prefix}<domain> has {len(name)} octets,"
                f" and a name at most {MAX_NAME}"
            )
        return name


@lru_cache(maxsize=KEPT)
def parse_domain(name: str) -> Domain:
    """The domain that `name` means: A- or U-labels, any case, one trailing dot at most.

    Raises DomainNameError, whose message tells an operator what to change.
    """
    labels = _normalised(name, _LDH)
    ascii_labels, unicode_labels = zip(*labels, strict=True)
    return Domain(".".join(ascii_labels), ".".join(unicode_labels))


@lru_cache(maxsize=KEPT)
def parse_host(name: str) -> str:
    """The A-label form of an MX host's name, which may hold underscores, unlike a domain's.

    Raises DomainNameError.
    """
    return ".".join(label for label, _ in _normalised(name, _LDH_OR_UNDERSCORE))


def is_ldh_name(name: str) -> bool:
    """Whether `name` is made of lower-case LDH labels (`Domain` of RFC 5321 section 4.1.2).

    No IDNA here: "ab--cd" and an "xn--" label that nobody can decode are fine.
    """
    return len(name) <= MAX_NAME and all(
        len(label) <= MAX_LABEL and _LDH.fullmatch(label) for label in name.split(".")
    )


def ends_in_number(name: str) -> bool:
    """Whether resolver libraries would take the lower-case `name` for an IP address."""
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def _normalised(name: str, allowed: re.Pattern[str]) -> list[tuple[str, str]]:
    """Each label of `name` as (A-label, U-label)."""
    if not name:
        raise DomainNameError("nothing was given; expected a domain name such as example.com")
    if len(name) > MAX_NAME + 1:
        raise _too_long(len(name))
    labels = [_label(raw, allowed) for raw in name.removesuffix(".").split(".")]
    length = sum(len(ascii_label) + 1 for ascii_label, _ in labels) - 1
    if length > MAX_NAME:
        raise _too_long(length)
    if ends_in_number(labels[-1][0]):
        raise DomainNameError(
            f"{name!r} is shaped like an IP address; expected a domain name such as example.com"
        )
    return labels


def _label(raw: str, allowed: re.Pattern[str]) -> tuple[str, str]:
    label = raw.lower() if raw.isascii() else _mapped(raw)
    if not label:
        raise DomainNameError(
            "a label is empty; expected labels separated by single dots, none at the beginning"
        )
    if not label.isascii():
        return _a_label(label), label
    _check_ascii(label, allowed)
    if label.startswith("xn--"):
        return label, _u_label(label)
    return label, label


def _check_ascii(label: str, allowed: re.Pattern[str]) -> None:
    if len(label) > MAX_LABEL:
        raise DomainNameError(
            f"the label {label[:20]!r}… has {len(label)} octets; a label has at most {MAX_LABEL}"
        )
    if allowed.fullmatch(label):
        return
    hint = next((_HINTS[char] for char in label if char in _HINTS), None)
    raise DomainNameError(
        f"{label!r} is no label of a domain name: "
        + (hint or "expected letters, digits and inner hyphens")
    )


def _mapped(raw: str) -> str:
    """`raw` after the mapping of UTS #46, not transitional: "ß" stays apart from "ss"."""
    try:
        label = idna.uts46_remap(raw, std3_rules=False)
    except idna.IDNAError as error:
        raise _not_international(raw, error) from error
    if "." in label:
        raise DomainNameError(
            f"{raw!r} holds a character that stands for a dot; write the dots as '.'"
        )
    return label


def _a_label(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError as error:
        raise _not_international(label, error) from error


def _u_label(label: str) -> str:
    """The U-label of an "xn--" label, or `label` itself where no valid one leads back to it.

    Such labels exist in DNS, and a name that is served deserves its policy.
    """
    try:
        return idna.ulabel(label)
    except UnicodeError:  # the base of IDNAError, and what the Punycode codec may raise
        return label


def _too_long(length: int) -> DomainNameError:
    return DomainNameError(f"the name has {length} characters; a domain name at most {MAX_NAME}")


def _not_international(label: str, error: idna.IDNAError) -> DomainNameError:
    return DomainNameError(f"{label!r} is no internationalised label (IDNA 2008): {error}")
