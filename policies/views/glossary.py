"""The words of the pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from policies import glossary


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """`/glossary/`: what each word means, and which keys do something."""
    return render(request, "glossary.html", {"groups": glossary.GROUPS})
