"""Nobody asks across Tor how things are: home is told, and a change on the VPS is seen within one look of the agent."""

import collections
import contextlib
import time

import pytest

from conftest import Page, make_home, status, transmission_remote, wait_for, wait_mirrored
from wirelog import PATIENT, recording

#: How long nothing but news may go over the link, in seconds, with pings this far apart.
QUIET, PING = 30, 5
#: The agent looks at Transmission this often while somebody watches, in seconds (Docs/Agent.md).
WATCH_INTERVAL = 2
#: What the daemon takes for the command, the browser to draw and this test to look, on a busy machine, in seconds.
DRAWING = 1


@pytest.fixture
def recorded(lab, tmp_path):
    """A home, and what goes over its link."""
    with recording(lab, tmp_path) as wire, make_home(lab, tmp_path, link=PATIENT | {"probe-after": PING}) as home:
        home.start()
        wait_mirrored(home)
        yield home, wire


@contextlib.contextmanager
def all_stopped(lab):
    """No torrent moves."""
    hashes = [hash for hash, row in lab.box.torrents("status").items() if row["status"] != 0]
    lab.box.rpc("torrent-stop", {"ids": hashes})
    try:
        wait_for("everything to stand", lambda: all(row["status"] == 0 for row in lab.box.torrents("status").values()))
        yield
    finally:
        lab.box.rpc("torrent-start", {"ids": hashes})


def settled(page):
    """Waits until the page shows every torrent as stopped."""
    wait_for("the page to show it", lambda: set(page.script(
        "return [...document.querySelectorAll('tr[data-hash] [data-field=status]')].map(cell => cell.textContent)"))
        == {"stopped"})


def test_a_quiet_link_carries_pings_and_news_and_no_request(recorded, lab, chromium):
    home, wire = recorded
    page = Page(chromium, home.url).wait_live()
    with all_stopped(lab):
        settled(page)
        before = wire.mark()
        time.sleep(QUIET)
        there, back = wire.since(before)
        assert page.state == "live"
    count = collections.Counter(kind for kind, _ in there)
    print(f"home to VPS: {dict(count)}, {sum(size for _, size in there)} bytes; "
          f"VPS to home: {dict(collections.Counter(kind for kind, _ in back))}, {sum(size for _, size in back)} bytes")
    assert set(count) <= {"ping", "credit"}, count
    assert QUIET / PING - 3 <= count["ping"] <= QUIET / PING + 1, count
    assert {kind for kind, _ in back} <= {"pong", "event"}, back
    # Credit is what reading news costs; where there is none, nothing asks for any.
    assert count["credit"] <= 1
    # A ping and its pong have 17 bytes each.
    assert sum(size for _, size in there) <= 17 * count["ping"] + 13
    assert sum(1 for kind, _ in back if kind == "pong") >= count["ping"] - 1


def test_a_change_on_the_vps_is_on_the_page_within_one_look_and_one_way(served, page, lab, tmp_path):
    round_trip = wait_for("a round trip", lambda: status(served)["boxes"][0]["link"].get("rtt_ms")) / 1000
    seconds = []
    for number in range(5):
        metainfo, hash = lab.make_torrent(f"quiet-{number}.iso", size=50_000, seeded=False)
        file = tmp_path / f"{number}.torrent"
        file.write_bytes(metainfo)
        try:
            begun = time.monotonic()
            transmission_remote(lab, "-a", str(file))
            wait_for("the new torrent", lambda: hash in page.hashes(), pause=0.02)
            seconds.append(time.monotonic() - begun)
            begun = time.monotonic()
        finally:
            transmission_remote(lab, "-t", hash, "--remove")
        wait_for("it to be gone", lambda: hash not in page.hashes(), pause=0.02)
        seconds.append(time.monotonic() - begun)
    print(f"round trip {round_trip:.3f} s; seen after {', '.join(f'{value:.2f}' for value in seconds)} s")
    # One way is half a round trip; the whole is allowed, as the measured one is smoothed.
    assert max(seconds) < WATCH_INTERVAL + round_trip + DRAWING, seconds
