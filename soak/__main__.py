"""`python -m soak`: which storm to run, and where its report goes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from soak.plan import KINDS
from soak.report import lines, write
from soak.run import Order, run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"


@click.command()
@click.option(
    "--seed", default=1, show_default=True, type=click.IntRange(0), help="The same seed, the same storm."
)
@click.option(
    "--minutes", default=5.0, show_default=True, type=click.FloatRange(0.1, 10_000), help="How long it blows."
)
@click.option("--engine", default="both", show_default=True, type=click.Choice(["sqlite", "postgres", "both"]))
@click.option("--harmless", is_flag=True, help="Only events after which nothing may be in doubt.")
@click.option(
    "--only", multiple=True, type=click.Choice([kind.name for kind in KINDS]), help="Only this kind of event."
)
@click.option(
    "--pace",
    default=3.0,
    show_default=True,
    type=click.FloatRange(0.2),
    help="Seconds from one event to the next.",
)
@click.option("--clients", default=4, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--tps", default=120, show_default=True, type=click.IntRange(1), help="Of each of the three carriers."
)
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Leave journals and logs here.")
@click.option("--plan", "planned", is_flag=True, help="Show what would happen, and run nothing.")
@click.option("--report", is_flag=True, help="Write the result into docs/reliability.md.")
def main(
    seed: int, minutes: float, engine: str, harmless: bool, only: tuple[str, ...], pace: float, clients: int,
    tps: int, keep: Path | None, planned: bool, report: bool,
) -> None:  # fmt: skip
    """Blow a fault storm on real processes, then hold clients, SMSCs, rows and ledger against each other.

    Exit code 1 when they do not agree.

    \b
    Examples:
      python -m soak --seed 7 --minutes 10
      python -m soak --engine sqlite --only kill --only disk-full
      python -m soak --seed 7 --plan
    """
    # Ended from outside, it still ends its peers, unmounts and removes its folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    broken = False
    for name in ("sqlite", "postgres") if engine == "both" else (engine,):
        order = Order(name, seed, minutes * 60, harmless, only, pace, clients, tps)
        if planned:
            for event in order.events:
                click.echo(f"{event.at:8.2f}  {event.seconds:5.2f}  {event.kind.name:14} {event.kind.about}")
            continue
        result = run(order, keep / name if keep else None)
        click.echo(lines(result))
        broken = broken or bool(result.outcome.faults)
        if report:
            write(result, PAGE)
    if broken:
        sys.exit(1)


if __name__ == "__main__":
    main()
