"""How lookups end, counted by UTC day, domain and policy, for pages and TLS reports (RFC 8460).

`record` takes what was seen, `prune` forgets what is old; docs/decisions/0006-outcomes.md says
why the tables are as they are. Lookups are not TLS sessions: docs/outcomes.md.
"""

from policies.outcomes.batch import Seen, Source
from policies.outcomes.history import History, history
from policies.outcomes.pruning import prune
from policies.outcomes.reporting import file_name, report
from policies.outcomes.summary import latest_counts, summarize
from policies.outcomes.writing import record

__all__ = [
    "History",
    "Seen",
    "Source",
    "file_name",
    "history",
    "latest_counts",
    "prune",
    "record",
    "report",
    "summarize",
]
