"""Called by MkDocs: pages that mkdocs.yml does not name get a place in the navigation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Append the decisions, and whatever is left."""
    docs = Path(config["docs_dir"])
    named = set(_paths(config["nav"]))
    decisions = sorted(path.relative_to(docs).as_posix() for path in docs.glob("decisions/*.md"))
    rest = sorted(path.name for path in docs.glob("*.md") if path.name not in named)
    config["nav"] = [
        *config["nav"],
        *([{"More": rest}] if rest else []),
        {"Decisions": sorted(decisions, key=lambda name: (not name.endswith("index.md"), name))},
    ]
    return config


def _paths(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for inner in entry.values():
                yield from _paths(inner if isinstance(inner, list) else [inner])
