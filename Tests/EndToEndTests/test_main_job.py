"""The main job: what happens on the VPS is seen at home, and what is asked for at home happens on the VPS."""

import json
import subprocess
import time

import yaml

from conftest import FARSEED, transmission_remote, wait_for

#: The agent looks at Transmission this often while someone watches, in seconds.
WATCH_INTERVAL = 2
#: What one-way delay and a busy two-core machine may add.
ALLOWANCE = 3


def test_torrents_move_on_the_page(page):
    """A dozen torrents are on the page and progress bars move without a reload."""
    wait_for("a dozen torrents", lambda: len(page.hashes()) >= 12)
    progress = "return Object.fromEntries([...document.querySelectorAll('tr[data-hash]')]" \
        ".map(row => [row.dataset.hash, row.querySelector('progress').value]))"
    before = page.script(progress)
    wait_for("three progress bars to move",
             lambda: sum(value > before.get(hash, 1) for hash, value in page.script(progress).items()) >= 3)
    assert set(page.hops().values()) == {"up"}


def test_the_page_loads_nothing_from_outside_and_reports_no_error(page, served):
    origin = served.url.split("/#")[0]
    loaded = page.script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded and all(url.startswith(origin) for url in loaded), loaded
    severe = [entry for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    assert "login=" not in page.script("return location.href")


def test_a_torrent_added_on_the_vps_is_on_the_page_within_a_watch_interval(page, lab, tmp_path):
    """`transmission-remote` on the VPS adds; nobody asks across Tor, the page is told."""
    metainfo, hash = lab.make_torrent("added-on-the-vps.iso", size=300_000)
    file = tmp_path / "added.torrent"
    file.write_bytes(metainfo)
    try:
        begun = time.monotonic()
        transmission_remote(lab, "-a", str(file))
        wait_for("the new torrent", lambda: hash in page.hashes(), deadline=30, pause=0.05)
        assert time.monotonic() - begun < WATCH_INTERVAL + ALLOWANCE
        begun = time.monotonic()
    finally:
        transmission_remote(lab, "-t", hash, "--remove")
    wait_for("the torrent to be gone", lambda: hash not in page.hashes(), deadline=30, pause=0.05)
    assert time.monotonic() - begun < WATCH_INTERVAL + ALLOWANCE


def test_list_knows_what_transmission_knows(served, lab):
    """`list --json` and `--yaml` over the warm session agree with the daemon's own answer."""
    expected = {hash: row["name"] for hash, row in lab.box.torrents().items()}
    names = {hash: torrent["name"] for hash, torrent in served.torrents().items()}
    assert names.keys() == expected.keys()
    # Transmission 3.00 writes characters beyond the BMP wrongly; Farseed repairs them.
    plain = {hash for hash, name in names.items() if all(ord(character) < 0x10000 for character in name)}
    assert len(plain) >= 9 and all(names[hash] == expected[hash] for hash in plain)
    assert any("\U0001F430" in name for name in names.values()), names
    from_yaml = yaml.safe_load(served.run("list", "--yaml").stdout)
    assert {torrent["hash"]: torrent["name"] for torrent in from_yaml["torrents"]} == names


def test_list_and_exec_open_their_own_session_when_no_controller_runs(home, lab):
    torrents = home.torrents()
    assert len(torrents) >= 12
    result = home.run("exec", "--", "transmission-remote", "-l")
    assert result.returncode == 0, result.stderr
    assert all(torrent["name"][:20] in result.stdout for torrent in torrents.values() if torrent["name"].isascii())


def test_exec_returns_the_remote_output_and_exit_status(served):
    listing = served.run("exec", "--", "transmission-remote", "-l")
    assert listing.returncode == 0 and listing.stdout.startswith("    ID"), listing
    wrong = served.run("exec", "--", "transmission-remote", "--no-such-option")
    assert wrong.returncode not in (0, 1) or wrong.stderr, wrong
    refused = served.run("exec", "--", "sh", "-c", "echo pwned")
    assert refused.returncode == 11 and "pwned" not in refused.stdout, refused


def test_fifty_commands_at_once_over_one_session(served, lab):
    before = lab.connections()
    running = [
        subprocess.Popen([FARSEED, "exec", "--", "transmission-remote", "-si"], env=served.environment,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(50)
    ]
    for process in running:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "VERSION" in output
    assert before and lab.connections() == before


def test_who_does_not_wait_gets_what_is_there(served):
    """On a live link no patience is no failure, however busy the machine is."""
    commands = [["list", "--patience", "0"], ["reannounce", "all", "--no-queue"]] * 20
    running = [
        subprocess.Popen([FARSEED, *words], env=served.environment, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def test_a_warm_command_opens_no_new_connection(served, lab):
    """Commands travel on the daemon's session: sshd sees one connection before and after."""
    before = lab.connections()
    for _ in range(5):
        assert served.run("exec", "--", "transmission-remote", "-si").returncode == 0
    assert before and lab.connections() == before


def test_status_tells_the_round_trip(served):
    answer = json.loads(served.run("status", "--json").stdout)
    link = answer["boxes"][0]["link"]
    assert link["state"] == "live"
    assert 0 < wait_for("a measured round trip",
                        lambda: json.loads(served.run("status", "--json").stdout)["boxes"][0]["link"].get("rtt_ms"))
