"""What operators are told to do about a failure."""

from __future__ import annotations

import pytest

from policies.tlsrpt.advice import advice, consequence


class TestAdvice:
    @pytest.mark.parametrize(
        ("reason", "says"),
        [
            ("certificate-expired", "has expired"),
            ("certificate-not-trusted+unable-to-get-local-issuer", "leads to no root"),
            ("certificate-not-trusted+self-signed", "signed itself"),
            ("cannot-fetch-policy+http-status-503", "not with a policy"),
            ("cannot-fetch-policy+something-new+fallback-to-cached-policy", "could not be fetched"),
            ("back-off-after-recent-fetch-error+no-policy-served", "404"),
            ("dns-extended-error-6-dnssec-bogus+fallback-to-cached-policy", "do not verify"),
            ("", "could not be fetched"),
        ],
    )
    def test_is_about_the_finest_detail_that_is_known(self, reason: str, says: str) -> None:
        given = advice("sts-policy-fetch-error", reason)
        assert says in given.meaning
        assert given.section.startswith("RFC 84")

    def test_admits_that_a_type_is_unknown(self) -> None:
        assert "not known here" in advice("a-new-type", "x").meaning

    def test_the_consequence_is_the_fallback_the_pause_or_none_at_all(self) -> None:
        assert "cached policy stayed" in consequence("x+fallback-to-cached-policy")
        assert "not tried again" in consequence("back-off-after-recent-fetch-error+x")
        assert "No policy was cached" in consequence("certificate-expired")
