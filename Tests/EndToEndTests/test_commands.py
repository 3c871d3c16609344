"""Every command against the real parts: what it shows, what it does, how it ends, what waits while the link is down."""

import contextlib
import json
import pathlib
import re
import secrets
import signal
import stat
import subprocess

import pytest

from conftest import CODES, FARSEED, Page, bounded, link_state, wait_for
from test_kills import metainfo


@pytest.fixture
def spare(lab, tmp_path):
    """A .torrent file that the seedbox does not have yet, and its hash; gone afterwards."""
    metainfo, hash = lab.make_torrent(f"spare-{tmp_path.name}.iso", size=200_000)
    file = tmp_path / "spare.torrent"
    file.write_bytes(metainfo)
    yield file, hash
    if hash in lab.box.torrents():
        lab.box.rpc("torrent-remove", {"ids": [hash]})


def torrent(lab, hash, *fields):
    """The seedbox's own row of one torrent."""
    return lab.box.torrents(*fields)[hash]


def answer(home, *arguments):
    """What a command that must succeed prints as JSON."""
    result = home.run(*arguments, "--json")
    assert result.returncode == 0, (arguments, result.stderr)
    return json.loads(result.stdout)


def failure(home, *arguments):
    """The exit code of a command that must fail with one sentence, its code's name, and nothing on standard output."""
    result = home.run(*arguments)
    assert result.returncode != 0 and not result.stdout, (arguments, result)
    assert result.stderr.startswith("farseed: ") and result.stderr.strip().count("\n") == 0, (arguments, result.stderr)
    return result.returncode


def states(home):
    return {job["id"]: job["state"] for job in json.loads(home.run("jobs", "--json").stdout)["jobs"]}


def test_a_torrent_through_its_life(served, lab, spare):
    file, hash = spare
    added = served.run("add", str(file), "--paused")
    assert added.returncode == 0 and hash[:8] in added.stdout, added
    # Transmission verifies it first.
    wait_for("the torrent to be stopped", lambda: lab.box.torrents("status")[hash]["status"] == 0)
    assert served.run("add", str(file)).returncode == CODES["duplicate"], "adding it twice is an answer of its own"

    assert served.run("start", hash[:12]).returncode == 0
    assert lab.box.torrents("status")[hash]["status"] != 0
    assert served.run("stop", hash[:12]).returncode == 0
    assert lab.box.torrents("status")[hash]["status"] == 0

    assert served.run("remove", hash).returncode == 0
    assert hash not in lab.box.torrents()
    assert served.run("undo").returncode == 0
    assert hash in lab.box.torrents()
    assert set(states(served).values()) == {"done"}


@pytest.mark.parametrize("size", [200_000, 2_000_000_000])
def test_what_nobody_else_has_comes_back_by_its_file(served, lab, tmp_path, size):
    """No peer could give the metadata to a magnet link; the large file does not fit a frame."""
    metainfo, hash = lab.make_torrent(f"nobody-has-it-{size}.img", size=size, seeded=False)
    file = tmp_path / "nobody.torrent"
    file.write_bytes(metainfo)
    try:
        assert served.run("add", str(file), "--paused", "--label", "mine").returncode == 0
        wait_for("it at home", lambda: hash in served.torrents() and served.torrents()[hash]["labels"] == ["mine"])
        assert served.run("remove", hash).returncode == 0 and hash not in lab.box.torrents()
        assert served.run("undo").returncode == 0
        row = torrent(lab, hash, "metadataPercentComplete", "totalSize", "labels")
        assert (row["metadataPercentComplete"], row["totalSize"], row["labels"]) == (1, size, ["mine"]), row
    finally:
        if hash in lab.box.torrents():
            lab.box.rpc("torrent-remove", {"ids": [hash]})


def test_the_next_command_sees_what_the_last_did(served, spare):
    file, hash = spare
    listed = ("list", "all", "--format", "{hash}")
    assert served.run("add", str(file), "--paused").returncode == 0
    assert hash in served.run(*listed).stdout
    assert served.run("show", hash[:10]).returncode == 0
    assert served.run("remove", hash).returncode == 0
    assert hash not in served.run(*listed).stdout
    assert failure(served, "start", hash) == CODES["not-found"]
    assert served.run("undo").returncode == 0
    assert hash in served.run(*listed).stdout


@pytest.mark.parametrize("selection, code", [("ffffffff", 13), ("no such name", 13), ("", 10)])
def test_what_names_no_torrent_changes_nothing(served, lab, selection, code):
    before = lab.box.torrents().keys()
    assert served.run("remove", selection).returncode == code
    assert lab.box.torrents().keys() == before


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
    wait_for("the job to be done",
             lambda: link_state(served) == "live" and set(states(served).values()) == {"done"}, 90)
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


def test_each_looking_command_tells_what_transmission_knows(served, lab):
    hash, row = next((hash, row) for hash, row in lab.box.torrents("files", "trackers").items()
                     if row["name"].startswith("LibriVox"))
    prefix = hash[:10]
    assert answer(served, "show", prefix)["fields"]["name"] == row["name"]
    files = answer(served, "files", row["name"])["files"]
    assert [(file["name"], file["size"]) for file in files] == [(f["name"], f["length"]) for f in row["files"]]
    trackers = answer(served, "trackers", prefix)["trackers"]
    assert [tracker["announce"] for tracker in trackers] == [tracker["announce"] for tracker in row["trackers"]]

    def peers_agree():
        of, row = max(lab.box.torrents("peers").items(), key=lambda item: len(item[1]["peers"]))
        told = [peer["address"] for peer in answer(served, "peers", of)["peers"]]
        return sorted(told) == sorted(peer["address"] for peer in row["peers"])

    wait_for("the same peers on both sides", peers_agree)
    for command in ("show", "files", "trackers"):
        told = served.run(command, prefix)
        assert told.returncode == 0 and "\x1b" not in told.stdout and told.stdout.strip(), told

    assert answer(served, "stats")["torrent_count"] == len(lab.box.torrents())
    session = answer(served, "session")
    assert session["download_dir"] == lab.box.rpc("session-get")["download-dir"]
    assert answer(served, "free")["path"] == session["download_dir"] and answer(served, "free")["free"] > 0
    assert answer(served, "free", lab.directory.as_posix())["free"] > 0
    assert [box["name"] for box in answer(served, "boxes")["boxes"]] == ["vps"]
    assert served.run("status", "--oneline").stdout.startswith("vps live")
    assert served.run("config", "check").returncode == 0

    assert served.run("list", prefix, "--format", "{hash} {name}").stdout == f"{hash} {row['name']}\n"
    listed = {line for line in served.run("list", "label:audio", "--format", "{hash}").stdout.split()}
    assert listed == {hash for hash, row in lab.box.torrents("labels").items() if "audio" in row["labels"]}


def test_watch_prints_a_line_for_each_change(served, lab, spare):
    file, hash = spare
    wait_for("earlier tests to be forgotten", lambda: served.torrents().keys() == lab.box.torrents().keys())
    with subprocess.Popen([FARSEED, "watch"], env=served.environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as watching:
        try:
            lines = map(json.loads, watching.stdout)
            first = next(line for line in lines if line["kind"] == "torrents")
            assert first["full"].keys() == lab.box.torrents().keys()
            assert served.run("add", str(file), "--paused").returncode == 0
            assert next(line for line in lines if hash in line.get("set", {}))
            assert served.run("remove", hash).returncode == 0
            assert next(line for line in lines if hash in line.get("del", []))
        finally:
            watching.kill()


def test_what_a_torrent_is_told_is_read_back_and_taken_back(served, lab, spare):
    file, hash = spare
    added = answer(served, "add", str(file), "--paused", "--label", "one", "--down-limit", "300k", "--priority", "low")
    assert added["hashes"] == [hash] and added["job"]["state"] == "done", added
    fields = ("labels", "downloadLimit", "downloadLimited", "bandwidthPriority", "status")
    before = wait_for("it to be stopped", lambda: (row := torrent(lab, hash, *fields))["status"] == 0 and row)
    assert [before[field] for field in fields[:4]] == [["one"], 300, True, -1], before

    told = served.run("set", hash, "-l", "two", "-l", "drei ☾", "--down-limit", "50k", "--priority", "high")
    assert told.returncode == 0 and told.stdout.startswith(f"set {hash[:8]} "), told
    row = torrent(lab, hash, *fields)
    assert [set(row["labels"]), *(row[field] for field in fields[1:4])] == [{"two", "drei ☾"}, 50, True, 1], row
    wait_for("the new label at home", lambda: hash in served.run("list", "label:two", "--format", "{hash}").stdout)
    assert served.run("undo").returncode == 0
    assert torrent(lab, hash, *fields) == before

    old = torrent(lab, hash)["name"]
    assert served.run("rename", hash, "renamed.iso").returncode == 0
    assert torrent(lab, hash)["name"] == "renamed.iso"
    assert served.run("undo").returncode == 0
    assert torrent(lab, hash)["name"] == old

    place = torrent(lab, hash, "downloadDir")["downloadDir"]
    assert served.run("move", hash, "--to", f"{place}/moved").returncode == 0
    assert torrent(lab, hash, "downloadDir")["downloadDir"] == f"{place}/moved"
    wait_for("the new place at home", lambda: served.torrents()[hash]["directory"] == f"{place}/moved")
    assert served.run("undo").returncode == 0
    wait_for("the old place", lambda: torrent(lab, hash, "downloadDir")["downloadDir"] == place)

    assert served.run("queue", "top", hash).returncode == 0
    assert torrent(lab, hash, "queuePosition")["queuePosition"] == 0
    assert served.run("queue", "bottom", hash).returncode == 0
    assert torrent(lab, hash, "queuePosition")["queuePosition"] == len(lab.box.torrents()) - 1

    assert served.run("verify", hash, "--wait", "stopped", "--timeout", "30").returncode == 0
    assert served.run("start", hash, "--now", "--wait", "done", "--timeout", "50").returncode == 0
    assert torrent(lab, hash, "percentDone")["percentDone"] == 1
    # What is complete and stopped seeds again; what seeds is waited for no more.
    assert served.run("stop", hash, "--wait", "stopped", "--timeout", "30").returncode == 0
    for line in (["start", hash, "--now"], ["reannounce", hash]):
        assert served.run(*line, "--wait", "seeding", "--timeout", "30").returncode == 0
        assert torrent(lab, hash, "status")["status"] == 6
    assert failure(served, "stop", hash, "--wait", "seeding", "--timeout", "2") == CODES["timed-out"]
    assert served.run("remove", hash, "--delete-data", "--yes").returncode == 0
    removal = max(states(served))
    assert failure(served, "undo", str(removal)) == CODES["refused"], "deleted data do not come back"
    assert hash not in lab.box.torrents()


def test_session_settings(served, lab):
    before = lab.box.rpc("session-get")
    try:
        changed = served.run("session", "set", "alt_speed_down=2M", "download-queue-size=17", "pex_enabled=off")
        assert changed.returncode == 0, changed.stderr
        now = lab.box.rpc("session-get")
        assert (now["alt-speed-down"], now["download-queue-size"], now["pex-enabled"]) == (2000, 17, False)
        assert failure(served, "session", "set", "script_torrent_done_filename=/bin/sh") == 10
        script = "script-torrent-done-filename"
        assert lab.box.rpc("session-get")[script] == before[script]
    finally:
        names = ("alt-speed-down", "download-queue-size", "pex-enabled")
        lab.box.rpc("session-set", {name: before[name] for name in names})


def test_torrents_come_from_standard_input_from_magnet_links_and_in_large_files(served, lab, tmp_path, spare):
    file, hash = spare
    with open(file, "rb") as stdin:
        piped = subprocess.run([FARSEED, "add", "-", "--paused"], env=served.environment, stdin=stdin,
                               capture_output=True, timeout=60)
    assert piped.returncode == 0 and hash in lab.box.torrents(), piped
    magnet = f"magnet:?xt=urn:btih:{'5eed' * 10}&dn=by-magnet"
    # 150 kB of piece hashes: more than a frame, so the file travels beside the command.
    metainfo, large = lab.make_torrent("large.img", size=2_000_000_000, seeded=False)
    (tmp_path / "large.torrent").write_bytes(metainfo)
    assert len(metainfo) > 150_000
    try:
        assert answer(served, "add", magnet, "--paused")["hashes"] == ["5eed" * 10]
        assert answer(served, "add", str(tmp_path / "large.torrent"), "--paused")["hashes"] == [large]
        assert {"5eed" * 10, large} <= lab.box.torrents().keys()
    finally:
        lab.box.rpc("torrent-remove", {"ids": ["5eed" * 10, large]})


def test_a_wait_that_is_too_long_ends_with_its_own_code_and_the_command_goes_on(served, lab, tmp_path):
    metainfo, hash = lab.make_torrent("nobody-has-it.iso", size=100_000, seeded=False)
    file = tmp_path / "nobody.torrent"
    file.write_bytes(metainfo)
    try:
        assert served.run("add", str(file), "--paused").returncode == 0
        wait_for("it to be stopped", lambda: served.torrents()[hash]["status"] == "stopped")
        assert failure(served, "start", hash, "--now", "--wait", "done", "--timeout", "2") == CODES["timed-out"]
        assert torrent(lab, hash, "status")["status"] != 0
    finally:
        lab.box.rpc("torrent-remove", {"ids": [hash]})


def test_what_is_added_can_be_waited_for_at_once(served, spare):
    file, hash = spare
    # Stopped, since the queue decides when it starts.
    added = served.run("add", str(file), "--paused", "--wait", "stopped", "--timeout", "30")
    assert added.returncode == 0 and hash[:8] in added.stdout, added


def test_a_label_may_hold_any_character(served, spare):
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    told = served.run("set", hash, "--label", "moon \U0001F319")
    assert told.returncode == 0, told


def test_the_same_key_is_the_same_command(served, lab, spare):
    file, hash = spare
    key = secrets.token_hex(16)
    once = answer(served, "add", str(file), "--paused", "--key", key)
    again = answer(served, "add", str(file), "--paused", "--key", key)
    assert again["job"]["id"] == once["job"]["id"], "a repetition is the first one, not a duplicate"
    assert list(states(served)) == [once["job"]["id"]]
    assert answer(served, "jobs", "show", str(once["job"]["id"]))["key"] == key
    assert failure(served, "stop", hash, "--key", key) == CODES["conflict"], "another command under a used key"


def test_a_job_that_waits_can_be_cancelled_and_can_expire(served, lab, spare):
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    wait_for("it to be stopped", lambda: torrent(lab, hash, "status")["status"] == 0)
    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: link_state(served) != "live")
        cancelled = answer(served, "start", hash, "--no-wait")["job"]["id"]
        waiting = subprocess.Popen([FARSEED, "verify", hash, "--timeout", "60"], env=served.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        third = wait_for("a third job", lambda: next(iter(states(served).keys() - {cancelled, cancelled - 1}), None))
        expiring = answer(served, "start", hash, "--no-wait", "--expiry", "6")["job"]["id"]
        assert {cancelled, third, expiring} == {job["id"] for job in answer(served, "jobs", "--open")["jobs"]}
        # What is tried for the first time counts as sent until the link has refused it.
        wait_for("it to wait", lambda: states(served)[cancelled] == "waiting", pause=0.02)
        assert served.run("jobs", "cancel", str(cancelled)).stdout == f"cancelled job {cancelled}\n"
        assert failure(served, "jobs", "cancel", str(cancelled)) == CODES["conflict"]
        assert served.run("jobs", "cancel", str(third)).returncode == 0
        assert waiting.wait(30) == CODES["cancelled"]
        waiting.communicate()
        wait_for("the other to expire", lambda: states(served)[expiring] == "expired")
        assert failure(served, "undo", str(cancelled)) in (16, 17), "what was not done cannot be undone"
    finally:
        lab.start_sshd()
    wait_for("the link to be live", lambda: link_state(served) == "live", 90)
    # A later command on the same torrent comes after all earlier ones, so these were not carried out.
    assert served.run("set", hash, "--label", "later").returncode == 0
    assert torrent(lab, hash, "status")["status"] == 0
    assert states(served)[cancelled] == "cancelled" and states(served)[expiring] == "expired"


def test_jobs_are_watched_as_they_change(served, lab, spare):
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    with contextlib.ExitStack() as after:
        lab.stop_sshd()
        try:
            wait_for("the link to be down", lambda: link_state(served) != "live")
            kept = answer(served, "set", hash, "--label", "seen", "--no-wait")["job"]["id"]
            watching = []
            for notation in ([], ["--json"]):
                watching.append(after.enter_context(subprocess.Popen(
                    [FARSEED, "jobs", "--watch", *notation], env=served.environment, text=True, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE)))
                after.callback(watching[-1].kill)
                after.enter_context(bounded(watching[-1]))
            # What is open comes first, and then each change.
            lines, rows = (watch.stdout for watch in watching)
            first = json.loads(rows.readline())
            assert (first["id"], first["verb"], first["ended"]) == (kept, "torrent.set", False), first
            assert lines.readline().startswith(f"{kept} ")
        finally:
            lab.start_sshd()
        # The newest of each is told: what is over at once may have left out a state.
        end = next(row for row in map(json.loads, rows) if row["ended"])
        assert (end["id"], end["state"]) == (kept, "done"), end
        assert next(line for line in lines if " done " in line) == f"{kept} done vps torrent.set owner\n"


@pytest.mark.parametrize("kill", ["kill_sshd_connection", "kill_agent"])
def test_a_burst_of_commands_outlives_the_loss_of_its_connection_in_order(served, lab, spare, kill):
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    labels = [f"burst-{number}" for number in range(12)]
    for number, label in enumerate(labels):
        assert served.run("set", hash, "--label", label, "--no-wait").returncode == 0
        if number == 5:
            assert getattr(lab, kill)() > 0
    wait_for("all jobs to be done", lambda: set(states(served).values()) == {"done"}, 90)
    assert len(states(served)) == 1 + len(labels)
    assert torrent(lab, hash, "labels")["labels"] == labels[-1:]


@pytest.mark.parametrize("kill", ["kill_sshd_connection", "kill_agent"])
def test_what_is_under_way_when_the_connection_is_lost_is_done_once(served, lab, spare, kill):
    """Steps up the queue, because each counts: one that is lost or doubled shows in the torrent's place."""
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    place = torrent(lab, hash, "queuePosition")["queuePosition"]
    assert place >= 8
    steps = [subprocess.Popen([FARSEED, "queue", "up", hash], env=served.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(8)]
    steps[0].wait(60)
    assert getattr(lab, kill)() > 0
    for step in steps:
        output, _ = step.communicate(timeout=90)
        assert step.returncode == 0, output
    wait_for("all jobs to be done", lambda: set(states(served).values()) == {"done"}, 90)
    attempts = [job["attempts"] for job in answer(served, "jobs")["jobs"] if job["verb"] == "torrent.queue"]
    assert place - torrent(lab, hash, "queuePosition")["queuePosition"] == len(attempts) == len(steps)


def test_an_ambiguous_name_is_refused_with_the_candidates(served, lab, tmp_path):
    hashes = []
    for size in (100_000, 100_001):
        metainfo, hash = lab.make_torrent("twins.iso", size=size, seeded=False)
        (tmp_path / "twin.torrent").write_bytes(metainfo)
        assert served.run("add", str(tmp_path / "twin.torrent"), "--paused").returncode == 0
        hashes.append(hash)
    try:
        refused = served.run("start", "twins.iso")
        assert refused.returncode == CODES["ambiguous"] and all(hash[:16] in refused.stderr for hash in hashes), refused
    finally:
        lab.box.rpc("torrent-remove", {"ids": hashes})


def test_an_ambiguous_prefix_is_refused_with_the_candidates(served, lab, tmp_path):
    """Two hashes that begin alike, found among some hundreds; a digit more tells them apart."""
    known = {}
    for number in range(100_000):
        data, hash = metainfo(number)
        prefix = hash[:4]
        if prefix in known and known[prefix][1][4] != hash[4]:
            break
        known.setdefault(prefix, (data, hash))
    twins = {known[prefix][1]: known[prefix][0], hash: data}
    file = tmp_path / "twin.torrent"
    try:
        for data in twins.values():
            file.write_bytes(data)
            assert served.run("add", str(file), "--paused").returncode == 0
        wait_for("both to be stopped", lambda: {torrent(lab, hash, "status")["status"] for hash in twins} == {0})
        for words in (["start", prefix], ["show", prefix], ["remove", prefix], ["set", prefix, "--label", "x"],
                      ["rename", prefix, "other"]):
            refused = served.run(*words)
            assert refused.returncode == CODES["ambiguous"], (words, refused)
            assert all(hash[:16] in refused.stderr for hash in twins), refused
            assert not refused.stdout and refused.stderr.count("\n") == 1, refused
        assert {torrent(lab, hash, "status")["status"] for hash in twins} == {0}
        assert served.run("remove", hash[:5]).returncode == 0
        assert set(twins) - lab.box.torrents().keys() == {hash}
        assert served.run("show", prefix).returncode == 0, "alone it is meant"
    finally:
        lab.box.rpc("torrent-remove", {"ids": [hash for hash in twins if hash in lab.box.torrents()]})


def test_commands_work_without_a_daemon(home, lab, spare):
    file, hash = spare
    assert answer(home, "add", str(file), "--paused")["hashes"] == [hash]
    assert home.run("set", hash, "--label", "alone").returncode == 0
    assert torrent(lab, hash, "labels")["labels"] == ["alone"]
    assert home.run("remove", hash).returncode == 0
    assert hash not in lab.box.torrents()
    assert list(states(home).values()) == ["done"] * 3
    assert home.run("undo").returncode == 0
    assert hash in lab.box.torrents()
    assert home.run("status").returncode == CODES["controller-absent"]


def test_exec_is_as_ssh(served, lab):
    """Input, output and errors apart, the exit status, and an interrupt that ends the program there."""
    shown = served.run("exec", "--", "transmission-remote", "-si")
    assert shown.returncode == 0 and "VERSION" in shown.stdout and not shown.stderr, shown
    lab.write_agent_conf(allow_exec="/bin/sh\nallow-exec /bin/cat\nallow-exec /nowhere/program")
    lab.kill_agent()
    try:
        wait_for("an agent that allows it", lambda: served.run("exec", "-n", "--", "/bin/cat").returncode == 0)
        told = served.run("exec", "--", "/bin/sh", "-c", "cat; echo apart >&2; exit 7", input="a ☾\n" * 10_000)
        assert (told.returncode, told.stdout, told.stderr) == (7, "a ☾\n" * 10_000, "apart\n")
        assert served.run("exec", "--", "/bin/sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
        with subprocess.Popen([FARSEED, "exec", "--", "/bin/sh", "-c", "echo begun; exec cat"], text=True,
                              env=served.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdout.readline() == "begun\n"
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 128 + signal.SIGINT
        assert served.run("exec", "--", "/nowhere/program").returncode == CODES["program-missing"]
        with subprocess.Popen([FARSEED, "exec", "--", "/bin/cat"], env=served.environment, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            print("begun", file=running.stdin, flush=True)
            assert running.stdout.readline() == "begun\n"
            lab.kill_sshd_connection()
            assert running.wait(30) == CODES["connection-lost"]
    finally:
        lab.write_agent_conf()
        lab.kill_agent()


def test_the_configuration_is_written_checked_and_walked(home, lab, tmp_path):
    """`init` writes what `config` finds right; `doctor` goes hop by hop over the laboratory's own."""
    written = tmp_path / "new" / "farseed.toml"
    key = tmp_path / "new" / "key"
    initiated = home.run(
        "init", "--config", str(written), "--key", str(key), "--name", "vps", "--address", lab.onion,
        "--user", lab.user, "--host-key", lab.host_key_line, "--client-auth", lab.client_auth_secret,
        "--socks", f"unix:{lab.socks_unix}", "--listen", "127.0.0.1:0",
    )
    assert initiated.returncode == 0 and "farseed deploy-agent" in initiated.stdout, initiated
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert home.run("config", "check", "--config", str(written)).returncode == 0
    assert home.run("list", "--config", str(written)).returncode == CODES["login-refused"], "the key is a new one"
    # What is there is not overwritten.
    assert failure(home, "init", "--config", str(written), "--name", "vps", "--address", lab.onion, "--user", "x") != 0

    assert home.run("config", "check").returncode == 0
    assert str(home.config) in home.run("config", "paths").stdout
    walked = answer(home, "doctor")
    assert walked["ok"] and {hop["state"] for hop in walked["hops"]} == {"up"}, walked


def test_every_command_has_a_test(home):
    told = home.run("--help").stdout
    commands = set(re.findall(r"^  ([a-z][a-z-]*) {2,}\S", told, re.M)) - {"h"}
    assert {"list", "undo", "serve", "doctor", "deploy-agent"} <= commands, told
    source = "".join(path.read_text() for path in pathlib.Path(__file__).parent.glob("*.py"))
    assert {name for name in commands if f'"{name}"' not in source} == set()
