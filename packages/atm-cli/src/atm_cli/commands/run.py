"""``atm run``: a function over many inputs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import sys
import time
from typing import Any, Dict, List, Optional

import click

from atm_cli.completion import complete_profile, complete_strategy
from atm_cli.failure import Failure, describe, say
from atm_cli.rules import find_rules
from atm_cli.running.inputs import FORMATS, Inputs, Record
from atm_cli.running.interrupts import interruptible
from atm_cli.running.journal import Journal
from atm_cli.running.output import Output
from atm_cli.running.progress import report
from atm_cli.running.run import Run
from atm_cli.running.sink import Sink
from atm_cli.running.summary import sum_up
from atm_cli.target import Target, find_target
from atm_core import ConcurrentLimitStrategy, TaskManager


@click.command("run")
@click.argument("target")
@click.option(
    "-i", "--input", "inputs", default="-", metavar="FILE", help="Where the inputs are; - is stdin, the default."
)
@click.option(
    "--format", type=click.Choice(FORMATS), help="How to read them. Default: by the file's suffix, else lines."
)
@click.option("--column", metavar="NAME", help="Give the function this field of each row or object, not all as a dict.")
@click.option("--encoding", default="utf-8", show_default=True, help="Of the inputs.")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Take the first N inputs only.")
@click.option(
    "-s",
    "--strategy",
    "strategies",
    multiple=True,
    metavar="NAME:PARAMETER=VALUE,...",
    shell_complete=complete_strategy,
    help="A rule to run under; may be given again.",
)
@click.option("-c", "--config", metavar="FILE", help="Rules from a TOML or JSON file.")
@click.option(
    "-p", "--profile", metavar="NAME", shell_complete=complete_profile, help="Which of the config's profiles."
)
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="One JSON line for each input; - is stdout, the default."
)
@click.option("--ordered", is_flag=True, help="Write in the order of the inputs, not as they complete.")
@click.option(
    "-j", "--journal", metavar="FILE", help="Remember what is finished: the same command goes on where it stopped."
)
@click.option("--restart", is_flag=True, help="Forget what the journal remembers, and empty the output.")
@click.option("--retry-failed", is_flag=True, help="Run again what the journal remembers as failed.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--max-in-flight",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Take no more inputs than this ahead of what is written.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    metavar="N",
    help="For a function that is not async.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would run.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but mistakes.")
@click.option(
    "--json", "as_json", is_flag=True, help="Tell the summary as JSON: on stdout, or on stderr if results go to stdout."
)
def command(**options: Any) -> int:
    """Run TARGET on each input, under strategies.

    TARGET is FILE.py:FUNCTION or package.module:FUNCTION. An async function is awaited, a plain one runs in threads; it
    gets a line, a JSON value, or a table's row as a dict.

    \b
    atm run crawl.py:fetch --input urls.txt --output results.jsonl --journal run.sqlite \\
        --strategy concurrent_limit:max_concurrent=20,key=host --strategy retry:max_attempts=5

    Ctrl-C once lets what runs end; twice cancels it. Exit code: 0 all good, 1 some failed, 2 wrong usage or a file that
    cannot be read or written, 130 interrupted.
    """
    if not options["journal"] and (options["restart"] or options["retry_failed"]):
        raise click.UsageError("--restart and --retry-failed need a --journal")
    # What the function prints is for people: stdout may be full of results.
    with contextlib.redirect_stdout(sys.stderr):
        target = find_target(options["target"])
        manager = find_rules(options["config"], options["profile"], options["strategies"]).build(TaskManager)
        if target.threaded:
            manager.register(ConcurrentLimitStrategy(options["threads"]), "threads")
    with contextlib.ExitStack() as held:
        inputs = Inputs(options["inputs"], options["format"], options["column"], options["encoding"], options["limit"])
        held.callback(inputs.close)
        if options["dry_run"]:
            return _dry_run(options, target, manager, inputs)
        if options["inputs"] != "-" and _same_file(options["inputs"], options["output"]):
            raise Failure(f"{options['output']} is the input: results need a file of their own")
        journal = _journal(options, target)
        if journal is not None:
            held.callback(journal.close)
        output = Output(options["output"])
        held.callback(output.abandon)
        sink = Sink(output, journal, options["ordered"])
        sink.begin()
        most, fail_fast = options["max_in_flight"], options["fail_fast"]
        run = Run(manager, target.call, inputs, sink, journal, max_in_flight=most, fail_fast=fail_fast)
        began = time.monotonic()
        with contextlib.redirect_stdout(sys.stderr):
            asyncio.run(_go(run, options))
    code = sum_up(run, time.monotonic() - began, options)
    if target.threaded and run.phase == "cancelling":
        # A thread cannot be cancelled, and Python would wait for it: everything is written, so leave.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _journal(options: Any, target: Target) -> Optional[Journal]:
    if not options["journal"]:
        return None
    journal = Journal(options["journal"], _settings(options, target))
    if options["restart"]:
        journal.forget()
    elif options["retry_failed"]:
        journal.forget(failed_only=True)
    return journal


def _settings(options: Any, target: Target) -> Dict[str, str]:
    """What must be the same when a run goes on."""
    return {"target": target.name, "order": "of the inputs" if options["ordered"] else "of completion"}


async def _go(run: Run, options: Any) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(options["threads"]))
    showing = loop.create_task(report(run, options["quiet"]))
    with interruptible(run):
        await run.go()
    showing.cancel()
    await asyncio.wait({showing})
    if not showing.cancelled() and showing.exception() is not None:
        say(f"the progress could not be shown: {describe(showing.exception())}")
    if run.phase == "cancelling":  # asyncio would wait for the threads of this one
        loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(1))


def _dry_run(options: Any, target: Target, manager: TaskManager, inputs: Inputs) -> int:
    shown: List[Record] = []
    for record in inputs:
        if len(shown) < 3:
            shown.append(record)
        elif inputs.size is None:
            break  # a pipe may never end
    plan = {
        "target": target.name,
        "runs_in": "threads" if target.threaded else "the event loop",
        "strategies": {name: type(one).__name__ for name, one in manager.strategies.items()},
        "inputs": inputs.total() if inputs.ended or inputs.size is not None else None,
        "first_inputs": [record.item for record in shown],
        "output": options["output"],
        "journal": options["journal"],
        "finished": _finished_before(options, target),
    }
    if options["as_json"]:
        click.echo(json.dumps(plan))
        return 0
    for name, value in plan.items():
        if isinstance(value, (list, dict)):
            value = ", ".join(str(one) for one in value)
        shown_value = "unknown" if name == "inputs" and value is None else "none" if value in (None, "") else value
        click.echo(f"{name.replace('_', ' '):<14}{shown_value}")
    return 0


def _finished_before(options: Any, target: Target) -> int:
    if not options["journal"] or not os.path.exists(options["journal"]) or options["restart"]:
        return 0
    journal = Journal(options["journal"], _settings(options, target))
    finished = int(journal.finished - (journal.failed if options["retry_failed"] else 0))
    journal.close()
    return finished


def _same_file(one: str, other: str) -> bool:
    try:
        return other != "-" and os.path.samefile(one, other)
    except OSError:
        return False
