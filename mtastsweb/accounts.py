"""What users do with their own login. Django admin does the same, but for its staff alone."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy
from django.views.decorators.debug import sensitive_variables

CHANGED = "Your password is changed. All other browsers are logged out."


class PasswordForm(PasswordChangeForm):
    """Wrong guesses at the old password count as failed logins do, and lock as those do."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    @sensitive_variables("old_password")
    def clean_old_password(self) -> str:
        old_password: str = self.cleaned_data["old_password"]
        name = self.user.get_username()
        if authenticate(self._request, username=name, password=old_password) is None:
            raise ValidationError(
                self.error_messages["password_incorrect"], code="password_incorrect"
            )
        return old_password


class PasswordView(PasswordChangeView):
    """`/accounts/password/`: a new password for the one old."""

    form_class = PasswordForm
    template_name = "accounts/password.html"
    success_url = reverse_lazy("policies:home")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        answer = super().form_valid(form)
        user: Any = self.request.user
        LogEntry.objects.log_actions(
            user.pk, [user], CHANGE, change_message="Changed their own password."
        )
        messages.success(self.request, CHANGED)
        return HttpResponseRedirect(answer.headers["Location"], status=303)
