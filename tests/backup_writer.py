"""`python -m tests.backup_writer`: writes without end, two rows in each transaction.

A copy that is of one moment has as many of the one kind as of the other, and none left out.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime


def main() -> None:
    import django

    django.setup()
    from django.db import transaction

    from policies import occupancy
    from policies.models import PolicyRecord

    occupancy.share()
    end = datetime(2030, 1, 1, tzinfo=UTC)
    for number in itertools.count():
        with transaction.atomic():
            for kind in ("first", "second"):
                PolicyRecord.objects.create(domain=f"{kind}-{number}.example", valid_end=end)
        if number == 0:
            print("writing", flush=True)


if __name__ == "__main__":
    main()
