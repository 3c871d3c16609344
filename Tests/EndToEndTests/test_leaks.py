"""Nothing leaves home except through Tor: every destination of the controller and of every command, under strace."""

import json
import subprocess

from conftest import AGENT, FARSEED, ROOT

#: It takes about 75 s, half of them for a lab of its own; a busy machine needs longer.
DEADLINE = 240
HOMES = {"host", "empty namespace", "own tor", "name by exit", "SOCKS by TCP"}


def test_nothing_is_reached_but_tor_and_the_controller():
    done = subprocess.run(
        [ROOT / "Scripts/check-leaks", "--json", "--farseed", FARSEED, "--agent", AGENT],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    leaks = [row for row in rows if not row["ok"]]
    assert done.returncode == 0 and not leaks, (leaks, done.stderr)
    assert {row["case"] for row in rows} == HOMES
    assert sum(row["count"] for row in rows) > 100, "the scenario did next to nothing"
