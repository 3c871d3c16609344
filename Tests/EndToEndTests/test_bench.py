"""Scripts/bench measures: its short form ends, and every row is whole."""

import hashlib
import json
import math
import subprocess

import pytest

from benches import deflate, rows
from benches.steps import lost_and_doubled
from conftest import AGENT, FARSEED, ROOT
from lab.delay import WEATHER, Delay

#: The longest takes about 45 s, half of them for a lab of its own; a busy machine needs longer.
DEADLINE = 240
#: What the short form of `bench link` measures.
CASES = {"cold start to a list", "one command", "10 commands at once", "change to controller",
         "recovery, SSH connection reset"}
FORM = {"bench": str, "case": str, "subject": str, "value": (int, float), "unit": str, "runs": int}


#: What `bench fanout` measures of each server, and what it compares.
FIGURES = {"deliveries a second", "server CPU per million deliveries", "p50 at 2000 deliveries/s",
           "p99 at 2000 deliveries/s", "p99 of the middle event at 2000 deliveries/s", "memory of an idle subscriber",
           "set-up rate"}
RATIO = "CPU, farseed / peer"


#: What `bench agent` measures, and between which bounds that is no nonsense: far wider than the goals, as the
#: machine may be busy and the agent a debug build.
BOUNDS = {
    "agent, CPU of one core": (0, 30),
    "agent, resident, all its processes": (5, 200),
    "agent, resident, pages of several processes once": (5, 200),
    "agent, output per 2 s": (100, 5_000),
    "agent, output per 2 s, compressed": (20, 1_000),
    "agent, output per 2 s, packed by SSH": (60, 1_500),
    "agent, packets per 2 s": (0.2, 3),
    "daemon while the agent watches, CPU": (0, 50),
    "transmission-remote -l, output": (5_000, 20_000),
    "transmission-remote -l, output, compressed": (50, 5_000),
    "transmission-remote -l, RPC reply": (10_000, 100_000),
    "daemon while -l is run every 2 s, CPU": (0, 50),
    "Flood, RPC reply every 2 s": (10_000, 200_000),
    "Flood, RPC reply compressed": (500, 50_000),
    "daemon while Flood asks, CPU": (0, 50),
    "TrguiNG, RPC reply every 5 s": (20_000, 500_000),
    "TrguiNG, RPC reply compressed": (500, 50_000),
    "daemon while TrguiNG asks, CPU": (0, 50),
}


def rows_of(*words):
    """The rows of a bench's short form, each whole."""
    done = subprocess.run(
        [ROOT / "Scripts/bench", *words, "--quick", "--json", "--farseed", FARSEED],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        assert row.keys() == FORM.keys(), row
        assert all(isinstance(row[name], kind) for name, kind in FORM.items()), row
        assert row["bench"] == words[0] and row["runs"] > 0 and row["value"] >= 0 and math.isfinite(row["value"]), row
    return rows, done.stderr


def test_the_short_form_of_bench_link_gives_whole_rows():
    rows, errors = rows_of("link", "--agent", AGENT)
    assert {row["case"].partition(": ")[2] for row in rows} == CASES, errors
    found = {row["subject"]: row["value"] for row in rows}
    assert {"farseed exec", "ssh with ControlMaster", "torsocks ssh", "farseed list"} <= found.keys(), errors
    # Of the commands that were given while the link broke.
    assert found["farseed, commands lost"] == found["farseed, commands doubled"] == 0, errors


@pytest.mark.parametrize("way, places, counts", [
    ("up", {"a": 4, "b": 8, "c": 12}, (0, 0)), ("down", {"a": 6, "b": 10, "c": 14}, (0, 0)),
    ("up", {"a": 5, "b": 8, "c": 11}, (1, 1)), ("up", {"a": 3, "b": 7, "c": 10}, (0, 3)),
    ("down", {"a": 4, "b": 9, "c": 13}, (3, 0)),
])
def test_bench_link_tells_commands_that_are_lost_or_doubled(way, places, counts):
    assert lost_and_doubled(way, {"a": 5, "b": 9, "c": 13}, places) == counts


def test_a_delay_changes_within_its_jitter_and_lasts_a_while():
    weather = Delay(0.1, 0.05)
    seen = [weather.at(moment * WEATHER) for moment in range(200)]
    assert 0.05 <= min(seen) < 0.07 and 0.13 < max(seen) <= 0.15
    assert weather.at(199.5 * WEATHER) == seen[-1] and len(set(seen)) > 100
    assert {Delay(0.1, 0).at(moment) for moment in range(9)} == {0.1}


def test_the_short_form_of_bench_agent_gives_whole_and_sane_rows():
    rows, errors = rows_of("agent", "--agent", AGENT)
    found = {row["subject"]: row["value"] for row in rows}
    assert len(rows) == len(found) and found.keys() == BOUNDS.keys(), errors
    for subject, (least, most) in BOUNDS.items():
        assert least <= found[subject] <= most, (subject, found[subject])
    once, every = (found[f"agent, resident, {what}"] for what in ("pages of several processes once", "all its processes"))
    assert once <= every
    # SSH makes less of what repeats itself, and adds to each packet.
    plain, compressed, packed = (found[f"agent, output per 2 s{what}"] for what in ("", ", compressed", ", packed by SSH"))
    assert compressed < packed < plain


def test_the_short_form_of_bench_fanout_gives_whole_rows():
    # Without crossbar, which brings eighty packages of PyPI.
    rows, errors = rows_of("fanout", "--peer", "loop", "--peer", "nchan")
    found = {(row["case"].partition(": ")[2], row["subject"]) for row in rows}
    servers = {"farseed serve", "C loop", "nchan"}
    wanted = {(figure, server) for figure in FIGURES for server in servers}
    assert found == wanted | {(RATIO, server) for server in servers - {"farseed serve"}}, errors


def test_bench_deflate_weighs_each_setting_with_and_without_what_came_before(capsys):
    """On events of its own making: taking real ones needs a laboratory and 90 s."""
    hashes = [hashlib.sha1(bytes([number])).hexdigest() for number in range(20)]

    def event(seq, kind):
        changed = {hash: {"down": seq * 1_000 + place, "progress": seq / 100} for place, hash in enumerate(hashes)}
        return json.dumps([36, 1, seq, {}, [], {"epoch": 1, "seq": seq, kind: changed}]).encode()

    table = rows.Table("deflate", True)
    deflate.tell(table, [event(0, "full"), *(event(seq, "set") for seq in range(1, 10))], 0.01)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == table.rows
    found = {(row["case"], row["subject"]): row["value"] for row in table.rows}
    assert len(found) == len(table.rows) == 2 + 4 * 2 * len(deflate.SETTINGS)
    for setting, kib in zip(deflate.SETTINGS, (256, 16, 3), strict=True):
        kept, alone = f"{setting}, with take-over", f"{setting}, without take-over"
        assert found[kept, "deltas smaller by"] >= found[alone, "deltas smaller by"] > 1
        assert (found[kept, "memory of a subscriber"], found[alone, "memory of a subscriber"]) == (kib, 0)
        assert found[kept, "CPU of a delivery"] > 0 and found[alone, "CPU of an event"] > 0
    large, _, small = (found[f"{setting}, with take-over", "deltas smaller by"] for setting in deflate.SETTINGS)
    assert large > small
    # Why the decision was taken: lengths tell what names say.
    assert deflate.guessed(deflate.SETTINGS["level 6, window 32 KiB"]) >= 3
