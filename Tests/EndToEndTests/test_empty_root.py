"""The static agent needs nothing of the machine that it is copied to but /proc."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from conftest import AGENT, wait_for

LARGEST = 15_000_000


def test_the_agent_is_one_small_static_file():
    data = AGENT.read_bytes()
    assert len(data) < LARGEST
    # An interpreter would be asked for by name.
    assert b"/lib64/ld-linux" not in data


@pytest.mark.parametrize("resident", ["no", "yes"])
def test_it_serves_in_an_empty_root(lab, tmp_path, resident):
    root = tmp_path / "root"
    script = Path(__file__).with_name("emptyroot.py")
    try:
        done = lab.run_in_namespace([sys.executable, script, AGENT, root, lab.rpc_url, resident])
        assert done.returncode == 0, done
        first, second = json.loads(done.stdout)
        for session in (first, second):
            assert session["status"]["transmission"]["state"] == "up"
            assert session["torrents"] == len(lab.box.torrents())
            assert {"cpus", "memory_total", "load_1", "booted_at"} <= set(session["host"])
            assert session["ended"] == 0
        # The process that stays keeps the history from one session to the next.
        assert (first["epoch"] == second["epoch"]) == (resident == "yes")
        # Nothing was made in the root but what it keeps.
        assert {path.name for path in root.iterdir()} == {"proc", "farseed-agent", "agent.conf", "state"}
    finally:
        for pid in residents(root):
            os.kill(pid, signal.SIGKILL)
    wait_for("the resident to end", lambda: not residents(root))


def residents(root):
    """The processes whose root this is."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "root").readlink() == root:
                found.append(int(process.name))
        except OSError:
            continue
    return found
