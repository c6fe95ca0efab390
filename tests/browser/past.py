"""`python -m tests.browser.past before|after`: what mail servers asked, for the pictures.

Run with the environment of a product: once before things befall the demonstration's domains, and
once after. The laboratory is the other process's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from policies.world import World


UNREADABLE = "xn--zckzah.example"
"""Its script is in few fonts; the machine that takes the pictures may have none of them."""


def before() -> None:
    """Some domains were asked for days ago."""
    from policies import cache, world
    from tests.demo.domains import DOMAINS

    for demo in DOMAINS:
        if demo.ago is not None:
            cache.get(demo.name, outside=_past(world.default(), demo.ago))


def after() -> None:
    """All have just been asked for; an operator has edited one and refetched two."""
    from django.contrib.auth.models import User

    from policies import cache, mxcheck, summary, tasks, world
    from policies.models import PolicyRecord
    from policies.mtasts import parse_policy
    from tests.demo.domains import DOMAINS, policy

    outside = world.default()
    for place, demo in enumerate(DOMAINS):
        if demo.name == UNREADABLE:
            continue
        try:
            ago = timedelta(seconds=40 + 90 * (place * 11 % len(DOMAINS)))  # of all kinds
            cache.get(demo.name, outside=_past(outside, ago))
        except cache.TransientError:
            continue  # DNS fails there, and nothing is cached
    edited = PolicyRecord.objects.get(domain="bank.example")
    edited.policy_text = policy("testing", "mx-a.bank.example", "mx-c.bank.example")
    cache.edit(edited, parse_policy(edited.policy_text), text_edited=True)
    for name in ("shop.example", "host-down.example"):
        row = PolicyRecord.objects.get(domain=name)
        fetch, _ = tasks.request_refetch(row.name, User.objects.get())
        tasks.refetch(fetch.pk)
    mxcheck.run(outside=outside)
    summary.count(outside.now())


def _past(outside: World, ago: timedelta) -> World:
    now = outside.now
    return replace(outside, now=lambda: now() - ago)


if __name__ == "__main__":
    django.setup()
    {"before": before, "after": after}[sys.argv[1]]()
