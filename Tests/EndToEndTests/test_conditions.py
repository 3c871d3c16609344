"""Commands that are meant for one state of a torrent only, and commands that nobody wants any more."""

import json
import signal
import subprocess

import pytest

from conftest import DEADLINE, FARSEED, link_state, wait_for


def spare(lab, served, tmp_path):
    """A stopped torrent that is nobody else's; its hash."""
    metainfo, hash = lab.make_torrent(f"{tmp_path.name}.iso", size=200_000, seeded=False)
    file = tmp_path / "spare.torrent"
    file.write_bytes(metainfo)
    added = served.run("add", "--paused", str(file))
    assert added.returncode == 0, added.stderr
    wait_for("the torrent to be stopped", lambda: served.torrents()[hash]["status"] == "stopped")
    return hash


def test_a_command_for_another_state_changes_nothing(served, lab, tmp_path):
    hash = spare(lab, served, tmp_path)
    refused = served.run("set", hash, "--label", "late", "--only-if", "seeding", "--only-if", "downloading")
    assert refused.returncode == 16, refused
    assert "is stopped by now" in refused.stderr and "Nothing was done" in refused.stderr
    assert not served.torrents()[hash].get("labels")
    done = served.run("set", hash, "--label", "in time", "--only-if", "stopped")
    assert done.returncode == 0, done.stderr
    wait_for("the label", lambda: served.torrents()[hash].get("labels") == ["in time"])
    assert served.run("remove", hash, "--yes").returncode == 0


def test_a_command_that_expires_ends_with_the_code_for_time(served, lab, tmp_path):
    hash = spare(lab, served, tmp_path)
    lab.kill_tor_client()
    try:
        late = served.run("start", hash, "--expiry", "1")
        assert late.returncode == 18, late
        assert "no longer wanted" in late.stderr
    finally:
        lab.start_tor_client()
    wait_for("the link", lambda: json.loads(served.run("status", "--json").stdout)["boxes"][0]["link"]["state"] == "live")
    assert served.torrents()[hash]["status"] == "stopped"
    assert served.run("remove", hash, "--yes").returncode == 0


def test_a_command_of_a_time_without_tor_is_done_when_tor_is_back(served, lab, tmp_path):
    hash = spare(lab, served, tmp_path)
    lab.kill_tor_client()
    try:
        wait_for("the link to be lost", lambda: link_state(served) != "live")
        kept = served.run("set", hash, "--label", "kept", "--no-wait", "--json")
        assert kept.returncode == 0, kept
        told = json.loads(kept.stdout)
        assert told["state"] != "done", told
        assert not lab.box.torrents("labels")[hash]["labels"]
    finally:
        lab.start_tor_client()

    def outcome():
        return json.loads(served.run("jobs", "show", str(told["job"]["id"]), "--json").stdout)["state"]

    wait_for("the job to be done", lambda: outcome() == "done", 2 * DEADLINE)
    assert lab.box.torrents("labels")[hash]["labels"] == ["kept"]
    assert served.run("remove", hash, "--yes").returncode == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_wait_goes_on_with_the_next_daemon(served, lab, tmp_path, how):
    hash = spare(lab, served, tmp_path)
    command = [FARSEED, "start", hash, "--wait", "stopped", "--format", "{hash} {state}"]
    with subprocess.Popen(command, env=served.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as waiting:
        try:
            wait_for("it to be started", lambda: lab.box.torrents("status")[hash]["status"] != 0)
            served.stop(how)
            served.start()
            wait_for("the link", lambda: link_state(served) == "live")
            assert waiting.poll() is None, waiting.communicate()
            lab.box.rpc("torrent-stop", {"ids": [hash]})
            output, errors = waiting.communicate(timeout=DEADLINE)
        finally:
            waiting.kill()
    assert (waiting.returncode, output) == (0, f"{hash} done\n"), errors
    assert served.run("remove", hash, "--yes").returncode == 0


def test_a_label_outside_the_basic_plane_is_set_and_shown(served, lab, tmp_path):
    hash = spare(lab, served, tmp_path)
    done = served.run("set", hash, "--label", "film 🎬")
    assert done.returncode == 0, done.stderr
    wait_for("the label", lambda: served.torrents()[hash].get("labels") == ["film 🎬"])
    assert hash in [torrent["hash"] for torrent in json.loads(served.run("list", "--json", "label:film 🎬").stdout)["torrents"]]
    assert served.run("remove", "label:film 🎬", "--yes").returncode == 0


def test_undo_has_taken_effect_when_it_returns(served, lab, tmp_path):
    hash = spare(lab, served, tmp_path)
    assert served.run("remove", hash, "--yes").returncode == 0
    assert hash not in served.torrents()
    undone = served.run("undo")
    assert undone.returncode == 0 and "was taken back" in undone.stdout, undone
    assert hash in served.torrents()
    assert served.run("remove", hash, "--yes").returncode == 0
