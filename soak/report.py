"""What a run says: lines for a terminal, and its rows of the tables in docs/reliability.md."""

from __future__ import annotations

import re
from pathlib import Path

from soak.books import PROMISED
from soak.plan import KINDS
from soak.run import Result

BEGIN, END = "<!-- soak: {} -->", "<!-- soak: end -->"
RUNS = (
    "| run | events | campaigns | recipients | submit_sm accepted | receipts | replies | handed over | held | "
    "washed | cancelled | uncertain | submitted twice |"
)
ZEROS = "| run | " + " | ".join(PROMISED) + " | other disagreements |"
TWICE = "| run | " + " | ".join(kind.name for kind in KINDS) + " |"


def _name(result: Result) -> str:
    order = result.order
    what = "harmless" if order.harmless else "all"
    return f"{order.engine}, {what}, seed {order.seed}, {order.seconds / 60:g} min"


def lines(result: Result) -> str:
    """For a person at a terminal."""
    outcome = result.outcome
    happened = ", ".join(f"{name} {count}" for name, count in sorted(result.happened.items()))
    said = [_name(result), f"  events: {happened}"]
    said.append("  " + ", ".join(f"{name} {count}" for name, count in outcome.counts.items()))
    if outcome.doubles:
        said.append("  submitted twice: " + ", ".join(f"{n} after {k}" for k, n in outcome.doubles.items()))
    said += [f"  {count:>3}  {what}" for what, count in outcome.broken.items()]
    said += [f"  FAULT {fault}" for fault in outcome.faults]
    said.append(f"  settled in {result.settled_s:.1f} s; " + ("BROKEN" if outcome.faults else "kept"))
    return "\n".join(said)


def _rows(result: Result) -> dict[str, str]:
    outcome, counts = result.outcome, result.outcome.counts
    named = sum(1 for fault in outcome.faults if not any(fault.startswith(word) for word in _WORDS))
    cells = [
        sum(result.happened.values()), counts["campaigns"], counts["recipients"], counts["submits"],
        counts["receipts"], counts["replies"], counts["handed"], counts["held"], counts["washed"],
        counts["cancelled"], counts["uncertain"], counts["twice"],
    ]  # fmt: skip
    doubles = [
        f"{result.happened[kind.name]}: {outcome.doubles[kind.name]}" if result.happened[kind.name] else "–"
        for kind in KINDS
    ]
    return {
        RUNS: " | ".join(f"{cell:,}" for cell in cells),
        ZEROS: " | ".join(str(count) for count in [*outcome.broken.values(), named]),
        TWICE: " | ".join(doubles),
    }


def write(result: Result, page: Path) -> None:
    """Puts the run's rows into the page's tables; an older run of the same engine and kind makes room."""
    text = page.read_text(encoding="utf-8")
    rows = _rows(result)
    for word, head in (("runs", RUNS), ("zeros", ZEROS), ("twice", TWICE)):
        begin = BEGIN.format(word)
        before, _, rest = text.partition(begin)
        old, _, after = rest.partition(END)
        text = before + begin + "\n" + _table(old, head, _name(result), rows[head]) + END + after
    page.write_text(text, encoding="utf-8")


def _table(old: str, head: str, name: str, row: str) -> str:
    kind = name.split(", seed", 1)[0]
    kept = [line for line in old.splitlines() if re.match(r"\| (sqlite|postgres),", line)]
    kept = [line for line in kept if not line.startswith(f"| {kind},")]
    kept.append(f"| {name} | {row} |")
    rule = "|" + "---|" * head.count(" | ") + "---|"
    return "\n".join([head, rule, *sorted(kept, reverse=True)]) + "\n"


def _words() -> tuple[str, ...]:
    from soak.books import WORDS

    return tuple(WORDS)


_WORDS = _words()
