"""The first login."""

from __future__ import annotations

from django import forms
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import BaseUserCreationForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from policies import setup


class FirstUserForm(BaseUserCreationForm):
    """Name and password of the first user."""

    class Meta:
        model = User
        fields = ("username",)
        widgets = {"username": forms.TextInput(attrs={"autocomplete": "username"})}


@login_not_required
@never_cache
@sensitive_post_parameters()
def first_login(request: HttpRequest, token: str) -> HttpResponse:
    """`/setup/<token>/`: make the first user, once."""
    try:
        setup.check(token)
        form = FirstUserForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return render(request, "setup/first_login.html", {"form": form})
        chosen = form.cleaned_data
        user = setup.use(token, chosen["username"], chosen["password1"])
    except setup.SetupClosed:
        return render(request, "setup/closed.html", {"open": setup.is_open()}, status=410)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponseRedirect(reverse("policies:list"), status=303)
