"""``atm simulate``: what a config would do to a load, before it does."""

from __future__ import annotations

import json
import time
from datetime import datetime, timezone
from typing import Any, Tuple

import click

from atm_cli.completion import complete_profile
from atm_cli.failure import Failure, say
from atm_cli.rules import find_rules


@click.command("simulate")
@click.argument("config", metavar="CONFIG")
@click.option(
    "-p", "--profile", metavar="NAME", shell_complete=complete_profile, help="Which of the config's profiles."
)
@click.option(
    "-n", "--tasks", type=click.IntRange(1), default=10_000, show_default=True, metavar="N", help="How many arrive."
)
@click.option(
    "--arrival",
    default="poisson:50/s",
    show_default=True,
    metavar="SPEC",
    help="poisson:RATE, constant:RATE, burst:TASKS/TIME or at-once.",
)
@click.option(
    "--duration",
    default="lognormal:0.2s",
    show_default=True,
    metavar="SPEC",
    help="lognormal:MEDIAN[:SIGMA], exponential:MEAN, uniform:FROM-TO or constant:TIME.",
)
@click.option(
    "--failure", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE", help="Of the attempts, how many fail."
)
@click.option(
    "--outage", "outages", multiple=True, metavar="FROM-TO", help="What begins in it fails; may be given again."
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUES",
    help="A metadata field: host=zipf:100, uniform:100, or a*3,b; may be given again.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same result.")
@click.option(
    "--start", default="2024-01-01T00:00:00", show_default=True, metavar="TIME", help="What the wall clock shows, UTC."
)
@click.option("--plot", metavar="FILE", help="Draw a chart, .svg or .png (needs atm-cli[plot]).")
@click.option("--json", "as_json", is_flag=True, help="As JSON on stdout, with the course of time.")
def command(config: str, profile: str, outages: Tuple[str, ...], plot: str, as_json: bool, **options: Any) -> int:
    """Run the strategies of CONFIG in virtual time, under a load that is made up.

    \b
    atm simulate atm.toml --profile twitter --tasks 10000 --arrival poisson:50/s \\
        --duration lognormal:0.2s --failure 0.05 --outage 60s-90s --plot twitter.svg

    Exit code: 1 if some task could never start.
    """
    from atm_cli.simulation.chart import lines
    from atm_cli.simulation.figures import figures
    from atm_cli.simulation.quantities import outage
    from atm_cli.simulation.told import told
    from atm_cli.simulation.world import Load, simulate

    load = Load(
        options["tasks"],
        options["arrival"],
        options["duration"],
        options["failure"],
        [outage(one) for one in outages],
        list(options["fields"]),
        options["seed"],
        _start(options["start"]),
    )
    rules = find_rules(config, profile)
    if plot:
        from atm_cli.simulation.plot import check_plot

        check_plot(plot)
    began = time.perf_counter()
    simulated = simulate(rules, load)
    bins = simulated.watch.bins
    found = figures(simulated)
    if as_json:
        course = {"bin_seconds": bins.width, "bins": [one._asdict() for one in bins.closed]}
        click.echo(json.dumps({**found, "course": course}, indent=2))
    else:
        click.echo(told(found, lines(bins.closed, bins.width)), nl=False)
    if plot:
        from atm_cli.simulation.plot import draw

        draw(plot, simulated, f"{config} {profile or ''}".strip())
    say(f"simulated in {time.perf_counter() - began:.1f} s")
    return 1 if simulated.stuck else 0


def _start(text: str) -> float:
    try:
        at = datetime.strptime(text.replace("Z", ""), "%Y-%m-%dT%H:%M:%S" if text.count(":") > 1 else "%Y-%m-%dT%H:%M")
    except ValueError as error:
        raise Failure(f"--start {text}: write a time in UTC, as in 2024-03-31T00:30:00") from error
    return at.replace(tzinfo=timezone.utc).timestamp()
