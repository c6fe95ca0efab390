"""`python -m bench`: some minutes on a quiet machine; needs a C compiler."""

from __future__ import annotations

from bench import measures, report


def main() -> None:
    hits = []
    for each in measures.hits():
        hits.append(each)
        report.show(str(each))
    misses = []
    for delay in (0.0, 0.3):
        misses.append(measures.misses(delay))
        report.show(str(misses[-1]))
    footprints = []
    for policies in (1_000, 50_000):
        footprints.append(measures.footprint(policies))
        report.show(str(footprints[-1]))
    for path in report.write(hits, misses, footprints):
        report.show(f"Written: {path}")


if __name__ == "__main__":
    main()
