"""How people type exceptions, in pages and in the admin."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from policies import exceptions
from policies.models import PolicyException
from policies.socketmap.exceptions import Action, Level, Powers, Refused, Rule, Scope, check
from policies.socketmap.exceptions.checking import REASON_LIMIT, TEXT_LIMIT, split_match
from policies.socketmap.exceptions.tables import Line, read

CHANGED_MEANWHILE = (
    "The exception is not as it was when you opened this page: somebody else changed it. Nothing"
    " was saved. Open the page again to see what it is now."
)

TABLE_LIMIT = 1_000_000
"""Bytes of a table that is sent in."""

HOURS = [1, 2, 4, 8, 12, 24]


def powers(user: Any) -> Powers:
    """What this user may do beyond ordinary exceptions."""
    return Powers(
        endless=user.has_perm("policies.endless_policyexception"),
        pause=user.has_perm("policies.pause_policyexception"),
    )


class MomentField(forms.DateTimeField):
    """A time in UTC, to the minute, as browsers let one choose it."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, required=False, **options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        # What the browser was given has no seconds.
        if isinstance(initial, datetime):
            initial = initial.replace(second=0, microsecond=0)
        return super().has_changed(initial, data)


class TextOfPolicyField(forms.CharField):
    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial or "", str(data or "").replace("\r\n", "\n"))


class TableField(forms.CharField):
    """Text whose line ends are LF: browsers send CRLF, which would make it longer than it is."""

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class PolicyExceptionForm(forms.ModelForm):
    """One exception. `rule`: what was typed, checked; `powers`: of whoever types."""

    rule: Rule | None = None

    target = forms.CharField(
        required=False,
        max_length=300,
        label="About",
        help_text="A domain: example.org. All names below one, not itself: .example.org. An MX"
        " pattern: *.mail.example for all policies with an mx under it, or one host's name.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    policy_text = TextOfPolicyField(
        label="Policy text",
        required=False,
        strip=False,
        max_length=TEXT_LIMIT,
        widget=forms.Textarea(attrs={"rows": 6, "class": "mono", "spellcheck": "false"}),
        help_text="For pin: the policy to hold, as in RFC 8461 section 3.2, mode enforce.",
    )
    level = forms.ChoiceField(
        required=False,
        choices=[("", "–"), *PolicyException.Level.choices],
        help_text="For require: encrypt takes any certificate, secure verifies it.",
    )
    match = forms.CharField(
        label="Names to match",
        required=False,
        max_length=10_000,
        help_text="For require at level secure: names that the certificate has to hold, such as"
        " mx.example.org, .example.org for all below it, nexthop or dot-nexthop.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    reason = forms.CharField(
        max_length=REASON_LIMIT, help_text="For whoever looks at this next: what is broken, a link."
    )
    owner = forms.CharField(max_length=150, help_text="Who answers for it.")
    since = MomentField(label="From", help_text="UTC. Empty: from now on.")
    until = MomentField(label="Until", help_text="UTC. It is over then by itself.")
    endless = forms.BooleanField(required=False, label="Without end")
    shown = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = PolicyException
        fields = (
            "scope", "target", "action", "policy_text", "level", "match", "reason", "owner",
            "since", "until",
        )  # fmt: skip

    def __init__(self, *args: Any, powers: Powers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.powers = powers
        self._now = timezone.now()
        scopes = PolicyException.Scope.choices
        if not self.powers.pause:
            scopes = [choice for choice in scopes if choice[0] != Scope.EVERYTHING]
        self.fields["scope"] = forms.ChoiceField(choices=scopes, label="Kind")
        self.fields["action"] = forms.ChoiceField(
            choices=[(value, _ACTIONS[value]) for value in PolicyException.Action.values],
            label="Postfix gets",
        )
        if not self.powers.endless:
            del self.fields["endless"]
        if self.instance.pk:
            self.initial["match"] = " ".join(self.instance.rule.match)
            self.initial["endless"] = self.instance.until is None
        else:
            self.initial.setdefault("until", self._now + exceptions.DEFAULT_LIFE)
            self.initial["since"] = None
            self.initial["match"] = ""
        self.fields["shown"].initial = _fingerprint(self.instance)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        shown = cleaned.get("shown")
        if self.instance.pk and shown and shown != _fingerprint(self.instance):
            raise ValidationError(CHANGED_MEANWHILE)
        typed = self._typed(cleaned)
        if typed is None:
            return cleaned
        try:
            self.rule = check(typed, self.powers)
            if self.rule.until is not None and self.rule.until <= self._now:
                raise Refused({"until": "The end lies in the past."})
        except Refused as refused:
            for name, problem in refused.problems.items():
                self.add_error(name if name in self.fields else None, problem)
            return cleaned
        return cleaned | {
            "target": self.rule.target,
            "policy_text": self.rule.policy_text,
            "level": self.rule.level or "",
            "match": list(self.rule.match),
            "reason": self.rule.reason,
            "owner": self.rule.owner,
            "since": self.rule.since,
            "until": self.rule.until,
        }

    def _typed(self, cleaned: dict[str, Any]) -> Rule | None:
        """What was typed; None where a field is no value at all, which is told already."""
        if not {"scope", "action", "since", "until"} <= cleaned.keys():
            return None
        since, until = self._kept("since", cleaned), self._kept("until", cleaned)
        return Rule(
            Scope(cleaned["scope"]),
            cleaned.get("target", ""),
            Action(cleaned["action"]),
            since or self._now,
            None if cleaned.get("endless") else until or self._default_end(since or self._now),
            reason=cleaned.get("reason", ""),
            owner=cleaned.get("owner", ""),
            policy_text=cleaned.get("policy_text", ""),
            level=Level(cleaned["level"]) if cleaned.get("level") else None,
            match=split_match(cleaned.get("match", "")),
        )

    def _default_end(self, since: datetime) -> datetime:
        return since + exceptions.DEFAULT_LIFE

    def _kept(self, name: str, cleaned: dict[str, Any]) -> datetime | None:
        """The time typed; as stored, to the second, where nobody changed it."""
        value = cleaned[name] if name in self.changed_data else self.initial.get(name)
        return value if isinstance(value, datetime) else None

    def validate_constraints(self) -> None:
        """Of one target there is one; those whose end has passed make room."""
        if self.rule is None:
            return
        same = exceptions.unended(self._now).filter(scope=self.rule.scope, target=self.rule.target)
        if same.exclude(pk=self.instance.pk).exists():
            self.add_error("target", exceptions.ANOTHER)


_ACTIONS = {
    "skip": "skip: no policy, mail goes out as without MTA-STS",
    "enforce": "enforce: a policy of mode testing as if it were enforce",
    "pin": "pin: this policy, whatever is published",
    "require": "require: TLS, where no policy enforces",
}


class PauseForm(forms.Form):
    """How long to pause all enforcement, and why."""

    hours = forms.TypedChoiceField(
        coerce=int, choices=[(hours, f"{hours} h") for hours in HOURS], label="For"
    )
    reason = forms.CharField(max_length=REASON_LIMIT)

    def rule(self, owner: str, now: datetime) -> Rule:
        until = now + timedelta(hours=self.cleaned_data["hours"])
        reason = self.cleaned_data["reason"]
        return Rule(Scope.EVERYTHING, "", Action.SKIP, now, until, reason=reason, owner=owner)


class TableForm(forms.Form):
    """A table for `smtp_tls_policy_maps`, as a file or pasted. `text`: what it holds."""

    file = forms.FileField(required=False, label="File", allow_empty_file=True)
    table = TableField(
        required=False,
        strip=False,
        label="or its text",
        max_length=TABLE_LIMIT,
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false"}),
        help_text="The source of the table, before postmap(1): a domain and a level on each line.",
    )
    reason = forms.CharField(max_length=REASON_LIMIT, initial="Imported from a table.")
    days = forms.IntegerField(min_value=1, max_value=366, initial=exceptions.DEFAULT_LIFE.days)

    text = ""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        file, pasted = cleaned.get("file"), cleaned.get("table", "")
        if file is None:
            self.text = pasted
        elif file.size > TABLE_LIMIT:
            self.add_error("file", f"At most {TABLE_LIMIT:,} bytes; the command takes more.")
        else:
            try:
                self.text = file.read().decode()
            except UnicodeDecodeError:
                self.add_error("file", "This is no text in UTF-8. Send the table's source.")
        if "\0" in self.text:
            self.add_error(None, "This is no text. Send the table's source, not the .db of it.")
        elif not self.text.strip() and not self.errors:
            self.add_error("table", "There is nothing to import.")
        return cleaned

    def lines(self, owner: str, may: Powers, now: datetime) -> list[Line]:
        """What the table comes to, those refused as well whose target has an exception."""
        like = Rule(
            Scope.DOMAIN, "", Action.SKIP, now, now + timedelta(days=self.cleaned_data["days"]),
            reason=self.cleaned_data["reason"], owner=owner,
        )  # fmt: skip
        return exceptions.without_those_that_exist(read(self.text, like, may), now)


def _fingerprint(row: PolicyException) -> str:
    """Of what the form shows, so that nobody overwrites what they have not seen."""
    shown = (
        row.scope, row.target, row.action, row.policy_text, row.level, row.match, row.reason,
        row.owner, row.since, row.until, row.ended,
    )  # fmt: skip
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:32] if row.pk else ""
