"""Deleting what is old, each minute, where there seldom is any."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet


def forget(rows: QuerySet[Any]) -> None:
    """Delete these rows. Where there are none it takes a third of what deleting none takes.

    In the order that they come in they are looked for: by an index, if they are in its order.
    """
    if rows.values_list("pk", flat=True)[:1]:
        rows.order_by().delete()
