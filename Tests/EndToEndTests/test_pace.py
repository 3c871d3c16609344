"""What watching costs the seedbox and the way to it: by whether anybody looks, not by how many."""

import asyncio
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from autobahnclient import Door, Inbox, run
from autobahn.wamp.types import SubscribeOptions
from conftest import make_home, wait_for, wait_mirrored
from wirelog import PATIENT, recording

#: The agent looks at its daemon this often while somebody watches, and this often while nobody does (Docs/Agent.md); the
#: controller lets somebody who left linger for so long; in seconds.
INTERVAL, SELDOM, LINGER = 2, 15, 10
#: Looks of the agent over which the cost is taken.
LOOKS = 3
#: A page subscribes to these of a box, and there is at most one event of each for a look.
TOPICS = ["torrents", "session", "host"]
#: A command of ours is looked after at once: within this, on a busy machine, and sooner than a box that nobody watches is
#: looked at anyway; in seconds.
AT_ONCE = 10


class Costs:
    """What the daemon was asked for, by the log of a proxy before it, and what went over the link, by the agent's recorder."""

    def __init__(self, path, wire):
        self.path, self.wire = path, wire

    def begin(self):
        """Marks where costs are counted from."""
        return self.wire.mark(), len(self.looks()), time.monotonic()

    def looks(self, since=0.0):
        """The times and scopes of requests for torrents."""
        lines = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(float(when), ids) for when, method, ids in lines if method == "torrent-get" and float(when) >= since]

    def is_quiet(self, seconds):
        """True once nothing was asked for so long."""
        last = [when for when, _ in self.looks()]
        return last and time.monotonic() - last[-1] > seconds

    def spent(self, begun):
        """The frames to the VPS and from it, the looks, and the seconds, once there were some looks."""
        mark, before, began = begun
        wait_for("the agent to look", lambda: len(self.looks()) > before + LOOKS)
        there, back = self.wire.since(mark)
        # Read last: each event counted above is of one of these looks or of the one before.
        return there, back, len(self.looks()) - before, time.monotonic() - began


@pytest.fixture(scope="module")
def paced(lab, tmp_path_factory):
    """A controller whose agent speaks to its daemon through a proxy that counts, and what all costs."""
    directory = tmp_path_factory.mktemp("pace")
    # The recorder and the proxy run as others.
    directory.chmod(0o755)
    log, script = directory / "rpc.log", Path(__file__).with_name("rpclog.py")
    lab.spawn("rpc-log", [sys.executable, str(script), lab.rpc_url, str(log)])
    try:
        port = wait_for("the proxy", lambda: (path := Path(f"{log}.port")).exists() and path.read_text().strip())
        lab.write_agent_conf(rpc_url=f"http://127.0.0.1:{port}{urlsplit(lab.rpc_url).path}")
        with recording(lab, directory) as wire, make_home(lab, directory, link=PATIENT) as home:
            home.start()
            wait_mirrored(home)
            yield home, Costs(log, wire)
    finally:
        lab.write_agent_conf()
        lab.end("rpc-log")


def test_ten_pages_cost_the_seedbox_and_the_link_no_more_than_one(paced):
    home, costs = paced

    async def look(client):
        async def watch():
            session, inboxes = await client.owner(), {topic: Inbox() for topic in TOPICS}
            for topic, inbox in inboxes.items():
                await session.subscribe(inbox, f"farseed.vps.{topic}", SubscribeOptions(details=True, get_retained=True))
            return inboxes["torrents"]

        async def cost(pages):
            begun = await asyncio.to_thread(costs.begin)
            inboxes = [await watch() for _ in range(pages)]
            spent = await asyncio.to_thread(costs.spent, begun)
            for inbox in inboxes:
                await inbox.next(lambda details, _: not details.retained)
            return spent

        return await cost(1), await cost(9)

    (one_there, one_back, one_looks, _), (there, back, looks, seconds) = run(Door(home.url), "json", look)
    # The first page makes the agent look often; nine more are nothing that it or anybody on the way would notice.
    assert [kind for kind, _ in one_there].count("call") <= 1, one_there
    assert {kind for kind, _ in there} <= {"ping", "credit"}, there
    assert {kind for kind, _ in back} <= {"pong", "event"}, back
    events = [[size for kind, size in frames if kind == "event"] for frames in (one_back, back)]
    assert 0 < len(events[1]) <= len(TOPICS) * (looks + 1), (events, looks)
    assert sum(events[1]) / looks < 2 * sum(events[0]) / one_looks, (events, looks, one_looks)
    # One may have been due when the time began, another when it ended.
    assert looks <= seconds / INTERVAL + 2, (looks, seconds)


def test_a_seedbox_that_nobody_watches_is_asked_seldom_and_tells_nothing_in_between(paced, lab):
    home, costs = paced
    wait_for("the agent to rest", lambda: costs.is_quiet(3 * INTERVAL), LINGER + 30)
    mark, before, began = costs.begin()
    # Programs that look at other things are no reason to look at this.
    others = ["farseed.jobs", "farseed.link.vps"]

    async def look(client):
        session = await client.owner()
        for topic in others:
            inbox = Inbox()
            await session.subscribe(inbox, topic, SubscribeOptions(details=True, get_retained=True))
            await inbox.next()

    run(Door(home.run("user", "login", "owner").stdout.strip()), "json", look)
    there, back = costs.wire.since(mark)
    more = len(costs.looks()) - before
    assert more <= (time.monotonic() - began) / SELDOM + 1 and {kind for kind, _ in there} <= {"ping", "credit"}, (more, there)
    assert {kind for kind, _ in back} <= ({"pong", "event"} if more else {"pong"}), back

    # What we do ourselves is looked at at once.
    hash = next(iter(lab.box.torrents()))
    began = time.monotonic()
    done = home.run("set", hash, "--label", "paced")
    assert done.returncode == 0, done.stderr
    wait_for("a look after our own command", lambda: [ids for _, ids in costs.looks(began) if ids == "all"], AT_ONCE)
    wait_for("the label at home", lambda: home.torrents()[hash].get("labels") == ["paced"], AT_ONCE)
    lab.box.rpc("torrent-set", {"ids": [hash], "labels": []})
