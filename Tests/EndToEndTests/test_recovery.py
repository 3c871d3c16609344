"""Parts die while the page is open: it says which hop is down, keeps the last data, and is live again by itself."""

import base64
import re
import time

import pytest

from conftest import AGENT, CODES, Page, get, hop, link_state, make_home, status, wait_for, wait_mirrored
from lab import Lab

#: A dead connection without a reset is noticed by missing pongs only; see `dead-after` in Docs/Operations.md.
NOTICE = 90
#: How long the link has to find a way round a relay that has died, and then to one whose tor has begun anew. Tor lets an
#: onion service make 28 circuits to introduction points in five minutes and then none, and in a network this small a dead
#: relay may cost it most of them.
AROUND = 20
AFRESH = 120
#: The age that the shown data must at least reach while a part is down, in seconds.
AGED = 3

#: Keeps every state of a hop that the page has shown, however short.
RECORD = """
window.farseedTestMark = 1;
window.farseedSeen = new Set();
const note = () => document.querySelectorAll("#link li[data-hop]")
  .forEach((item) => farseedSeen.add(`${item.dataset.hop} ${item.dataset.state}`));
new MutationObserver(note).observe(document.querySelector("#link"), { subtree: true, attributeFilter: ["data-state"] });
"""


def assert_recovers(home, page, kill, restore, name, code, never=()):
    """Kills a part; hop `name` must be named down, with the rows and their age, and all be well without a reload.

    No hop of `never` may have been called down; `code` is the problem that is told in the end.
    """
    page.script(RECORD)
    rows = set(page.hashes())
    kill()
    try:
        wait_for(f"the page to say that {name} is down", lambda: page.hops().get(name) == "down", NOTICE, pause=0.02)
        wait_for(lambda: f"the problem, not {page.problem()}", lambda: (page.problem() or {}).get("code") == code, NOTICE)
        assert page.problem()["text"].endswith(".")
        told = wait_for("farseed status to say so", lambda: hop(home, name) == "down" and home.run("status"), NOTICE)
        assert told.returncode == CODES[code], told
        assert f"({name})" in home.run("status", "--oneline").stdout
        wait_for("an age of some seconds", lambda: age(page) >= AGED)
        assert age(page) < NOTICE
        assert status(home)["boxes"][0]["link"]["data_at"] > 0 and " old" in home.run("status").stdout
        assert page.state == "stale" and set(page.hashes()) == rows, "the last data must stay"
    finally:
        restore()
    wait_all_up(page)
    page.wait_live()
    assert page.script("return window.farseedTestMark") == 1, "the page was reloaded"
    wait_for("fresh data", lambda: age(page) < AGED)
    seen = set(page.script("return [...farseedSeen]"))
    assert f"{name} down" in seen and not seen & {f"{other} down" for other in never}, seen


def age(page):
    """The seconds that the page shows as the age of its data."""
    return int(page.script("return document.querySelector('#age').textContent"))


def wait_all_up(page):
    """Waits until no hop is at fault; a failure tells which one was and what the page said."""
    seen = {}

    def are_up():
        seen.update(hops=page.hops(), problem=page.problem())
        return set(seen["hops"].values()) == {"up"}

    wait_for(lambda: f"all hops to be up again, not {seen}", are_up, NOTICE)


def test_the_ssh_connection_is_killed(served, page, lab):
    def kill():
        # Nothing new comes to be, so that what is lost stays lost until somebody has looked.
        lab.freeze_sshd_listener()
        assert lab.kill_sshd_connection()

    assert_recovers(served, page, kill, lambda: lab.freeze_sshd_listener(False), "ssh", "connection-lost",
                    never=["tor", "circuit"])


def test_the_agent_is_killed(served, page, lab):
    def kill():
        lab.freeze_sshd_listener()
        assert lab.kill_agent()

    assert_recovers(served, page, kill, lambda: lab.freeze_sshd_listener(False), "agent", "connection-lost",
                    never=["tor", "circuit", "ssh"])


def test_the_agent_is_killed_and_nothing_hinders_its_return(page, lab):
    page.script(RECORD)
    assert lab.kill_agent()
    wait_for("the page to have said that the agent is down", lambda: page.script("return farseedSeen.has('agent down')"))
    wait_all_up(page)
    page.wait_live()
    assert not {"tor down", "circuit down", "ssh down"} & set(page.script("return [...farseedSeen]"))
    assert page.script("return window.farseedTestMark") == 1, "the page was reloaded"


def test_sshd_is_stopped(served, page, lab):
    def kill():
        lab.stop_sshd()
        lab.kill_sshd_connection()

    assert_recovers(served, page, kill, lab.start_sshd, "ssh", "connection-refused", never=["tor", "circuit", "agent"])


def test_the_tor_client_is_killed(served, page, lab):
    assert_recovers(served, page, lab.kill_tor_client, lab.start_tor_client, "tor", "socks-unreachable")


@pytest.fixture
def watchful(lab, tmp_path):
    """A home side that soon notices silence."""
    with make_home(lab, tmp_path, link={"probe-after": 1, "dead-after": 15}) as home:
        home.start()
        wait_mirrored(home)
        yield home


def test_the_circuit_swallows_everything(watchful, chromium, lab):
    page = Page(chromium, watchful.url).wait_live()
    assert_recovers(watchful, page, lab.blackhole, lambda: lab.blackhole(False), "circuit", "connection-lost",
                    never=["tor", "ssh", "agent"])


def test_a_relay_of_the_circuit_dies(chromium, tmp_path):
    """In a laboratory of its own: how soon a network this small finds another way is tor's affair."""
    with Lab(agent=AGENT, torrents=3) as lab, make_home(lab, tmp_path) as home:
        home.start()
        wait_mirrored(home)
        page = Page(chromium, home.url).wait_live()
        page.script(RECORD)
        rows = set(page.hashes())
        (number,) = wait_for("a relay on the way", lambda: relay_behind_the_first(home, lab), NOTICE)
        lab.kill_relay(number)
        wait_for("the page to have said that the circuit is down",
                 lambda: page.script("return farseedSeen.has('circuit down')"), NOTICE)
        assert set(page.hashes()) == rows, "the last data must stay"
        # Mostly another way is found at once. Where the service's own circuits went by that relay, too, its tor may need
        # minutes to be found again, and begins anew instead.
        if not becomes_live(home, AROUND):
            lab.start_relay(number)
            lab.kill_onion()
            lab.start_onion()
            lab.wait_reachable()
            assert becomes_live(home, AFRESH), status(home)["boxes"][0]["link"]
        wait_all_up(page)
        page.wait_live()
        assert set(page.hashes()) == rows
        assert page.script("return window.farseedTestMark") == 1, "the page was reloaded"


def becomes_live(home, seconds):
    """Whether the link is live within that time."""
    end = time.monotonic() + seconds
    while link_state(home) != "live":
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def relay_behind_the_first(home, lab):
    """The number of a relay on the link's way that is no guard and no authority; another way is taken where there is none."""
    hops = {item["hop"]: item for item in status(home)["boxes"][0]["link"]["hops"]}
    names = [relay.partition(" (")[0] for relay in hops["circuit"]["detail"].split(" → ")[1:]]
    known = [f"relay{i}" for i in range(3)] + ["exit"]
    numbers = [known.index(name) for name in names if name in known]
    if not numbers and hops["agent"]["state"] == "up":
        lab.kill_sshd_connection()
        wait_for("the link to be live again", lambda: link_state(home) == "live", NOTICE)
    return numbers and [numbers[-1]]


def test_transmission_is_stopped(served, page, lab):
    """The link stays up; Transmission's hop is down with a sentence, and comes back."""
    page.script(RECORD)
    rows = set(page.hashes())
    lab.stop_transmission()
    try:
        wait_for("the page to say that Transmission is down", lambda: page.hops()["transmission"] == "down", NOTICE)
        assert page.problem()["code"] == "transmission-down"
        assert page.hops()["agent"] == "up" and hop(served, "transmission") == "down"
        wait_for("an age of some seconds", lambda: age(page) >= AGED)
        assert set(page.hashes()) == rows
    finally:
        lab.start_transmission()
    wait_for("Transmission to be up again", lambda: page.hops()["transmission"] == "up", NOTICE)
    page.wait_live()
    assert page.script("return window.farseedTestMark") == 1


TOKEN = "a token of some length"


@pytest.fixture
def measured(lab, tmp_path):
    """A home side whose figures may be read."""
    token = tmp_path / "metrics.token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    with make_home(lab, tmp_path, web={"metrics-token-file": str(token)}) as home:
        home.start()
        wait_mirrored(home)
        yield home


def updates(home):
    """How many whole states and deltas the controller has had."""
    _, body = get(home.url.partition("#")[0].rstrip("/") + "/metrics", Authorization=f"Bearer {TOKEN}")
    found = re.findall(r'(?m)^farseed_updates_total\{box="vps",kind="(\w+)"\} (\d+)$', body.decode())
    return {kind: int(count) for kind, count in found}


def test_after_a_loss_what_has_changed_is_told_and_not_everything(measured, lab):
    home, before = measured, updates(measured)
    assert before["snapshot"] == 1
    data, hash = lab.make_torrent("while it was down", 16384, seeded=False)
    lab.freeze_sshd_listener()
    try:
        assert lab.kill_sshd_connection()
        wait_for("the loss", lambda: link_state(home) not in (None, "live"), NOTICE)
        lab.box.rpc("torrent-add", {"metainfo": base64.b64encode(data).decode(), "paused": True})
        assert hash not in home.torrents()
    finally:
        lab.freeze_sshd_listener(False)
    try:
        wait_for("what has changed", lambda: hash in home.torrents(), NOTICE)
        after = updates(home)
        assert after["snapshot"] == 1 and after["delta"] > before["delta"], (before, after)
        # An agent that has begun anew has no history to tell.
        assert lab.kill_agent()
        wait_for("a whole state", lambda: updates(home)["snapshot"] == 2, NOTICE)
    finally:
        lab.box.rpc("torrent-remove", {"ids": [hash]})


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
