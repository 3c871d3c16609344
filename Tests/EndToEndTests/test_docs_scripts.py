"""The scripts of Docs/Scripting.md against the laboratory, as somebody would run them."""

import os
import pathlib
import re
import subprocess
import time

import pytest

from conftest import FARSEED, ROOT, labelled, link_state, wait_for
from lab import content

SCRIPTS = ROOT / "Docs" / "scripts"


@pytest.fixture
def script(served, tmp_path):
    """Runs a script with the program under test as `farseed` in its path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "farseed").symlink_to(FARSEED)
    environment = served.environment | {"PATH": f"{programs}:{os.environ['PATH']}"}

    def run(name, *arguments, timeout=60):
        return subprocess.run([SCRIPTS / name, *arguments], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    return run


@pytest.fixture
def fresh(lab, tmp_path):
    """Makes .torrent files whose data lie on the seedbox already, or nowhere; what they added is removed afterwards."""
    made = []

    def make(name, complete=True):
        torrent = content.Torrent(f"{name}-{tmp_path.name}", 200_000)
        if complete:
            content.write_files(torrent, pathlib.Path(lab.box_downloads))
        metainfo, hash = lab.make_torrent(torrent.name, torrent.size, seeded=False)
        file = tmp_path / f"{name}.torrent"
        file.write_bytes(metainfo)
        made.append(hash)
        return file, hash

    yield make
    lab.box.rpc("torrent-remove", {"ids": [hash for hash in made if hash in lab.box.torrents()]})


def test_every_script_is_in_the_document_and_stops_at_faults():
    document = (ROOT / "Docs" / "Scripting.md").read_text()
    names = {path.name for path in SCRIPTS.iterdir()}
    assert names == {"add-and-wait", "clean-up-finished", "nightly-report"}
    for name in names:
        assert f"(scripts/{name})" in document
        text = (SCRIPTS / name).read_text()
        assert text.startswith("#!/usr/bin/env bash\n") and "\nset -euo pipefail\n" in text
        assert os.access(SCRIPTS / name, os.X_OK)


def test_the_documents_own_examples_run(served):
    """Each line of the document's first block, as it stands there."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "Docs" / "Scripting.md").read_text(), re.S)[1]
    for line in block.splitlines():
        shell = f'farseed() {{ "{FARSEED}" "$@"; }}; set -euo pipefail; {line}'
        done = subprocess.run(["bash", "-c", shell], env=served.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and done.stdout, (line, done)


def test_the_lines_of_the_crontab_run_as_cron_runs_them(served, lab, tmp_path):
    """Nothing but the crontab's own environment, by sh, with the programs where its PATH looks for them."""
    block = re.search(r"```crontab\n(.*?)```", (ROOT / "Docs" / "Scripting.md").read_text(), re.S)[1].splitlines()
    path = next(line.removeprefix("PATH=") for line in block if line.startswith("PATH="))
    commands = [line.split(None, 5) for line in block if not line.startswith("PATH=")]
    assert len(commands) == 2 and all(len(fields) == 6 for fields in commands), block
    local = tmp_path / "local"
    local.mkdir()
    for name, target in {"farseed": FARSEED, **{each.name: each for each in SCRIPTS.iterdir()}}.items():
        (local / name).symlink_to(target)
    assert "/usr/local/bin" in path.split(":")
    path = path.replace("/usr/local/bin", str(local))
    given = [f"{name}={served.environment[name]}" for name in ("FARSEED_CONFIG", "XDG_STATE_HOME")]
    told = {}
    # What one of them would remove stays, as the other tests want it.
    with labelled(served, lab, {hash: "keep" for hash in lab.box.torrents()}):
        for *times, command in commands:
            assert all(re.fullmatch(r"[\d*]+", field) for field in times), times
            done = subprocess.run(
                ["env", "-i", f"HOME={served.directory}", "LOGNAME=user", "SHELL=/bin/sh", f"PATH={path}", *given,
                 "/bin/sh", "-c", command],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, cwd=served.directory)
            assert done.returncode == 0 and not done.stderr, (command, done)
            told[command.split()[0]] = done.stdout
    assert told["nightly-report"].startswith("Seedbox: vps live") and told["clean-up-finished"] == "", told


def test_add_and_wait(script, lab, fresh):
    file, hash = fresh("waited-for")
    done = script("add-and-wait", str(file), "50")
    assert done.returncode == 0 and done.stdout.startswith(f"{hash} waited-for-"), done
    assert lab.box.torrents("percentDone")[hash]["percentDone"] == 1
    again = script("add-and-wait", str(file), "50")
    assert (again.returncode, again.stdout) == (0, done.stdout), again


def test_add_and_wait_ends_in_time(script, lab, fresh):
    file, hash = fresh("nobody-has-it", complete=False)
    begun = time.monotonic()
    late = script("add-and-wait", str(file), "4")
    assert late.returncode == 18 and not late.stdout, late
    assert time.monotonic() - begun < 20
    assert lab.box.torrents("status")[hash]["status"] != 0, "it goes on"
    assert script("add-and-wait").returncode == 64
    assert script("add-and-wait", "/nowhere/a.torrent").returncode == 13


def test_clean_up_finished(script, served, lab, fresh):
    """Of three that are complete the one with a label stays; so does what is not complete or has not given enough."""
    hashes = {}
    for name in ("first", "second", "keeper"):
        file, hashes[name] = fresh(name)
        assert script("add-and-wait", str(file), "50").returncode == 0
    file, hashes["incomplete"] = fresh("incomplete", complete=False)
    assert served.run("add", str(file), "--paused").returncode == 0
    assert served.run("set", hashes["keeper"], "--label", "other", "--label", "keep").returncode == 0
    wait_for("the label at home", lambda: "keep" in served.torrents()[hashes["keeper"]]["labels"])
    # All others stay, whatever their ratio.
    others = [hash for hash in lab.box.torrents() if hash not in hashes.values()]
    kept = {hash: row["labels"] for hash, row in lab.box.torrents("labels").items() if hash in others}
    try:
        assert served.run("set", *others, "--label", "keep").returncode == 0
        wait_for("the labels at home", lambda: all("keep" in served.torrents()[hash]["labels"] for hash in others))
        expected = sorted(hashes[name][:8] for name in ("first", "second"))
        before = lab.box.torrents().keys()
        assert script("clean-up-finished", "1000").stdout == "", "none has given that much"
        told = script("clean-up-finished", "-n", "0")
        assert told.returncode == 0 and sorted(line.split()[0] for line in told.stdout.splitlines()) == expected, told
        assert lab.box.torrents().keys() == before
        done = script("clean-up-finished", "0")
        assert done.returncode == 0 and sorted(line.split()[0] for line in done.stdout.splitlines()) == expected, done
        assert before - lab.box.torrents().keys() == {hashes["first"], hashes["second"]}
        assert script("clean-up-finished", "0").stdout == ""
    finally:
        for hash, labels in kept.items():
            lab.box.rpc("torrent-set", {"ids": [hash], "labels": labels})


def test_clean_up_finished_does_nothing_while_the_link_is_down(script, served, lab):
    before = lab.box.torrents().keys()
    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: link_state(served) != "live")
        code = served.run("status").returncode
        assert code >= 30
        refused = script("clean-up-finished", "0")
        assert refused.returncode >= 30 and not refused.stdout, refused
    finally:
        lab.start_sshd()
    assert lab.box.torrents().keys() == before


def test_nightly_report(script, served, lab, fresh):
    def completed():
        """Names of what Transmission says was completed in the last hours, once the home side knows it too."""
        rows = {hash: row for hash, row in lab.box.torrents("doneDate").items() if row["doneDate"] > 0}
        at_home = served.torrents()
        return all(at_home[hash]["done"] == row["doneDate"] for hash, row in rows.items()) and rows

    # Such times are looked at only now and then.
    rows = wait_for("a torrent to be complete", completed, 120)
    file, _ = fresh("with-an-error")
    assert script("add-and-wait", str(file), "50").returncode == 0
    report = script("nightly-report")
    assert report.returncode == 0 and not report.stderr, report
    lines = report.stdout.splitlines()
    assert lines[0].startswith("Seedbox: vps live")
    assert lines[1].startswith(f"{len(lab.box.torrents())} torrents: ")
    told = report.stdout.split("Completed within 24 h:\n")[1].split("\n\n")[0]
    assert all(row["name"] in told for row in rows.values() if row["name"].isascii()), report.stdout
    assert "Space left:" in lines

    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: link_state(served) != "live")
        report = script("nightly-report")
        assert report.returncode >= 30, report
        assert not report.stdout.startswith("Seedbox: vps live") and " torrents: " in report.stdout, report.stdout
        assert " old" in report.stdout and "Space left" not in report.stdout, report.stdout
    finally:
        lab.start_sshd()
    served.stop()
    report = script("nightly-report")
    assert report.returncode == 24 and report.stdout.startswith("Seedbox: farseed: not running"), report
