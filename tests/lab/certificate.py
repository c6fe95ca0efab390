"""The kinds of certificates that a policy host can show."""

from __future__ import annotations

from enum import Enum


class Certificate(Enum):
    """What a policy host shows. All but the first two are refused by a careful client."""

    GOOD = "good"
    WILDCARD = "wildcard"
    EXPIRED = "expired"
    NOT_YET_VALID = "not yet valid"
    SELF_SIGNED = "self-signed"
    WRONG_NAME = "wrong name"
    CN_ONLY = "common name only"
    UNKNOWN_CA = "unknown CA"
    UNKNOWN_CA_SENT = "unknown CA, root sent along"
    CLIENT_ONLY = "for clients only"
    NOT_A_CA = "issued by a leaf"
