"""A tor of Farseed's own: started, shown, used with client authorization, restarted, and ended with its controller."""

import json
import os
import pathlib
import signal
import time

from conftest import link_state, make_home, status, wait_for


def tor_children(home):
    """The pids of tor processes that run on this home's torrc."""
    torrc = f"{home.state}/farseed/tor/torrc".encode()
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if torrc in words:
            found.append(int(process.name))
    return found


def test_a_tor_child_reaches_the_seedbox_comes_back_and_ends_with_its_controller(lab, tmp_path):
    with make_home(lab, tmp_path, own_tor=True) as home:
        home.start()
        wait_for("the link to be live", lambda: link_state(home) == "live", 90)
        hops = {hop["hop"]: hop for hop in status(home)["boxes"][0]["link"]["hops"]}
        assert hops["tor"]["state"] == "up" and hops["tor"]["detail"].startswith("0.4."), hops
        assert home.run("exec", "--", "transmission-remote", "-si").returncode == 0

        (child,) = tor_children(home)
        # A command with a session of its own uses the daemon's tor, which could not run twice in its directory.
        walked = home.run("doctor", "--json", timeout=90)
        hops = {hop["hop"]: hop for hop in json.loads(walked.stdout)["hops"]}
        assert walked.returncode == 0 and hops["tor"]["detail"].startswith("0.4."), walked
        assert hops["bootstrap"]["detail"] == "100 %" and hops["tcp"]["detail"].count(" → ") >= 2, walked
        assert tor_children(home) == [child] and link_state(home) == "live"
        os.kill(child, signal.SIGKILL)
        wait_for("the link to be lost", lambda: link_state(home) != "live")
        wait_for("another tor and a live link", lambda: link_state(home) == "live", 90)
        assert tor_children(home) != [child]

        assert home.stop() == 0
        wait_for("tor to end with its controller", lambda: not tor_children(home))


def test_a_tor_child_does_not_outlive_a_killed_controller(lab, tmp_path):
    with make_home(lab, tmp_path, own_tor=True) as home:
        home.start()
        wait_for("a tor that listens", lambda: (home.state / "farseed/tor/control").exists() and tor_children(home))
        wait_for("the bootstrap to be known", lambda: link_state(home) in ("bootstrapping", "connecting", "live"))
        home.stop(signal.SIGKILL)
        wait_for("tor to notice", lambda: not tor_children(home))


def test_a_bootstrap_that_cannot_go_on_is_shown_with_its_reason(lab, tmp_path):
    lines = pathlib.Path(lab.client_torrc).read_text().splitlines()
    include = tmp_path / "extra.torrc"
    # The way to the network, to a port where nothing listens.
    include.write_text("\n".join(line for line in lines if not line.startswith("Socks5Proxy ")) + "\n"
                       "Socks5Proxy 127.0.0.1:9\n")
    with make_home(lab, tmp_path, own_tor=True, tor={"include": str(include)}) as home:
        home.start()

        def problem():
            answer = status(home)
            return answer and answer["boxes"][0]["link"].get("problem", {}).get("code") == "tor-not-ready"

        wait_for("the reason", problem)
        link = status(home)["boxes"][0]["link"]
        assert link["state"] == "bootstrapping", link
        assert "bootstrapped" in link["hops"][0]["detail"], link
        asked = time.monotonic()
        assert home.stop() == 0
        assert time.monotonic() - asked < 5, "the end does not wait for tor"
