"""What operators type."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from policies.models import PolicyRecord
from policies.mtasts import DomainNameError, Policy, parse_domain, parse_policy
from policies.mtasts.errors import PolicySyntaxError


class PolicyRecordForm(forms.ModelForm):
    """A policy's text and what belongs to it. The parsed fields follow from the text.

    `policy`: what the text parses to; None for a row that backs off.
    """

    policy: Policy | None = None

    policy_text = forms.CharField(
        required=False,
        strip=False,  # a blank line is a fault of the text, not of typing
        widget=forms.Textarea(
            attrs={"rows": 10, "cols": 80, "class": "mono", "spellcheck": "false"}
        ),
        help_text="The policy as in RFC 8461 section 3.2, one field a line.",
    )

    class Meta:
        model = PolicyRecord
        fields = ("domain", "policy_text", "record_id", "valid_end", "backoff")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["valid_end"].required = False
        self.fields["valid_end"].help_text = "Empty: max_age from now."

    def clean_domain(self) -> str:
        try:
            return parse_domain(self.cleaned_data["domain"]).unicode
        except DomainNameError as error:
            raise ValidationError(str(error)) from error

    def clean_policy_text(self) -> str:
        """As stored where only the line ends differ: browsers send CRLF whatever was there."""
        text = str(self.cleaned_data["policy_text"]).replace("\r\n", "\n")
        stored = self.instance.policy_text
        return stored if text == stored.replace("\r\n", "\n") else text

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("backoff"):
            return cleaned
        text = cleaned.get("policy_text", "")
        if not text:
            self.add_error("policy_text", "A row that does not back off needs a policy text.")
            return cleaned
        try:
            self.policy = parse_policy(text)
        except PolicySyntaxError as error:
            self.add_error("policy_text", f"This is no policy. Line {error.line}: {error.problem}.")
        return cleaned
