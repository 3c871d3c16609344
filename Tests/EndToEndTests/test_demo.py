"""The demo does what the README says, and leaves nothing behind, however it ends."""

import os
import pathlib
import signal
import subprocess
import time

import pytest

from conftest import AGENT, FARSEED, ROOT, wait_for

PROGRAMS = ["--farseed", str(FARSEED), "--agent", str(AGENT)]


def traces(temporary):
    """Processes, namespaces and files that name the demo's own temporary directory."""
    found = [str(path) for path in pathlib.Path(temporary).iterdir() if path.suffix != ".png"]
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(temporary).encode() in words and int(process.name) != os.getpid():
            found.append(f"{process.name}: {words[:100]!r}")
    return found


def start(tmp_path, *arguments):
    # A short path: unix sockets lie below it.
    temporary = pathlib.Path("/tmp") / f"fd{os.getpid()}-{time.monotonic_ns() % 100_000}"
    temporary.mkdir()
    log = open(tmp_path / "demo.log", "wb")
    process = subprocess.Popen(
        [ROOT / "Scripts/demo", *PROGRAMS, *arguments], env=os.environ | {"TMPDIR": str(temporary)},
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )
    log.close()
    return process, temporary


def finish(temporary):
    for picture in temporary.glob("*.png"):
        picture.unlink()
    temporary.rmdir()


def test_check_sees_torrents_move_and_leaves_nothing_behind(tmp_path):
    picture = tmp_path / "page.png"
    process, temporary = start(tmp_path, "--check", "--screenshot", str(picture))
    assert process.wait(180) == 0, (tmp_path / "demo.log").read_text()
    assert picture.stat().st_size > 20_000
    wait_for("the demo's traces to be gone", lambda: not traces(temporary), 20)
    finish(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_nothing_stays(tmp_path, number):
    process, temporary = start(tmp_path)
    log = tmp_path / "demo.log"
    wait_for("the demo's address", lambda: "#login=" in log.read_text() or process.poll() is not None, 120)
    assert process.poll() is None, log.read_text()
    process.send_signal(number)
    process.wait(60)
    if number == signal.SIGKILL:
        # Whoever kills it so leaves the empty shell of its directory; no process may outlive it.
        wait_for("its processes to be gone", lambda: not [t for t in traces(temporary) if ":" in t], 30)
        import shutil
        shutil.rmtree(temporary)
    else:
        wait_for("the demo's traces to be gone", lambda: not traces(temporary), 30)
        finish(temporary)
