"""The metrics as docs/metrics.md has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtastsweb.environment import BASE_DIR

DOCS = BASE_DIR / "docs" / "metrics.md"


@dataclass(frozen=True)
class Documented:
    """One row of a table."""

    name: str
    type: str
    labels: str

    @property
    def samples(self) -> set[str]:
        """The names that a query may use."""
        if self.type != "histogram":
            return {self.name}
        return {f"{self.name}_{part}" for part in ("bucket", "count", "sum")}


def documented() -> Iterator[Documented]:
    for line in DOCS.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `mtasts_"):
            cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
            yield Documented(cells[0], cells[1], line.split("|")[3])


def sample_names() -> set[str]:
    return set().union(*(metric.samples for metric in documented()))
