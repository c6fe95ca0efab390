"""`python -m bench.fill COUNT`: store the policies of so many domains, as if just fetched."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import django

from bench.names import POLICY, cached_names
from policies.mtasts import parse_policy

BATCH = 500


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "mtastsweb.settings"
    django.setup()
    from django.utils import timezone

    from policies.models import PolicyRecord
    from policies.models.policy import policy_fields

    policy, now = parse_policy(POLICY), timezone.now()
    PolicyRecord.objects.bulk_create(
        [
            PolicyRecord(
                domain=name,
                valid_end=now + timedelta(seconds=policy.max_age),
                refresh_due=now + timedelta(days=1),
                last_use=now,
                record_id="1",
                policy_text=POLICY,
                **policy_fields(policy),
            )
            for name in cached_names(int(sys.argv[1]))
        ],
        batch_size=BATCH,
    )


if __name__ == "__main__":
    main()
