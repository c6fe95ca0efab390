"""What `bench.model` comes to: a table on standard output, and plots in docs/images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.model import DAY, HOUR, STEP, Machine, Scenario, Step, caught_up, run
from bench.processes import ROOT

IMAGES = ROOT / "docs" / "images"

ONE = Machine()
TEN = Machine(rate=400, threads=512)
HUNDRED = Machine(rate=4000, threads=1024, per_address=32)
"""What the settings are raised to for so many million policies."""

SIZES = ((1_000_000, ONE), (10_000_000, TEN), (100_000_000, HUNDRED))
OUTAGES = (1 * HOUR, 12 * HOUR, 72 * HOUR)

HOUR_STEPS = int(HOUR / STEP)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Line:
    """`points`: from left to right. `dash`: tells it from others where colours do not."""

    label: str
    points: Points
    dash: str = ""


def write() -> None:
    """Run all scenarios, write the plots, and print the table."""
    print(
        "| policies | switched off for | none overdue after | ended meanwhile, at most"
        " | fetches a second, at most | rows written a second |"
    )
    print("|---|---|---|---|---|---|")
    for policies, machine in SIZES:
        for off in OUTAGES:
            print(_line(policies, machine, off))
    for name, text in plots().items():
        (IMAGES / name).write_text(text, encoding="utf-8")


def plots() -> dict[str, str]:
    """The SVG files, by name."""
    after = 6 * HOUR + 12 * HOUR
    outages = [
        Line(
            f"{policies // 1_000_000} million",
            [
                ((step.at - after) / HOUR, 100 * step.overdue / policies)
                for step in _outage(policies, machine, 12 * HOUR, days=3.0)
                if -12 * HOUR <= step.at - after <= 36 * HOUR
            ],
            dash,
        )
        for (policies, machine), dash in zip(SIZES, ("", "8 4", "2 3"), strict=True)
    ]
    spread = [
        Line(label, _by_hour(run(Scenario(1_000_000, imported=imported, days=4.0))), dash)
        for label, imported, dash in (
            ("imported at once", True, ""),
            ("as it has been for long", False, "8 4"),
        )
    ]
    return {
        "model-outage.svg": plot(
            "Policies overdue after twelve hours switched off",
            "hours after", "% of all", outages,
        ),
        "model-import.svg": plot(
            "Fetches of a million policies, which are imported or known for long",
            "hours", "a second", spread,
        ),
    }  # fmt: skip


def _line(policies: int, machine: Machine, off: float) -> str:
    steps = _outage(policies, machine, off, days=(6 * HOUR + off) / DAY + 3)
    back = 6 * HOUR + off
    took = caught_up(steps, back)
    shown = f"{took / HOUR:.1f} h" if took is not None else "not within three days"
    expired = max(step.expired for step in steps if step.at >= back)
    busiest = max(step.rate for step in steps if step.at >= back)
    return (
        f"| {policies:,} | {off / HOUR:.0f} h | {shown} | {100 * expired / policies:.1f} % |"
        f" {busiest:.0f} | {busiest * machine.rows:.0f} |"
    )


def _outage(policies: int, machine: Machine, off: float, days: float) -> list[Step]:
    return run(Scenario(policies, machine, off=off, days=days))


def _by_hour(steps: Sequence[Step]) -> Points:
    hours = [steps[start : start + HOUR_STEPS] for start in range(0, len(steps), HOUR_STEPS)]
    return [(hour[0].at / HOUR, sum(t.rate for t in hour) / len(hour)) for hour in hours]


WIDTH, HEIGHT = 720, 300
LEFT, TOP, RIGHT, BOTTOM = 60, 44, 20, 48

STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}
.grid{stroke:#d0d7de}.line{fill:none;stroke-width:2}
.l0{stroke:#0969da}.l1{stroke:#bc4c00}.l2{stroke:#8250df}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}
.l0{stroke:#4493f8}.l1{stroke:#f0883e}.l2{stroke:#ab7df8}}
"""


def plot(title: str, across: str, up: str, lines: Sequence[Line]) -> str:
    """Lines in one pair of axes, as SVG that follows light and dark."""
    xs = [x for line in lines for x, _ in line.points]
    left, right = min(xs), max(xs)
    top = _round_up(max(y for line in lines for _, y in line.points))

    def at(x: float, y: float) -> str:
        return f"{_x(x, left, right):.1f},{_y(y, top):.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
    ]
    for share in range(5):
        y = top * share / 4
        parts.append(
            f'<path class="grid" d="M{at(left, y)} L{at(right, y)}"/>'
            f'<text x="{LEFT - 8}" y="{_y(y, top) + 4:.1f}" text-anchor="end">{y:g}</text>'
        )
    for share in range(7):
        x = left + (right - left) * share / 6
        parts.append(
            f'<text x="{_x(x, left, right):.1f}" y="{HEIGHT - BOTTOM + 18}"'
            f' text-anchor="middle">{x:.0f}</text>'
        )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(across)}</text>'
        f'<text x="{LEFT}" y="{TOP - 6}">{escape(up)}</text>'
    )
    for number, line in enumerate(lines):
        d = "M" + " L".join(at(x, y) for x, y in _thinned(line.points))
        dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
        x = LEFT + 20 + number * 170
        parts.append(
            f'<path class="line l{number}"{dash} d="{d}"/>'
            f'<path class="line l{number}"{dash} d="M{x},{HEIGHT - 12} l30,0"/>'
            f'<text x="{x + 36}" y="{HEIGHT - 8}">{escape(line.label)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _x(x: float, left: float, right: float) -> float:
    return LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)


def _y(y: float, top: float) -> float:
    return HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM)


def _thinned(points: Points, most: int = 240) -> Points:
    """No more than the picture can show."""
    step = max(1, len(points) // most)
    return [*points[::step], points[-1]]


def _round_up(value: float) -> float:
    """The least of 1, 2, 4, 5, 8, 10, … that is no less."""
    power = 10.0 ** (len(f"{max(value, 1):.0f}") - 1)
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= value)
