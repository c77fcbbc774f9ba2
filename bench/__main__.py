"""`python -m bench`: which benches to run, how often, on what."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bench import campaigns, lists, replies, singles, webhooks
from bench.database import ENGINES
from bench.figures import Bench, Plan, Values
from bench.process import BenchError, Others
from bench.report import Outcome, machine, summary, table, write
from bench.site import ROOT

BENCHES: tuple[Bench, ...] = (
    singles.SINGLES,
    singles.WITH_RECEIPTS,
    singles.LATENCY,
    campaigns.MILLION,
    campaigns.CAMPAIGN,
    campaigns.RECEIPTS,
    campaigns.RANDOM_IDS,
    campaigns.SMALL_CAMPAIGN,
    replies.REPLIES_IN,
    webhooks.WEBHOOKS,
    lists.APPEND,
    lists.CAMPAIGN,
    lists.STATUS,
)


def measure(bench: Bench, plan: Plan, runs: int) -> Outcome:
    """Runs a bench so often; a run that fails ends it, and what was measured before is kept."""
    done: list[Values] = []
    others: list[float] = []
    for number in range(runs):
        click.echo(f"  {bench.name} on {plan.engine}, run {number + 1} of {runs}", err=True)
        rest = Others()
        try:
            done.append(bench.run(plan))
        except (BenchError, OSError) as error:
            return Outcome(bench, plan.engine, done, others, str(error))
        if plan.engine == "sqlite":  # PostgreSQL's processes are nobody's children
            others.append(rest.cores())
    return Outcome(bench, plan.engine, done, others)


@click.command()
@click.option("--list", "listed", is_flag=True, help="Name the benches and their marks, and run none.")
@click.option("--only", multiple=True, type=click.Choice([bench.name for bench in BENCHES]), help="Run this one.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 100), help="Runs of each bench.")
@click.option("--engine", default="both", show_default=True, type=click.Choice([*ENGINES, "both"]))
@click.option("--size", default=1_000_000, show_default=True, type=click.IntRange(1000, 5_000_000),
              help="Recipients of a large campaign; the marks are for a million.")  # fmt: skip
@click.option("--seconds", default=8.0, show_default=True, type=click.FloatRange(1, 600),
              help="How long a load of single messages is measured.")  # fmt: skip
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path),
              help="Where to write all runs.  [default: bench/results/DATE.json]")  # fmt: skip
def main(
    listed: bool, only: tuple[str, ...], runs: int, engine: str, size: int, seconds: float, path: Path | None
) -> None:
    """Measure `cooee serve` with peers of its own, and print medians beside their marks.

    \b
    Examples:
      python -m bench
      python -m bench --only singles --engine sqlite --runs 1
    """
    if listed:
        for bench in BENCHES:
            marks = ", ".join(f"{each.name} {each.mark} {each.unit}" for each in bench.figures if each.mark)
            click.echo(f"{bench.name:20} {bench.about}" + (f" [{marks}]" if marks else ""))
        return
    # Ended from outside, it still ends its peers and removes its folder.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    facts = machine()
    outcomes = []
    for name in ENGINES if engine == "both" else (engine,):
        for bench in BENCHES:
            if not only or bench.name in only:
                outcome = measure(bench, Plan(name, size, seconds), runs)
                outcomes.append(outcome)
                click.echo(table(outcome) + "\n")
    click.echo(summary(outcomes))
    target = path or ROOT / "bench" / "results" / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    write(target, facts, outcomes, {"runs": runs, "size": size, "seconds": seconds})
    click.echo(f"all runs: {target}")
    if any(outcome.error for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
