"""What operators type."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from policies.models import PolicyRecord
from policies.mtasts import DomainNameError, Policy, parse_domain, parse_policy
from policies.mtasts.errors import PolicySyntaxError

CHANGED_MEANWHILE = (
    "The policy is not as it was when you opened this page: a fetch or somebody else changed it."
    " Nothing was saved. Open the page again to see what it is now."
)


class PolicyTextField(forms.CharField):
    """Text whose line ends are LF: browsers send CRLF, whatever was there."""

    def to_python(self, value: Any) -> str:
        return _with_lf(str(super().to_python(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(_with_lf(initial or ""), data)


class PolicyRecordForm(forms.ModelForm):
    """A policy's text and what belongs to it. The parsed fields follow from the text.

    `policy`: what the text parses to; None for a row that backs off.
    """

    policy: Policy | None = None

    policy_text = PolicyTextField(
        label="Policy text",
        required=False,
        strip=False,  # a blank line is a fault of the text, not of typing
        widget=forms.Textarea(
            attrs={"rows": 10, "cols": 80, "class": "mono", "spellcheck": "false"}
        ),
        help_text="The policy as in RFC 8461 section 3.2, one field a line.",
    )
    record_id = forms.RegexField(
        r"\A[A-Za-z0-9]{0,32}\Z",
        label="Record id",
        required=False,
        help_text="The id of the TXT record under which the policy was fetched.",
        error_messages={"invalid": "An id is up to 32 letters and digits (RFC 8461 section 3.1)."},
    )
    shown = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = PolicyRecord
        fields = ("domain", "policy_text", "record_id", "valid_end", "backoff")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        end = self.fields["valid_end"].widget
        self.fields["valid_end"].required = False
        self.fields["valid_end"].help_text = "UTC. Empty: max_age from now."
        # The admin asks for date and time in two inputs, and its labels are for neither.
        for part, label in zip(getattr(end, "widgets", ()), ("date", "time"), strict=False):
            part.attrs["aria-label"] = f"Valid until: {label}, UTC"
        self.fields["shown"].initial = _fingerprint(self.instance)

    @property
    def is_text_edited(self) -> bool:
        """Whether an operator wrote this text: it is new, or not as stored."""
        return self.instance.pk is None or "policy_text" in self.changed_data

    def clean_domain(self) -> str:
        try:
            return parse_domain(self.cleaned_data["domain"]).unicode
        except DomainNameError as error:
            raise ValidationError(f"This is no domain name: {error}.") from error

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        shown = cleaned.get("shown")
        if self.instance.pk and shown and shown != _fingerprint(self.instance):
            raise ValidationError(CHANGED_MEANWHILE)
        # Unchanged is as stored, to the line ends and microseconds that browsers lose.
        for name in cleaned.keys() - set(self.changed_data) - {"shown"}:
            cleaned[name] = getattr(self.instance, name)
        if not cleaned.get("backoff"):
            self._parse(cleaned.get("policy_text", ""))
        return cleaned

    def _parse(self, text: str) -> None:
        if not text:
            self.add_error("policy_text", "A row that does not back off needs a policy text.")
            return
        try:
            self.policy = parse_policy(text)
        except PolicySyntaxError as error:
            self.add_error("policy_text", f"This is no policy. Line {error.line}: {error.problem}.")


def _with_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _fingerprint(record: PolicyRecord) -> str:
    """Of what the form shows, so that nobody overwrites what they have not seen."""
    shown = (record.policy_text, record.record_id, record.valid_end, record.backoff)
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:32]
