"""Scripts/bench measures: its short form ends, and every row is whole."""

import json
import math
import subprocess

from conftest import AGENT, FARSEED, ROOT

#: The longest takes about 45 s, half of them for a lab of its own; a busy machine needs longer.
DEADLINE = 240
#: What the short form of `bench link` measures.
CASES = {"cold start to a list", "one command", "10 commands at once", "change to controller",
         "recovery, SSH connection reset"}
FORM = {"bench": str, "case": str, "subject": str, "value": (int, float), "unit": str, "runs": int}


#: What `bench fanout` measures of each server, and what it compares.
FIGURES = {"deliveries a second", "server CPU per million deliveries", "p50 at 2000 deliveries/s",
           "p99 at 2000 deliveries/s", "memory of an idle subscriber", "set-up rate"}
RATIO = "CPU, farseed / peer"


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
    subjects = {row["subject"] for row in rows}
    assert {"farseed exec", "ssh with ControlMaster", "torsocks ssh", "farseed list"} <= subjects, errors


def test_the_short_form_of_bench_fanout_gives_whole_rows():
    # Without crossbar, which brings eighty packages of PyPI.
    rows, errors = rows_of("fanout", "--peer", "loop", "--peer", "nchan")
    found = {(row["case"].partition(": ")[2], row["subject"]) for row in rows}
    servers = {"farseed serve", "C loop", "nchan"}
    wanted = {(figure, server) for figure in FIGURES for server in servers}
    assert found == wanted | {(RATIO, server) for server in servers - {"farseed serve"}}, errors
