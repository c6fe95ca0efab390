"""What is stored. Only `policies.cache` and `policies.refresh` write `PolicyRecord`."""

from policies.models.coordination import Heartbeat, Lease, SetupLink
from policies.models.fetch import Fetch
from policies.models.policy import PolicyRecord

__all__ = ["Fetch", "Heartbeat", "Lease", "PolicyRecord", "SetupLink"]
