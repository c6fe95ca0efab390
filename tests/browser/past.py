"""`python -m tests.browser.past before|after`: what mail servers asked, for the pictures.

Run with the environment of a product: once before things befall the demonstration's domains, and
once after. The laboratory is the other process's.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import django

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from policies.world import World


UNREADABLE = "xn--zckzah.example"
"""Its script is in few fonts; the machine that takes the pictures may have none of them."""

SEEN_BEFORE = timedelta(days=2)
"""Domains asked for so long ago were asked for in between, too."""


def before() -> None:
    """Some domains were asked for days ago."""
    from policies import cache, world
    from tests.demo.domains import DOMAINS

    for demo in DOMAINS:
        if demo.ago is not None:
            cache.get(demo.name, outside=_past(world.default(), demo.ago))


def after() -> None:
    """All have just been asked for; an operator has edited one and refetched two.

    What befell some was seen before, so that their alerts are confirmed; one is acknowledged.
    """
    from django.contrib.auth.models import User

    from policies import cache, mxcheck, summary, tasks, world
    from policies.models import PolicyRecord
    from policies.mtasts import parse_policy
    from tests.demo.domains import DOMAINS, policy

    outside = world.default()
    for hours in (27, 14):
        for demo in DOMAINS:
            if demo.ago is not None and demo.ago >= SEEN_BEFORE and demo.then is not None:
                cache.get(demo.name, outside=_past(outside, timedelta(hours=hours)))
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
    _operate(User.objects.get(), outside.now())
    summary.count(outside.now())


def _operate(user: User, now: datetime) -> None:
    """What an operator has done about some: exceptions of each kind, and a note on an alert."""
    from policies import exceptions
    from policies.models import Alert
    from policies.socketmap.exceptions import Action, Level, Powers, Rule, Scope

    by = str(user.get_username())
    day = timedelta(days=1)
    rules = [
        Rule(Scope.DOMAIN, "moved-provider.example", Action.SKIP, now - day / 2, now + 0.7 * day,
             "their new hoster is not in the policy yet; told them, ticket 4711", by),
        Rule(Scope.DOMAIN, "city.example", Action.ENFORCE, now - 2 * day, now + 5 * day,
             "enforced for us by agreement while they test", by),
        Rule(Scope.MX, "*.protection.example", Action.SKIP, now + day, now + 2 * day,
             "their maintenance of Sunday night", by),
        Rule(Scope.SUFFIX, ".clinics.example", Action.REQUIRE, now - 3 * day, None,
             "contract on patients' data", by, level=Level.SECURE, match=("nexthop",)),
    ]  # fmt: skip
    added = exceptions.add_all(rules, Powers(endless=True), user, now)
    exceptions.note_uses({added[0].pk: 214, added[1].pk: 37}, now - timedelta(minutes=3))
    over = Rule(Scope.DOMAIN, "shop.example", Action.SKIP, now - day, now + day,
                "mail to them was urgent", by)  # fmt: skip
    exceptions.end(exceptions.add(over, Powers(), user, now), user, now)
    Alert.objects.filter(domain="certificate-lapsed.example").update(
        acknowledged_at=now,
        acknowledged_by=user,
        note="Called their postmaster: the new certificate comes on Monday.",
    )


def _past(outside: World, ago: timedelta) -> World:
    now = outside.now
    return replace(outside, now=lambda: now() - ago)


if __name__ == "__main__":
    django.setup()
    {"before": before, "after": after}[sys.argv[1]]()
