"""Parts die while the page is open: it says which hop is down, keeps the last data, and is live again by itself."""

import pytest

from conftest import wait_for

#: A dead connection without a reset is noticed by missing pongs only; see `dead-after` in Docs/Operations.md.
NOTICE = 90


def assert_recovers(page, lab, kill, restore, hop):
    """Kills a part; the page must name `hop`, keep its rows with their age, and recover without a reload."""
    page.script("window.farseedTestMark = 1")
    rows = set(page.hashes())
    kill()
    wait_for(f"the page to say that {hop} is not up", lambda: page.hops().get(hop) != "up", NOTICE, pause=0.02)
    assert set(page.hashes()) == rows, "the last data must stay"
    restore()
    wait_all_up(page)
    page.wait_live()
    assert page.script("return window.farseedTestMark") == 1, "the page was reloaded"


def wait_all_up(page):
    """Waits until no hop is at fault; a failure tells which one was and what the page said."""
    seen = {}

    def are_up():
        seen.update(hops=page.hops(), problem=page.problem())
        return set(seen["hops"].values()) == {"up"}

    wait_for(lambda: f"all hops to be up again, not {seen}", are_up, NOTICE)


def test_the_ssh_connection_is_killed(page, lab):
    assert_recovers(page, lab, lab.kill_sshd_connection, lambda: None, "ssh")


def test_the_agent_is_killed(page, lab):
    assert_recovers(page, lab, lab.kill_agent, lambda: None, "agent")


def test_sshd_is_stopped(page, lab):
    def kill():
        lab.stop_sshd()
        lab.kill_sshd_connection()

    assert_recovers(page, lab, kill, lab.start_sshd, "ssh")


def test_the_tor_client_is_killed(page, lab):
    assert_recovers(page, lab, lab.kill_tor_client, lab.start_tor_client, "tor")


def test_transmission_is_stopped(page, lab):
    """The link stays up; Transmission's hop is down with a sentence, and comes back."""
    page.script("window.farseedTestMark = 1")
    rows = set(page.hashes())
    lab.stop_transmission()
    try:
        wait_for("the page to say that Transmission is down", lambda: page.hops()["transmission"] == "down", NOTICE)
        assert page.problem()["code"] == "transmission-down"
        assert page.hops()["agent"] == "up"
        assert set(page.hashes()) == rows
    finally:
        lab.start_transmission()
    wait_for("Transmission to be up again", lambda: page.hops()["transmission"] == "up", NOTICE)
    page.wait_live()
    assert page.script("return window.farseedTestMark") == 1


def test_the_age_of_the_data_grows_while_the_link_is_down(page, lab):
    lab.stop_sshd()
    lab.kill_sshd_connection()
    try:
        wait_for("the page to be stale", lambda: page.state == "stale", NOTICE)
        wait_for("an age of some seconds", lambda: int("".join(filter(str.isdigit, page.script(
            "return document.querySelector('#age').textContent"))) or 0) >= 3)
    finally:
        lab.start_sshd()
    page.wait_live(NOTICE)


def test_the_controller_is_restarted(served, page, lab):
    """The page outlives its controller: it reconnects, and asks for a new login where its session is gone."""
    import signal
    assert served.stop(signal.SIGTERM) == 0
    wait_for("the page to notice", lambda: page.state != "live", NOTICE)


@pytest.mark.parametrize("kill", ["kill_sshd_connection", "kill_agent"])
def test_a_command_after_a_loss_waits_for_the_link_and_succeeds(served, lab, kill):
    getattr(lab, kill)()
    result = served.run("exec", "--", "transmission-remote", "-si", timeout=NOTICE)
    assert result.returncode in (0, 48), result.stderr
    wait_for("the next command to succeed",
             lambda: served.run("exec", "--", "transmission-remote", "-si").returncode == 0, NOTICE)
