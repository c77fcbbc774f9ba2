"""What comes out: a table for people, and JSON with every run and the facts of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import Bench, Figure, Values, shown, spread
from bench.site import ROOT

_PACKAGES = ("cooee", "apsw", "asyncpg", "uvicorn", "uvloop", "httptools", "msgspec")


@dataclass(frozen=True)
class Outcome:
    """A bench on an engine: its runs, the cores that other programs used during each, or why there are no more."""

    bench: Bench
    engine: str
    runs: Sequence[Values]
    others: Sequence[float]
    error: str | None = None

    def marked(self, figure: Figure) -> Figure:
        """The marks are SQLite's; the same figures of PostgreSQL have none."""
        return figure if self.engine == "sqlite" else Figure(figure.name, figure.unit, figure.about)


def table(outcome: Outcome) -> str:
    """The runs of one bench, a figure a line."""
    head = f"{outcome.bench.name} · {outcome.engine} · {outcome.bench.about}"
    lines = [head]
    if outcome.error is not None:
        lines.append(f"  failed: {outcome.error}")
    if not outcome.runs:
        return "\n".join(lines)
    lines.append(f"  {'':14} {'median':>9} {'min':>9} {'max':>9}")
    for each in outcome.bench.figures:
        figure = outcome.marked(each)
        measured = spread(run[figure.name] for run in outcome.runs)
        if measured.high == 0:  # what this engine, or this bench, does not have
            continue
        line = f"  {figure.name:14} {shown(measured.median):>9} {shown(measured.low):>9} {shown(measured.high):>9}"
        line += f" {figure.unit:3} {figure.about}"
        reached = figure.reached(measured.median)
        if reached is not None:
            line += f" — mark {figure.mark}: {'reached' if reached else 'MISSED'}"
        lines.append(line)
    if outcome.others:
        lines.append(f"  other programs used {shown(max(outcome.others))} cores meanwhile")
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """All marks together."""
    lines = ["marks:"]
    for outcome in outcomes:
        for figure in map(outcome.marked, outcome.bench.figures):
            if not figure.mark or not outcome.runs:
                continue
            median = spread(run[figure.name] for run in outcome.runs).median
            word = "reached" if figure.reached(median) else "MISSED "
            what = f"{outcome.bench.name} {figure.name}"
            lines.append(f"  {word}  {what:30} {shown(median):>9} {figure.unit:3} {figure.mark}")
    return "\n".join(lines) if len(lines) > 1 else "no marks"


def machine() -> dict[str, Any]:
    """What the figures hold for: processor, memory, load before the start, versions."""
    names = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in names if line.startswith("model name")), "unknown")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_mb": round(pages / 1e6),
        "load_average": os.getloadavg(),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(Path.cwd()),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "revision": _revision(),
    }


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, type_, *_ = line.split()
        if folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, type_
    return kind


def _revision() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def write(path: Path, facts: dict[str, Any], outcomes: Sequence[Outcome], settings: dict[str, Any]) -> None:
    """The whole of it as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    benches = []
    for outcome in outcomes:
        figures = {}
        for figure in map(outcome.marked, outcome.bench.figures):
            if not outcome.runs:
                continue
            measured = spread(run[figure.name] for run in outcome.runs)
            figures[figure.name] = {
                "unit": figure.unit, "median": measured.median, "min": measured.low, "max": measured.high,
                "mark": figure.mark or None, "reached": figure.reached(measured.median),
            }  # fmt: skip
        benches.append(
            {
                "bench": outcome.bench.name,
                "engine": outcome.engine,
                "about": outcome.bench.about,
                "figures": figures,
                "runs": [dict(run) for run in outcome.runs],
                "other_cores": list(outcome.others),
                "error": outcome.error,
            }
        )
    whole = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "settings": settings,
        "benches": benches,
    }
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
