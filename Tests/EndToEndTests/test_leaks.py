"""Nothing leaves home except through Tor: every destination of the controller and of every command, under strace."""

import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path

from conftest import AGENT, FARSEED, ROOT

from lab import packages, processes
from leaks.scenario import Check

HOMES = {"host", "empty namespace", "own tor", "name by exit", "SOCKS by TCP"}


def test_nothing_is_reached_but_tor_and_the_controller(lab, capsys):
    """The scenario of `Scripts/check-leaks`, with the laboratory that is there already; it breaks every part of the way."""

    def say(text):
        print(text, file=sys.stderr, flush=True)

    packages.ensure(["strace"], say)
    before = set(lab.box.torrents())
    try:
        # The paths of unix sockets below pytest's own directory would be too long.
        with tempfile.TemporaryDirectory(prefix="leaks-") as name, processes.Family(Path(name, "logs"), bound=True) as family:
            check = Check(Path(name), types.SimpleNamespace(farseed=FARSEED, agent=AGENT), lab, family, say)
            check.run()
            family.end()
            status = check.report(as_json=True)
    finally:
        # It has installed the agent anew, and added torrents.
        lab.set_agent(AGENT)
        if new := list(set(lab.box.torrents()) - before):
            lab.box.rpc("torrent-remove", {"ids": new, "delete-local-data": True})
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0 and not check.failures, check.failures
    assert {row["case"] for row in rows} == HOMES
    assert sum(row["count"] for row in rows) > 100, "the scenario did next to nothing"


def test_the_script_names_what_is_missing():
    done = subprocess.run([ROOT / "Scripts/check-leaks", "--farseed", "/nowhere/farseed"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "/nowhere/farseed" in done.stderr, done
