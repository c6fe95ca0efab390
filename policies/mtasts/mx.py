"""The mx field of a policy: a host name, or "*." and one (RFC 8461 sections 3.2 and 4.1)."""

from __future__ import annotations

from policies.mtasts.domain import ends_in_number, is_ldh_name
from policies.mtasts.grammar import quoted, to_bytes

_WILDCARD = "*."


class MXPattern(str):
    """A pattern as `parse_mx` returns it: lower case, star and all.

    It is a string, so that it compares, stores and renders as one.
    """

    __slots__ = ()

    @property
    def wildcard(self) -> bool:
        return self.startswith(_WILDCARD)

    @property
    def base(self) -> str:
        """The pattern without its star and dot."""
        return self.removeprefix(_WILDCARD)

    @property
    def is_address(self) -> bool:
        """Shaped like an IP address: legal by the grammar, matches nothing, breaks Postfix."""
        return ends_in_number(self)

    def matches(self, host: str) -> bool:
        """Whether `host`, in the form that `parse_host` returns, fits.

        The star stands for exactly one label, the left-most.
        """
        if self.is_address:
            return False
        if not self.wildcard:
            return host == self
        first, _, rest = host.partition(".")
        return bool(first) and rest == self.base


def parse_mx(value: str) -> MXPattern:
    """The pattern that the value of an mx field holds; raises ValueError, saying what is wrong.

    Only LDH counts, not IDNA: a sender compares A-labels, and needs not understand them.
    """
    pattern = MXPattern(value.lower() if value.isascii() else value)
    if not is_ldh_name(pattern.base):
        raise ValueError(
            "expected for 'mx' a host name in A-labels without trailing dot,"
            f" or '*.' and such a name, found {quoted(to_bytes(value))}"
        )
    return pattern
