"""Reading what `/metrics` says."""

from __future__ import annotations

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

Key = tuple[str, frozenset[tuple[str, str]]]
Samples = dict[Key, float]


def parsed(text: str) -> Samples:
    """Each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped() -> Samples:
    """What this process says, as Prometheus on this machine gets it."""
    answer = Client().get("/metrics")
    assert answer.status_code == 200, answer.content
    return parsed(answer.content.decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    """Of one sample; 0 where it has not been counted yet."""
    return samples.get((name, frozenset(labels.items())), 0.0)


def moved(before: Samples, after: Samples) -> set[str]:
    """The names of the samples that are not as they were."""
    return {name for name, labels in after if after[name, labels] != before.get((name, labels))}
