"""The ways in besides a login's: clients of WAMP v1, as autobahn.js 0.8 writes it, events that pyzmq pushes, and anonymous ones.

The controller demands that requests count from 1, which those of WAMP v1 must do too, as they are translated.
"""

import asyncio
import json
import re

import pytest
import zmq
from autobahnclient import Inbox, door, run, serializer  # noqa: F401
from autobahn.wamp import message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import SubscribeOptions
from conftest import DEADLINE, free_port, make_home, wait_mirrored
from rawweb import Connection, WebSocket

#: What begins a message of WAMP v1.
WELCOME, PREFIX, CALL, CALLRESULT, CALLERROR, SUBSCRIBE, UNSUBSCRIBE, PUBLISH, EVENT = range(9)


@pytest.fixture(scope="module")
def ingest_port():
    return free_port()


@pytest.fixture(scope="module")
def served(lab, ingest_port, tmp_path_factory):
    """One controller with all of them switched on, its link live and its mirror filled."""
    web = {"wamp-v1": True, "wamp-sequential": True, "open-topics": ["com.example.open."]}
    with make_home(lab, tmp_path_factory.mktemp("doors"), web=web) as home:
        home.config.write_text(home.config.read_text() + f"""
[ingest]
listen = "127.0.0.1:{ingest_port}"
topics = ["com.example."]
""")
        home.start()
        wait_mirrored(home)
        yield home


def topic(door, ticket=None, user="owner"):
    """A topic's string with who subscribes, as pages of Ratchet's time write it."""
    ticket = ticket or door.ticket(Origin=door.origin)
    return json.dumps({"topic": "farseed.vps.torrents", "user": user, "token": ticket})


def legacy(door, origin=None):
    """A connection of WAMP v1 from the page's own origin."""
    port = int(door.port)
    opened = WebSocket(Connection(port), origin=origin or door.origin, target="/ws/v1", subprotocol="wamp")
    if opened.answer.status == 101:
        welcome = opened.receive()
        assert welcome[0] == WELCOME and re.fullmatch(r"\d+", welcome[1]) and welcome[2:] == [1, "Farseed"]
    return opened


def test_a_client_of_wamp_v1_gets_the_state_then_deltas_and_calls(door, lab):
    with legacy(door) as client:
        name = topic(door)
        client.send(SUBSCRIBE, name)
        kind, event_of, state = client.receive()
        assert (kind, event_of) == (EVENT, name) and state["full"].keys() >= set(lab.hashes.values())
        for count in (1, 2, 3):
            kind, event_of, delta = client.receive()
            assert (kind, event_of, delta["epoch"], delta["seq"]) == (EVENT, name, state["epoch"], state["seq"] + count)
        client.send(UNSUBSCRIBE, name)
        client.send(PREFIX, "farseed", "farseed.")
        client.send(CALL, "one", "farseed:boxes")
        client.send(CALL, "two", "farseed.none")
        # Events that were on their way come in between, and a refusal may overtake an answer.
        answers = {}
        while len(answers) < 2:
            message = client.receive()
            if message[0] != EVENT:
                answers[message[1]] = message
        assert answers["one"] == [CALLRESULT, "one", {"boxes": [{"name": "vps"}]}]
        assert answers["two"][:3] == [CALLERROR, "two", "wamp.error.no_such_procedure"] and answers["two"][3]


def test_a_client_of_wamp_v1_needs_a_ticket_of_its_own_origin(door):
    ticket = door.ticket(Origin=door.origin)
    with legacy(door) as client:
        client.send(SUBSCRIBE, "farseed.vps.torrents")
        client.send(CALL, "one", "farseed.boxes")
        assert client.receive()[:3] == [CALLERROR, "one", "wamp.error.not_authorized"]
        client.send(SUBSCRIBE, topic(door, ticket))
        assert client.receive()[0] == EVENT
    for wrong in (topic(door, ticket), topic(door, user="ann"), topic(door, "guess")):
        with legacy(door) as client:
            client.send(SUBSCRIBE, wrong)
            assert client.receive() == 1008
    with legacy(door, origin="https://evil.example") as client:
        assert client.answer.status == 403
    with legacy(door) as client:
        client.send(CALLRESULT, "one", 1)
        assert client.receive() == 1002


def test_a_request_out_of_turn_ends_the_session_where_that_is_wanted(door, serializer):
    async def scenario(client):
        session, other = await client.owner(), await client.owner()
        for _ in range(2):
            await session.call("farseed.boxes")
        # autobahn-python takes an ABORT amid a session for a fault of the router's.
        came = asyncio.get_running_loop().create_future()
        session.onMessage = came.set_result
        session._request_id_gen.next()
        unanswered = session.call("farseed.boxes")
        abort = await came
        assert isinstance(abort, message.Abort) and abort.message
        assert abort.reason == "wamp.error.protocol_violation"
        await asyncio.wait([session.left, unanswered])
        assert unanswered.exception() is not None
        assert (await other.call("farseed.boxes")).kwresults == {"boxes": [{"name": "vps"}]}

    run(door, serializer, scenario)


@pytest.fixture
def push(ingest_port):
    """A PUSH socket of the real libzmq."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as pusher:
        pusher.setsockopt(zmq.LINGER, 0)
        pusher.setsockopt(zmq.SNDTIMEO, DEADLINE * 1_000)
        pusher.connect(f"tcp://127.0.0.1:{ingest_port}")
        yield pusher


def test_what_is_pushed_becomes_events(door, push, serializer):
    async def scenario(client):
        session, inbox = await client.owner(), Inbox()
        await session.subscribe(inbox, "com.example.", SubscribeOptions(match="prefix", details=True))
        for refused in (b"nonsense", b"[1]", b'{"topic": "farseed.vps.torrents", "data": {}}', b'{"topic": "com.exam"}'):
            await asyncio.to_thread(push.send, refused)
        await asyncio.to_thread(push.send_multipart, [b'{"topic": "com.example.no",', b'"data": 1}'])
        await asyncio.to_thread(push.send_json, {"topic": "com.example.door", "data": {"open": True, "name": "Tür"}})
        details, event = await inbox.next()
        assert (details.topic, event) == ("com.example.door", {"open": True, "name": "Tür"})
        for number in range(3_000):
            await asyncio.to_thread(push.send_json, {"topic": "com.example.count", "data": number})
        for number in range(3_000):
            details, event = await inbox.next()
            assert (details.topic, event) == ("com.example.count", (number,))

    run(door, serializer, scenario)


def test_anybody_gets_the_events_of_open_topics_and_nothing_else(door, push, serializer):
    async def scenario(client):
        session, inbox = await client.open(["anonymous"], None, None), Inbox()
        await session.subscribe(inbox, "com.example.open.", SubscribeOptions(match="prefix", details=True))
        for asked in (session.subscribe(inbox, "com.example.door"), session.subscribe(inbox, "farseed.vps.torrents"),
                      session.call("farseed.boxes")):
            with pytest.raises(ApplicationError, match="not_authorized"):
                await asked
        await asyncio.to_thread(push.send_json, {"topic": "com.example.door", "data": 1})
        await asyncio.to_thread(push.send_json, {"topic": "com.example.open.door", "data": 2})
        details, event = await inbox.next()
        assert (details.topic, event) == ("com.example.open.door", (2,))

    run(door, serializer, scenario)


def test_a_message_too_large_ends_its_connection_and_the_sender_comes_back(door, push):
    async def scenario(client):
        session, inbox = await client.owner(), Inbox()
        await session.subscribe(inbox, "com.example.door", SubscribeOptions(details=True))
        await asyncio.to_thread(push.send_json, {"topic": "com.example.door", "data": "x" * 70_000})
        # What libzmq had handed to the old connection is lost with it; so it is sent until one comes.
        while inbox.events.empty():
            await asyncio.to_thread(push.send_json, {"topic": "com.example.door", "data": "small"})
            await asyncio.sleep(0.05)
        assert (await inbox.next())[1] == ("small",)

    run(door, "json", scenario)
