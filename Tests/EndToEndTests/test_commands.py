"""Commands that change something: accepted on disk, executed once, taken back, and waiting while the link is down."""

import json
import signal

import pytest

from conftest import Page, link_state, wait_for


@pytest.fixture
def spare(lab, tmp_path):
    """A .torrent file that the seedbox does not have yet, and its hash; gone afterwards."""
    metainfo, hash = lab.make_torrent(f"spare-{tmp_path.name}.iso", size=200_000)
    file = tmp_path / "spare.torrent"
    file.write_bytes(metainfo)
    yield file, hash
    if hash in lab.box.torrents():
        lab.box.rpc("torrent-remove", {"ids": [hash]})


def states(home):
    return {job["id"]: job["state"] for job in json.loads(home.run("jobs", "--json").stdout)["jobs"]}


def test_a_torrent_through_its_life(served, lab, spare):
    file, hash = spare
    added = served.run("add", str(file), "--paused")
    assert added.returncode == 0 and hash[:8] in added.stdout, added
    # Transmission verifies it first.
    wait_for("the torrent to be stopped", lambda: lab.box.torrents("status")[hash]["status"] == 0)
    assert served.run("add", str(file)).returncode == 15, "adding it twice is an answer of its own"

    assert served.run("start", hash[:12]).returncode == 0
    assert lab.box.torrents("status")[hash]["status"] != 0
    assert served.run("stop", hash[:12]).returncode == 0
    assert lab.box.torrents("status")[hash]["status"] == 0

    assert served.run("remove", hash).returncode == 0
    assert hash not in lab.box.torrents()
    assert served.run("undo").returncode == 0
    wait_for("the torrent to be back", lambda: hash in lab.box.torrents())
    assert set(states(served).values()) == {"done"}


@pytest.mark.parametrize("selection, code", [("ffffffff", 13), ("no such name", 13), ("", 10)])
def test_what_names_no_torrent_changes_nothing(served, selection, code):
    before = served.torrents().keys()
    assert served.run("remove", selection).returncode == code
    assert served.torrents().keys() == before


def test_a_command_waits_while_the_link_is_down_and_is_done_when_it_is_back(served, lab, spare):
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: link_state(served) != "live")
        refused = served.run("start", hash, "--no-queue")
        assert refused.returncode >= 30, "--no-queue fails now when the link is down"
        queued = served.run("start", hash, "--no-wait")
        assert queued.returncode == 0 and "job" in queued.stdout, queued
        assert any(state != "done" for state in states(served).values())
        # What was accepted is on disk: also a controller that is killed does it later.
        served.stop(signal.SIGKILL)
        assert lab.box.torrents("status")[hash]["status"] == 0
    finally:
        lab.start_sshd()
    served.start()
    wait_for("the job to be done", lambda: link_state(served) == "live" and set(states(served).values()) == {"done"}, 90)
    assert lab.box.torrents("status")[hash]["status"] != 0


def test_a_page_outlives_its_controller(served, chromium):
    """Logins are on disk: when the controller is back the page goes on, without a reload or a new login."""
    port = served.url.split(":")[2].split("/")[0]
    served.stop()
    config = served.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}")
    served.config.write_text(config)
    served.start()
    page = Page(chromium, served.url).wait_live()
    page.script("window.farseedTestMark = 1")
    served.stop(signal.SIGKILL)
    wait_for("the page to notice", lambda: page.state == "stale")
    served.start()
    page.wait_live(90)
    assert page.script("return window.farseedTestMark") == 1
