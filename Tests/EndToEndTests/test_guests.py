"""What a guest limited to labels gets by each way that there is to torrents: those of its labels, and nothing of others."""

import json
import re

import pytest
from conftest import ROOT, labelled, make_home, wait_for, wait_mirrored
from rawweb import (CALL, ERROR, EVENT, RESULT, SUBSCRIBE, SUBSCRIBED, WELCOME, Connection, WebSocket)

#: All that a guest may call.
ALLOWED = {"farseed.boxes", "farseed.vps.sync"}
#: Every procedure of the router's own, as its source names their last words, and history as others name it.
META = [f"wamp.{kind}.{word}" for kind in ("session", "subscription", "registration", "topic") for word in sorted(
    {*re.findall(r'case "([a-z_]+)"', (ROOT / "Sources/WAMP/Router/Router+Meta.swift").read_text()), "history.last"})]
NOT_AUTHORIZED = "wamp.error.not_authorized"


class Guests:
    """A controller with a guest; the first torrent has the guest's label, the second another."""

    def __init__(self, home, lab):
        self.home, self.lab = home, lab
        self.mine, self.other = sorted(lab.box.torrents())[:2]
        self.origin = home.url.split("/#")[0]
        self.port = int(self.origin.rsplit(":", 1)[1])

    def add(self, name, role, *more):
        done = self.home.run("user", "add", name, "--role", role, "--no-password", *more)
        assert done.returncode == 0, done.stderr
        return self.cookie(name)

    def cookie(self, name):
        link = self.home.run("user", "login", name).stdout.strip()
        answer = self.ask("POST", "/api/login", ("X-Farseed", "1"), body={"token": link.split("#login=")[1]})
        assert answer.status == 204, answer
        return ("Cookie", answer["set-cookie"].split(";")[0])

    def ask(self, *request, **more):
        with Connection(self.port) as connection:
            return connection.ask(*request, **more)

    def session(self, cookie):
        """A welcome session of this cookie."""
        given = self.ask("POST", "/api/ticket", ("X-Farseed", "1"), ("Origin", self.origin), cookie).json
        socket = WebSocket(Connection(self.port), origin=self.origin)
        welcome = socket.join(given["user"], given["ticket"])
        assert welcome[0] == WELCOME, welcome
        return socket


def answer(session, kind, *message):
    """Sends a request and reads its answer, whatever events come before it."""
    session.send(kind, 7, *message)
    while (got := session.receive())[0] == EVENT:
        pass
    return got


def call(session, procedure, *arguments):
    return answer(session, CALL, {}, procedure, *arguments)


@pytest.fixture(scope="module")
def guests(lab, tmp_path_factory):
    with make_home(lab, tmp_path_factory.mktemp("guests")) as home:
        home.start()
        wait_mirrored(home)
        guests = Guests(home, lab)
        with labelled(home, lab, {guests.mine: "music", guests.other: "films"}):
            yield guests


@pytest.fixture(scope="module")
def cookie(guests):
    return guests.add("gil", "guest", "--label", "music")


@pytest.fixture
def guest(guests, cookie):
    with guests.session(cookie) as session:
        yield session


@pytest.fixture
def topic(guest):
    """The topic of the guest's own torrents, as `farseed.boxes` tells it."""
    (box,) = call(guest, "farseed.boxes")[4]["boxes"]
    assert box["name"] == "vps"
    return box["torrents"]


def test_the_retained_snapshot_and_the_deltas_of_the_guest_s_topic(guests, guest, topic):
    guest.send(SUBSCRIBE, 1, {"get_retained": True}, topic)
    assert guest.receive()[:2] == [SUBSCRIBED, 1]
    first = guest.receive()
    assert first[0] == EVENT and list(first[5]["full"]) == [guests.mine], first
    # Both change; the guest is told of its own, and of the other not even that there is one.
    events = []
    guests.lab.box.rpc("torrent-stop", {"ids": [guests.other, guests.mine]})
    try:
        while not events or guests.mine not in events[-1].get("set", {}):
            events.append(guest.receive()[5])
        wait_for("the other torrent's change", lambda: guests.home.torrents()[guests.other]["status"] == "stopped")
        assert call(guest, "farseed.boxes")[0] == RESULT
    finally:
        guests.lab.box.rpc("torrent-start", {"ids": [guests.other, guests.mine]})
    assert guests.other not in json.dumps(events)


def test_a_wildcard_over_all_boxes_brings_the_guest_its_own(guests, guest, topic):
    """The state first, then deltas, of the topics that the guest may have and of no other."""
    # What started and stopped within one look at the seedbox would be no change.
    wait_for("the torrent to go on", lambda: guests.home.torrents()[guests.mine]["status"] != "stopped")
    pattern = topic.replace(".vps.", "..")
    guest.send(SUBSCRIBE, 1, {"match": "wildcard", "get_retained": True}, pattern)
    assert guest.receive()[:2] == [SUBSCRIBED, 1]
    first = guest.receive()
    assert first[0] == EVENT and first[3] == {"retained": True, "topic": topic}, first
    assert list(first[5]["full"]) == [guests.mine]
    events = []
    guests.lab.box.rpc("torrent-stop", {"ids": [guests.other, guests.mine]})
    try:
        while not events or guests.mine not in events[-1][5].get("set", {}):
            events.append(guest.receive())
    finally:
        guests.lab.box.rpc("torrent-start", {"ids": [guests.other, guests.mine]})
    assert {event[3]["topic"] for event in events} == {topic} and guests.other not in json.dumps(events)
    assert [event[5]["seq"] for event in events] == [first[5]["seq"] + place + 1 for place in range(len(events))]


def test_sync_has_the_guest_s_torrents(guests, guest):
    assert list(call(guest, "farseed.vps.sync")[4]["full"]) == [guests.mine]
    # Nobody asks for more by an argument.
    for more in ({"labels": ["films"]}, {"full": True}, {"scope": "0" * 32}):
        assert list(call(guest, "farseed.vps.sync", [], more)[4]["full"]) == [guests.mine]


def test_no_other_topic_is_open_to_a_guest(guests, guest, topic):
    # Somebody of the other label is there, so that label's topic is, too.
    other = guests.add("fil", "guest", "--label", "films")
    with guests.session(other) as session:
        (box,) = call(session, "farseed.boxes")[4]["boxes"]
        assert box["torrents"] != topic
        exact = [box["torrents"], "farseed.vps.torrents", f"farseed.vps.torrent.{guests.other}", "farseed.vps.session",
                 f"farseed.vps.torrent.{guests.mine}", "farseed.vps.host", "farseed.jobs", "farseed.worker.clock",
                 "wamp.session.on_join", "wamp.subscription.on_create"]
        for uri in exact:
            refused = answer(guest, SUBSCRIBE, {"get_retained": True}, uri)
            assert refused[:2] == [ERROR, SUBSCRIBE] and refused[4] == NOT_AUTHORIZED, (uri, refused)
        patterns = [("prefix", uri) for uri in ("farseed", "farseed.", "farseed.vps", "farseed.vps.torrents",
                                                "farseed.vps.torrents.", topic[:-1])]
        patterns += [("wildcard", uri) for uri in ("farseed..torrents", "farseed..torrents.", "farseed...", "..", "...",
                                                   "farseed.vps.torrents.", "farseed.vps..", "farseed..")]
        for match, uri in patterns:
            refused = answer(guest, SUBSCRIBE, {"match": match, "get_retained": True}, uri)
            assert refused[:2] == [ERROR, SUBSCRIBE], (match, uri, refused)
            assert refused[4] in (NOT_AUTHORIZED, "wamp.error.invalid_uri"), (match, uri, refused)


def test_no_procedure_but_two_is_open_to_a_guest(guests, guest):
    owner = guests.session(guests.cookie("owner"))
    with owner:
        ids = call(owner, "wamp.registration.list")[3][0]
        offered = {call(owner, "wamp.registration.get", [number])[3][0]["uri"]
                   for number in ids["exact"] + ids["prefix"] + ids["wildcard"]}
    assert ALLOWED < offered and len(META) > 10, (offered, META)
    for uri in sorted(offered - ALLOWED) + META:
        for arguments in ([], {"hash": guests.other, "hashes": [guests.other]}), ([1], {}):
            refused = call(guest, uri, *arguments)
            assert refused[:2] == [ERROR, CALL] and refused[4] == NOT_AUTHORIZED, (uri, refused)
            assert guests.other not in json.dumps(refused)
    assert guests.home.torrents()[guests.other]


def test_http_tells_a_guest_nothing(guests, cookie):
    for path in ("/api/boxes", "/api/boxes/vps/torrents", "/metrics"):
        answer = guests.ask("GET", path, cookie)
        assert answer.status == 403 and guests.other not in answer.text, answer
