"""What users do with their own login. Django admin does the same, but for its staff alone."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse_lazy

CHANGED = "Your password is changed. All other browsers are logged out."


class PasswordView(PasswordChangeView):
    """`/accounts/password/`: a new password for the one old."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("policies:home")

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        answer = super().form_valid(form)
        user: Any = self.request.user
        LogEntry.objects.log_actions(
            user.pk, [user], CHANGE, change_message="Changed their own password."
        )
        messages.success(self.request, CHANGED)
        return HttpResponseRedirect(answer.headers["Location"], status=303)
