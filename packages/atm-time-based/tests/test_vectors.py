"""The reference vectors: all of Debian's dialect, Quartz's where it says the same, and the rejections."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List

import pytest
from atm_time_based import Cron, ScheduleError, cron
from atm_time_based._cron import CronExpression
from atm_time_based._zones import UTC, find_zone, instants, local

Vector = Dict[str, Any]

ALL = json.loads((Path(__file__).parent / "vectors" / "timebased.json").read_text(encoding="utf-8"))
VIXIE: List[Vector] = [one for one in ALL["vectors"] if one.get("semantics") == "debian-vixie"]
QUARTZ: List[Vector] = [one for one in ALL["vectors"] if str(one.get("semantics")).startswith("quartz")]

# Quartz refuses day-of-month and day-of-week together; Vixie's crons join them, and cronsim's vectors have
# six fields of this form ("* 30 */2 * * *"). Ours is Vixie's dialect, so these three are taken.
QUARTZ_ONLY = {"0 0 * * * *", "0 0 * 4 * *", "0 0 * * * 4"}


def shown(vector: Vector) -> str:
    inputs = vector["inputs"]
    return f"{inputs['expr']} from {inputs.get('start') or inputs.get('at')}"


def moment(text: str, zone_name: Any) -> float:
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=find_zone(zone_name or "UTC"))).timestamp()


@pytest.mark.parametrize("vector", [one for one in VIXIE if not one["inputs"]["reverse"]], ids=shown)
def test_fires_when_debians_cron_does(vector: Vector) -> None:
    """Each time that the vector gives is the next one after the one before."""
    inputs = vector["inputs"]
    if vector["expected"] == ["StopIteration"]:
        with pytest.raises(ScheduleError, match="never"):
            cron(inputs["expr"])
        return
    schedule = cron(inputs["expr"], timezone=inputs["tz"] or "UTC")
    wall_time = moment(inputs["start"], inputs["tz"])
    for text in vector["expected"]:
        found = schedule.next_after(wall_time)
        assert found == moment(text, inputs["tz"])
        wall_time = found


@pytest.mark.parametrize("vector", [one for one in VIXIE if one["inputs"]["reverse"]], ids=shown)
def test_the_vectors_that_look_back_hold_forwards(vector: Vector) -> None:
    """There is no look back here; but of two neighbours the later is the next one after the earlier."""
    inputs = vector["inputs"]
    schedule = cron(inputs["expr"], timezone=inputs["tz"] or "UTC")
    later = moment(inputs["start"], inputs["tz"])
    for text in vector["expected"]:
        earlier = moment(text, inputs["tz"])
        assert schedule.next_after(earlier) == later
        later = earlier


@pytest.mark.parametrize("vector", QUARTZ, ids=shown)
def test_matches_the_days_that_quartz_matches(vector: Vector) -> None:
    """``L``, ``L-n``, ``nW``, ``L-nW`` and lists of them; without Quartz's year field."""
    at = moment(vector["inputs"]["at"], None)
    expression = CronExpression(" ".join(vector["inputs"]["expr"].split()[:6]))
    assert (expression.next_after(at - 1, UTC) == at) is vector["expected"]


@pytest.mark.parametrize("vector", ALL["rejections"], ids=lambda one: str(one["inputs"]["expr"]))
def test_refuses_what_is_malformed_and_names_the_field(vector: Vector) -> None:
    expression = vector["inputs"]["expr"]
    if expression in QUARTZ_ONLY:
        assert isinstance(cron(expression), Cron)
        return
    with pytest.raises(ScheduleError) as caught:
        cron(expression)
    message = str(vector["expected"].get("message", ""))
    if message.startswith("Bad "):
        field = message[len("Bad ") :]
        assert caught.value.field == field
        assert str(caught.value).startswith(field)
        assert repr(" ".join(expression.split())) in str(caught.value)


def test_croniters_lord_howe_hours_are_ours_too() -> None:
    """Where the clocks change by half an hour, an hourly expression skips the hour that is not shown."""
    vectors = [one for one in ALL["vectors"] if one["inputs"].get("tz") == "Australia/Lord_Howe"]
    calls = 0
    for vector in vectors:
        if {call["call"] for call in vector["expected"]} != {"get_next"}:
            continue
        schedule = cron(vector["inputs"]["expr"], timezone="Australia/Lord_Howe")
        wall_time = moment(vector["inputs"]["start"], None)
        for call in vector["expected"]:
            found = schedule.next_after(wall_time)
            assert found == moment(call["value"], None)
            wall_time = found
            calls += 1
    assert calls > 5


def test_instants_know_gaps_and_repeated_hours() -> None:
    zone = find_zone("Europe/Riga")
    assert zone is not None
    assert instants(datetime(2021, 3, 28, 3, 30), zone) == []
    first, second = instants(datetime(2021, 10, 31, 3, 30), zone)
    assert second - first == 3600
    assert local(first, zone) == local(second, zone) == datetime(2021, 10, 31, 3, 30)
