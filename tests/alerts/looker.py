"""`python -m tests.alerts.looker DATABASE`: one of several processes that see the same change."""

from __future__ import annotations

import sys

DOMAINS = [f"d{at}.example" for at in range(20)]


def main(database: str) -> None:
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = database
    django.setup()
    from policies import cache
    from policies.mtasts.errors import NoRecordError
    from tests.worlds import Script

    script = Script()
    script.look = NoRecordError("gone")
    print("ready", flush=True)
    sys.stdin.readline()
    for domain in DOMAINS:
        cache.get(domain, outside=script.world)


if __name__ == "__main__":
    main(sys.argv[1])
