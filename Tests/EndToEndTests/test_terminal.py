"""What only a terminal shows: the full-screen view, completion in each shell, and manual pages."""

import os
import subprocess

import pytest

from conftest import FARSEED, wait_for
from terminal import Terminal


@pytest.fixture
def two(lab, tmp_path):
    """Two stopped torrents whose names others do not have; gone afterwards."""
    hashes = {}
    for name in ("watched-a.iso", "watched-b.iso"):
        metainfo, hashes[name] = lab.make_torrent(name, size=100_000)
        file = tmp_path / f"{name}.torrent"
        file.write_bytes(metainfo)
    yield hashes
    for hash in hashes.values():
        if hash in lab.box.torrents():
            lab.box.rpc("torrent-remove", {"ids": [hash]})


def order(screen):
    return [name for line in screen.splitlines() for name in ("watched-a.iso", "watched-b.iso") if name in line]


def test_keys_sort_filter_start_stop_and_remove_in_the_full_screen_view(served, lab, two, tmp_path):
    for name in two:
        assert served.run("add", str(tmp_path / f"{name}.torrent"), "--paused").returncode == 0
    hash = two["watched-a.iso"]

    def is_stopped(expected):
        return lambda: (lab.box.torrents("status")[hash]["status"] == 0) is expected

    wait_for("the torrent to be stopped", is_stopped(True))
    with Terminal(tmp_path, [FARSEED, "watch"], served.environment | {"TERM": "xterm-256color"}) as terminal:
        terminal.wait("the view", lambda screen: "vps" in screen and "? help" in screen)
        terminal.keys("/")
        terminal.text("watched-")
        terminal.keys("Enter")
        # Already the first letters may leave no other.
        screen = terminal.wait("only what is filtered",
                               lambda screen: "filter: watched-" in screen and len(order(screen)) == 2)
        assert not any(row["name"] in screen for row in lab.box.torrents("name").values() if row["name"] not in two), screen

        terminal.keys("o")
        screen = terminal.wait("the order by name", lambda screen: "Sorted by name." in screen
                               and order(screen) == ["watched-a.iso", "watched-b.iso"])
        first = order(screen)
        terminal.keys("r")
        terminal.wait("the other order", lambda screen: order(screen) == first[::-1])
        terminal.keys("g")
        if order(terminal.screen)[0] != "watched-a.iso":
            terminal.keys("r")
            terminal.wait("the first order", lambda screen: order(screen)[:1] == ["watched-a.iso"])
            terminal.keys("g")

        terminal.keys("s")
        wait_for("the torrent to be started", is_stopped(False))
        terminal.wait("the word of it", lambda screen: "started" in screen)
        terminal.keys("p")
        wait_for("the torrent to be stopped again", is_stopped(True))
        # In the last line; the status says so sooner, and a word that is late would take the next one's place.
        terminal.wait("the word of it", lambda screen: screen.rstrip().endswith("stopped"))

        terminal.keys("x")
        terminal.wait("the question", lambda screen: "Remove watched-a.iso?" in screen)
        terminal.keys("n")
        terminal.wait("the answer", lambda screen: "Nothing was removed." in screen)
        terminal.keys("x", "y")
        wait_for("the torrent to be gone", lambda: hash not in lab.box.torrents())
        terminal.wait("the row to be gone", lambda screen: order(screen) == ["watched-b.iso"])
        terminal.keys("q")
        terminal.wait("its end", lambda screen: not screen)
    assert two["watched-b.iso"] in lab.box.torrents(), "only the one chosen"


#: How each shell is started without the settings of this machine, and how it takes the completion.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source <(farseed --generate-completion-script bash)"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D; "
                                 "source <(farseed --generate-completion-script zsh); compdef _farseed farseed"),
    "fish": (["fish", "--no-config", "-i"], "farseed --generate-completion-script fish | source"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_completes_commands_and_options(shell, tmp_path):
    (tmp_path / "farseed").symlink_to(FARSEED)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8",
                   # Where fish puts what it else leaves in /tmp.
                   "XDG_RUNTIME_DIR": str(tmp_path),
                   "TERM": "xterm-256color"}
    command, settings = SHELLS[shell]
    with Terminal(tmp_path, command, environment) as terminal:
        # Typed in two parts, so that only the answer has the word as a whole.
        terminal.text(f"{settings}; echo completion is 'r'eady")
        terminal.keys("Enter")
        terminal.wait("the settings", lambda screen: "completion is ready" in screen)
        for typed, word in (("farseed rean", "reannounce"), ("farseed list --forma", "--format")):
            terminal.text(typed)
            terminal.keys("Tab")
            terminal.wait(word, lambda screen: word in screen)
            terminal.keys("C-c")


def test_every_manual_page_is_rendered_without_a_warning(tmp_path):
    made = subprocess.run([FARSEED, "manual", tmp_path], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made
    pages = sorted(tmp_path.glob("*.1"))
    assert len(pages) > 20 and tmp_path / "farseed-list.1" in pages, pages
    for page in pages:
        shown = subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True, timeout=60,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": "", "MAN_KEEP_FORMATTING": ""},
        )
        assert shown.returncode == 0 and not shown.stderr, (page.name, shown.stderr)
        for heading in ("NAME", "SYNOPSIS"):
            assert f"\n{heading}\n" in shown.stdout, (page.name, shown.stdout[:500])
