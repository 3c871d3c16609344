"""The demo does what the README says, and leaves nothing outside of the clone, however and whenever it ends."""

import pathlib
import re
import signal

import pytest

from conftest import AGENT, FARSEED, ROOT, get
from lab.content import DOZEN
from outside import Outside

#: A program that never ends and can be seen to run.
STUCK = "#!/bin/sh\ntouch $TMPDIR/stuck\nsleep 600\n"
#: Extra milliseconds on each Tor link; a round trip to an onion service and back crosses fourteen.
DELAY = 20
#: A user id that no account has.
USER = 54321


@pytest.fixture
def outside(tmp_path):
    outside = Outside(tmp_path / "outside")
    yield outside
    outside.end()


@pytest.fixture
def programs(outside):
    """The arguments that make the demo use the programs under test."""
    return ["--farseed", outside.copy(FARSEED), "--agent", outside.copy(AGENT)]


def test_the_check_sees_torrents_move_over_slow_links_and_leaves_nothing(outside, programs):
    pictures = [ROOT / ".build/demo.png", ROOT / ".build/demo-phone.png"]
    for picture in pictures:
        picture.unlink(missing_ok=True)
    assert outside.run("Scripts/demo", "--check", "--delay", str(DELAY), *programs, deadline=240) == 0, outside.text()
    for picture in pictures:
        assert picture.stat().st_size > 20_000
    shown = re.search(r"the round trip is (\d+) ms", outside.text())
    assert shown and 14 * DELAY <= int(shown[1]) < 4 * 14 * DELAY, outside.text()
    outside.assert_clean()


def test_six_torrents_take_more_than_ten_minutes():
    """By their speed limits, in kB/s, and what the box does not have at the start."""
    minutes = {torrent.name: torrent.size * (1 - torrent.done) / (torrent.speed * 1000) / 60
               for torrent in DOZEN if torrent.state == "downloading"}
    assert sum(taken > 10 for taken in minutes.values()) >= 6, minutes
    assert min(minutes.values()) < 2, minutes


def test_killed_while_it_runs_nothing_stays(outside, programs):
    outside.start("Scripts/demo", *programs).wait_said("#login=", 120)
    assert len(outside.processes()) > 10
    outside.interrupt(signal.SIGKILL)
    outside.assert_clean()


def test_who_is_not_root_sees_it_too_and_ends_it_by_ctrl_c(tmp_path):
    """A user of the machine as there are many; here it gets one that it does not have."""
    outside = Outside(tmp_path / "outside", user=USER)
    programs = ["--farseed", outside.copy(FARSEED), "--agent", outside.copy(AGENT)]
    accounts = pathlib.Path("/etc/passwd").read_text() + f"newcomer:x:{USER}:{USER}::/tmp/home:/bin/bash\n"
    (outside.directory / "passwd").write_text(accounts)
    try:
        outside.start("Scripts/demo", *programs, setup="mount --bind /tmp/passwd /etc/passwd").wait_said("#login=", 120)
        port = re.search(r"http://127\.0\.0\.1:(\d+)/", outside.text())[1]
        assert b"Farseed" in get(f"http://127.0.0.1:{port}/")[1]
        assert outside.interrupt() in (130, 143), outside.text()
        outside.assert_clean()
    finally:
        outside.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("stage", ["packages", "build", "network"])
def test_whenever_it_is_interrupted_nothing_stays(outside, programs, stage, number):
    if stage == "packages":
        outside.stand_in("dpkg-query", STUCK)
    if stage == "build":
        outside.stand_in("swift", STUCK)
        programs = []
    outside.start("Scripts/demo", *programs)
    if stage == "network":
        outside.wait_said("starting Tor's authorities")
    else:
        outside.wait_there("stuck")
    assert outside.interrupt(number) in (130, 143), outside.text()
    outside.assert_clean()


@pytest.mark.parametrize("broken", ["tor-gencert", "transmission-daemon", "swift"])
def test_a_start_that_fails_leaves_nothing(outside, programs, broken):
    outside.stand_in(broken, "#!/bin/sh\necho 'out of order'; exit 1\n")
    status = outside.run("Scripts/demo", *(programs if broken != "swift" else []))
    assert status == 1 and "out of order" in outside.text(), outside.text()
    outside.assert_clean()
