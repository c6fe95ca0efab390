"""What the server counts, as metrics: told by the clerk, so that an answer pays nothing for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from policies import metrics
from policies.mtasts import Mode
from policies.socketmap.server.counts import Forced, kind
from policies.socketmap.server.memory import Ready
from policies.socketmap.server.status import Status
from policies.tlsrpt.result import PolicyType, ResultType

RESOLVER = "resolver"
"""Our resolver failed and nothing was cached: the domain is not to blame."""

GONE = "gone"
"""The row went, and DNS has not been asked since: what others deleted."""

RESULTS = (*PolicyType, *ResultType, RESOLVER)
REPLIES = ("secure", "notfound", "temp", "perm")
ANSWERED = ("memory", "lookup", "forced", "no-domain", "dane-list")


class Meters:
    """Tells what has been counted since the last time."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._told: dict[str, Counter[str]] = {}
        self._refused = 0
        # What has not happened yet counts 0: a rate needs something to rise from.
        metrics.socketmap.answered(
            {
                "lookups": dict.fromkeys(RESULTS, 0),
                "replies": dict.fromkeys(REPLIES, 0),
                "requests": dict.fromkeys(ANSWERED, 0),
                "forced": dict.fromkeys(map(str, Forced), 0),
            }
        )

    def tell(self, used: Iterable[tuple[Ready, int]]) -> None:
        """`used`: the replies that were given since the last time, and how often each."""
        results: Counter[str] = Counter()
        replies: Counter[str] = Counter()
        for ready, number in used:
            results[result(ready)] += number
            replies[kind(ready.reply.partition(b":")[2])] += number
        counts = self._status.counts
        replies.update(self._since("replies", counts.replies))
        forced = Counter({str(reason): number for reason, number in self._status.forced().items()})
        metrics.socketmap.answered(
            {
                "lookups": results,
                "replies": replies,
                "requests": self._since("requests", self._answered()),
                "forced": self._since("forced", forced),
            }
        )
        waits = counts.waits[:]
        del counts.waits[: len(waits)]
        metrics.socketmap.waited(waits)
        metrics.socketmap.refused(counts.refused_connections - self._refused)
        self._refused = counts.refused_connections
        metrics.socketmap.is_now(
            connections=self._status.open_connections,
            waiting=self._status.waiting_lookups,
            policies=self._status.memory.policies,
            is_away=self._status.is_database_away,
        )

    def _answered(self) -> Counter[str]:
        counts = self._status.counts
        # One that DANE's check was too late for is answered from a policy all the same.
        forced = sum(counts.forced.values()) - counts.forced[Forced.DANE]
        return Counter(
            {
                "memory": counts.hits - counts.waited,
                "lookup": counts.waited,
                "forced": forced,
                "no-domain": counts.not_ours,
                "dane-list": counts.listed,
            }
        )

    def _since(self, name: str, counted: Counter[str]) -> Counter[str]:
        """How much more has been counted than was told; never less than nothing."""
        now = Counter(counted)
        before = self._told.get(name, Counter())
        self._told[name] = now | before
        return now - before


def result(ready: Ready) -> str:
    """How the lookups that got this reply ended, in a word of RFC 8460 or one of the two above."""
    if ready.is_resolvers:
        return RESOLVER
    if ready.result is not None:
        failures = ready.result.failures
        return str(failures[0].result_type if failures else ready.result.policy.type)
    if ready.held is None or not ready.held.has_policy:
        return GONE
    is_none = ready.held.mode == Mode.NONE
    return str(PolicyType.NO_POLICY_FOUND if is_none else PolicyType.STS)
