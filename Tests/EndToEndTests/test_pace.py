"""How often the seedbox's daemon is asked: by whether anybody looks, not by how many."""

import asyncio
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from autobahnclient import Door, Inbox, run
from conftest import hop, wait_for

#: Seconds; the controller lets somebody who left linger for ten of them.
IDLE, LOOKED, LINGER = 30, 12, 10


class Requests:
    """What the daemon was asked for, by the proxy's log."""

    def __init__(self, path):
        self.path = path

    def looks(self, since=0.0):
        """The times and scopes of requests for torrents."""
        lines = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(float(when), ids) for when, method, ids in lines if method == "torrent-get" and float(when) >= since]

    def during(self, seconds):
        """How many looks there are in the next so many seconds."""
        began = time.monotonic()
        time.sleep(seconds)
        return len(self.looks(began))

    def quiet(self, seconds):
        """True once nothing was asked for so long."""
        last = [when for when, _ in self.looks()]
        return last and time.monotonic() - last[-1] > seconds


@pytest.fixture
def requests(lab, tmp_path):
    """The agent speaks to its daemon through a proxy that counts."""
    log = tmp_path / "rpc.log"
    script = Path(__file__).with_name("rpclog.py")
    lab.spawn("rpc-log", [sys.executable, str(script), lab.rpc_url, str(log)])
    port = wait_for("the proxy", lambda: (path := Path(f"{log}.port")).exists() and path.read_text().strip())
    lab.write_agent_conf(rpc_url=f"http://127.0.0.1:{port}{urlsplit(lab.rpc_url).path}")
    yield Requests(log)
    lab.write_agent_conf()
    lab.end("rpc-log")


def test_the_daemon_is_asked_seldom_while_nobody_looks(requests, home, lab):
    home.start()
    wait_for("the daemon to be asked", lambda: hop(home, "transmission") == "up")
    wait_for("the agent to rest", lambda: requests.quiet(4))
    idle = requests.during(IDLE)
    assert 1 <= idle <= 3, requests.looks()

    # What we do ourselves is looked at at once.
    hash = next(iter(lab.box.torrents()))
    began = time.monotonic()
    done = home.run("set", hash, "--label", "paced")
    assert done.returncode == 0, done.stderr
    wait_for("a look after our own command", lambda: [ids for _, ids in requests.looks(began) if ids == "all"], 5)
    wait_for("the label at home", lambda: home.torrents()[hash].get("labels") == ["paced"], 5)
    lab.box.rpc("torrent-set", {"ids": [hash], "labels": []})


def test_ten_who_look_cost_as_much_as_one(requests, home):
    home.start()
    wait_for("the daemon to be asked", lambda: hop(home, "transmission") == "up")
    wait_for("the agent to rest", lambda: requests.quiet(4))

    async def look(client):
        counts = []
        for viewers in (1, 9):
            for _ in range(viewers):
                session = await client.owner()
                await session.subscribe(Inbox(), "farseed.vps.torrents")
            await asyncio.to_thread(wait_for, "the agent to look often", lambda: not requests.quiet(2))
            counts.append(await asyncio.to_thread(requests.during, LOOKED))
        return counts

    one, ten = run(Door(home.url), "json", look)
    assert one >= LOOKED / 2 - 2 and abs(ten - one) <= 2, (one, ten)
    # And rests again once all have left.
    wait_for("the agent to rest", lambda: requests.quiet(4), LINGER + 30)
