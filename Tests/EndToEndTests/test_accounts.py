"""Accounts: made by `farseed user`, used on the page in a real browser, ended while the page is open, and written down."""

import json
import re
import time
import urllib.error
import urllib.request

import pytest

from conftest import Page, audit, labelled, wait_for

PASSWORD = "four words in a row"
OTHER = "four other words in a row"

#: Logging out, a new password and a removal end sockets within this, in seconds.
SOON = 1

#: Notes when each websocket of the page closed. Without a shared worker the page has its websocket itself.
WATCH_SOCKETS = """
window.SharedWorker = undefined;
window.ends = [];
const Real = window.WebSocket;
window.WebSocket = class extends Real {
  constructor(...args) {
    super(...args);
    this.addEventListener("close", (event) => window.ends.push([Date.now() / 1000, event.code]));
  }
};
"""


def users(home):
    result = home.run("user", "list", "--json")
    assert result.returncode == 0, result.stderr
    return {user["name"]: user for user in json.loads(result.stdout)["users"]}


def add(home, name, role, *more, password=PASSWORD):
    result = home.run("user", "add", name, "--role", role, *more, input=password + "\n")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def stranger(served, chromium):
    """The page without a login, which counts its websockets."""
    base = served.url.split("#")[0]
    chromium.get(base)
    chromium.delete_all_cookies()
    script = chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_SOCKETS})
    page = Page(chromium, base)
    wait_for("the login form", lambda: page.state == "login")
    yield page
    chromium.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": script["identifier"]})


def log_in(page, name, password):
    page.script(
        "const form = document.querySelector('#login-form');"
        "form.user.value = arguments[0]; form.password.value = arguments[1]; form.requestSubmit();", name, password)


def login_problem(page):
    return page.script("return document.querySelector('#login-problem').textContent")


def closed(page):
    return page.script("return window.ends")


def ends_within(page, command):
    """Runs a command that ends the page's session; the page's socket must close soon after it."""
    before = closed(page)
    result = command()
    done = time.time()
    assert result.returncode == 0, result.stderr
    now = wait_for("the socket to close", lambda: closed(page)[len(before):], deadline=5)
    assert now[0][0] - done < SOON
    wait_for("the page to ask for a login", lambda: page.state == "login")
    return result


def test_a_user_s_life(served, stranger):
    add(served, "ann", "operator")
    assert users(served)["ann"] | {"created_at": 0, "changed_at": 0} == {
        "name": "ann", "role": "operator", "labels": [], "password": True, "sessions": 0,
        "created_at": 0, "changed_at": 0}
    assert served.run("user", "add", "ann", "--role", "viewer", input=PASSWORD).returncode == 15

    log_in(stranger, "ann", "a wrong password")
    assert "does not log in" in wait_for("a refusal", lambda: login_problem(stranger))
    log_in(stranger, "ann", PASSWORD)
    stranger.wait_live()
    wait_for("rows", stranger.hashes)
    assert users(served)["ann"]["sessions"] == 1
    assert re.search(r"^ann +operator +set +1 ", served.run("user", "list").stdout, re.MULTILINE)

    ends_within(stranger, lambda: served.run("user", "passwd", "ann", input=OTHER + "\n"))
    assert users(served)["ann"]["sessions"] == 0
    log_in(stranger, "ann", PASSWORD)
    wait_for("the old password to be refused", lambda: login_problem(stranger))
    log_in(stranger, "ann", OTHER)
    stranger.wait_live()

    ends_within(stranger, lambda: served.run("user", "remove", "ann"))
    assert "ann" not in users(served)
    log_in(stranger, "ann", OTHER)
    wait_for("a removed user to be refused", lambda: login_problem(stranger))
    assert served.run("user", "remove", "ann").returncode == 13

    known = [(entry["action"], entry["who"], entry["outcome"]) for entry in audit(served)]
    for entry in [("user.add", "owner", "ok"), ("user.add", "owner", "duplicate"), ("login", "ann", "not-permitted"),
                  ("login", "ann", "ok"), ("user.passwd", "owner", "ok"), ("user.remove", "owner", "ok")]:
        assert entry in known, entry
    assert known.count(("login", "ann", "ok")) == 2
    assert {entry["origin"] for entry in audit(served, "login")} == {"127.0.0.1"}


def test_another_role_or_other_labels_end_the_user_s_pages(served, stranger, lab):
    mine, other = sorted(lab.box.torrents())[:2]
    add(served, "ann", "viewer")
    with labelled(served, lab, {mine: "music", other: "films"}):
        log_in(stranger, "ann", PASSWORD)
        stranger.wait_live()
        wait_for("all torrents", lambda: {mine, other} <= set(stranger.hashes()))
        for role, shown in [(["guest", "--label", "music"], [mine]), (["guest", "--label", "films"], [other])]:
            ends_within(stranger, lambda: served.run("user", "role", "ann", *role))
            log_in(stranger, "ann", PASSWORD)
            stranger.wait_live()
            wait_for(f"the torrents of {role}", lambda: stranger.hashes() == shown)
        ends_within(stranger, lambda: served.run("user", "role", "ann", "operator"))
        told = [(entry["target"], entry["outcome"]) for entry in audit(served, "user.role")]
        assert told == [("ann to guest", "ok"), ("ann to guest", "ok"), ("ann to operator", "ok")]


def test_other_sessions_stay(served, stranger):
    """What ends one user's sessions leaves everybody else's page alone."""
    add(served, "ann", "viewer")
    add(served, "bob", "viewer")
    log_in(stranger, "bob", PASSWORD)
    stranger.wait_live()
    assert served.run("user", "passwd", "ann", input=OTHER).returncode == 0
    assert served.run("user", "remove", "ann").returncode == 0
    # The daemon takes note before the command ends, and a goodbye takes half a second at most.
    until = time.time() + SOON
    wait_for("a second to pass", lambda: time.time() > until)
    assert closed(stranger) == [] and stranger.state == "live"


def test_the_page_keeps_nothing_after_the_logout(served, stranger, lab):
    """What a browser keeps is its cookie, which is worth nothing then, and how the table is sorted."""
    add(served, "ann", "viewer")
    log_in(stranger, "ann", PASSWORD)
    stranger.wait_live()
    wait_for("rows", stranger.hashes)
    names = [row["name"] for row in lab.box.torrents("name").values() if row["name"].isascii()]
    assert any(name in stranger.script("return document.documentElement.outerHTML") for name in names)
    stranger.script("document.querySelector('#logout').click()")
    wait_for("the page to ask for a login", lambda: stranger.state == "login")
    wait_for("the rows to go", lambda: not stranger.hashes())
    html = stranger.script("return document.documentElement.outerHTML")
    assert not [name for name in names if name in html]
    kept = stranger.driver.execute_async_script("""
        const done = arguments[0];
        (async () => ({
            local: {...localStorage}, session: {...sessionStorage}, caches: await caches.keys(),
            databases: await indexedDB.databases(), workers: (await navigator.serviceWorker.getRegistrations()).length,
        }))().then(done, (error) => done({error: String(error)}));
    """)
    assert "error" not in kept, kept
    assert set(kept["local"]) <= {"farseed.sort", "farseed.box"}, kept
    assert not [name for name in names if name in str(kept)], kept
    assert kept["session"] == {} and kept["caches"] == kept["databases"] == [] and kept["workers"] == 0, kept
    assert [cookie for cookie in stranger.driver.get_cookies() if cookie["name"].endswith("farseed")] == []


def test_a_one_time_link(served, chromium):
    add(served, "ann", "viewer")
    result = served.run("user", "login", "ann")
    assert result.returncode == 0, result.stderr
    link = result.stdout.strip()
    assert link.split("#")[0] == served.url.split("#")[0]
    chromium.get(link.split("#")[0])
    chromium.delete_all_cookies()
    Page(chromium, link).wait_live()
    assert users(served)["ann"]["sessions"] == 1
    chromium.delete_all_cookies()
    page = Page(chromium, link)
    wait_for("the link to be refused", lambda: page.state == "login")
    assert served.run("user", "login", "nobody").returncode == 13


def test_the_owner_may_be_another(home):
    """A removed first owner does not keep the controller from starting."""
    assert home.run("user", "add", "ann", "--role", "owner", input=PASSWORD).returncode == 0
    home.start()
    assert "owner" not in users(home)
    assert home.run("user", "remove", "ann").returncode == 16
    assert home.stop() == 0


def test_jobs_and_refused_tickets_are_written_down(served, stranger, lab):
    add(served, "ann", "operator")
    log_in(stranger, "ann", PASSWORD)
    stranger.wait_live()
    hash = sorted(served.torrents())[0]
    assert served.run("reannounce", hash).returncode == 0
    job = audit(served, "torrent.reannounce")[-1]
    assert (job["who"], job["origin"], job["outcome"]) == ("owner", "control socket", "ok")
    assert re.fullmatch(r"vps, job \d+", job["target"])

    stranger.script("""
        const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws", ["wamp.2.json"]);
        socket.onopen = () => socket.send(JSON.stringify([1, "farseed", {authmethods: ["ticket"], authid: "ann",
            roles: {caller: {}}}]));
        socket.onmessage = (event) => {
            if (JSON.parse(event.data)[0] === 4) socket.send(JSON.stringify([5, "0".repeat(64), {}]));
        };
    """)
    refused = wait_for("the refused ticket", lambda: audit(served, "ticket"))[-1]
    assert (refused["who"], refused["origin"], refused["outcome"]) == ("ann", "127.0.0.1", "refused")

    stranger.script("document.querySelector('#logout').click()")
    out = wait_for("the logout", lambda: [entry for entry in audit(served, "logout") if entry["who"] == "ann"])
    assert out[-1]["origin"] == "127.0.0.1"
    text = served.run("user", "audit").stdout
    assert PASSWORD not in text and "0" * 64 not in text


#: Asks over a websocket of its own what a guest may not have, and what the guest's own answer is.
ASK_AS_GUEST = """
const done = arguments[0];
(async () => {
  const { Wamp } = await import("/wamp.js");
  const response = await fetch("/api/ticket", { method: "POST", headers: { "X-Farseed": "1" } });
  const { user, ticket } = await response.json();
  const wamp = await Wamp.open({
    url: location.origin.replace("http", "ws") + "/ws", realm: "farseed", user, ticket, closed() {},
  });
  const refused = {};
  const other = "farseed.vps.torrents." + "0".repeat(32);
  for (const topic of ["farseed.vps.torrents", other, "farseed.vps.session", "farseed.jobs"]) {
    refused[topic] = await wamp.subscribe(topic, () => {}).then(() => "", (error) => error.uri);
  }
  for (const verb of ["farseed.vps.torrent.stop", "farseed.vps.torrent.remove"]) {
    refused[verb] = await wamp.call(verb, { hashes: [] }).then(() => "", (error) => error.uri);
  }
  const sync = await wamp.call("farseed.vps.sync");
  const { status } = await fetch("/api/boxes/vps/torrents");
  wamp.close();
  return { refused, sync: Object.keys(sync.full), status };
})().then(done, (error) => done({ error: String(error) }));
"""


def test_a_guest_sees_the_torrents_of_its_labels_and_nothing_else(served, stranger, lab):
    mine, other = sorted(lab.box.torrents())[:2]
    add(served, "gil", "guest", "--label", "for gil", "--label", "music")
    with labelled(served, lab, {mine: "music", other: "private"}):
        log_in(stranger, "gil", PASSWORD)
        stranger.wait_live()
        wait_for("the guest's torrent", lambda: stranger.hashes() == [mine])

        told = stranger.driver.execute_async_script(ASK_AS_GUEST)
        assert "error" not in told, told
        assert set(told["refused"].values()) == {"wamp.error.not_authorized"}, told["refused"]
        assert told["sync"] == [mine]
        assert told["status"] == 403

        lab.box.rpc("torrent-set", {"ids": [other], "labels": ["private", "for gil"]})
        wait_for("the other torrent to come", lambda: set(stranger.hashes()) == {mine, other})
        assert stranger.cell(other, "name").startswith(served.torrents()[other]["name"])
        lab.box.rpc("torrent-set", {"ids": [mine], "labels": []})
        wait_for("the first to go", lambda: stranger.hashes() == [other])
