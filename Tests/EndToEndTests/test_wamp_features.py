"""Every advanced feature that WELCOME announces, as the real autobahn-python uses it, over every serializer.

What autobahn has no option for (disclosing who calls or publishes, how a call is cancelled) is added to its messages on their
way out; what it announces and does not handle (revoked subscriptions) is taken from its messages on their way in. Shown
elsewhere: exclusion of the publisher and of sessions, retention, patterns, progressive results, time-outs, shared
registrations and testaments in test_wamp_workers.py; the history of events in test_wamp.py.
"""

import asyncio
import functools

import pytest
from autobahnclient import Inbox, door, run, serializer  # noqa: F401
from autobahn.wamp import auth, message
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions
from rawweb import HELLO, RSV1, TEXT, WELCOME, frame
from attacked import employing

FEATURES = {
    "broker": {"publisher_exclusion", "publisher_identification", "subscriber_blackwhite_listing",
               "pattern_based_subscription", "event_retention", "event_history", "subscription_meta_api",
               "subscription_revocation", "session_meta_api"},
    "dealer": {"progressive_call_results", "call_canceling", "call_timeout", "caller_identification",
               "pattern_based_registration", "shared_registration", "registration_meta_api",
               "registration_revocation", "session_meta_api", "testament_meta_api"},
}
DETAILS = SubscribeOptions(details=True)


def enter(employer, client, name):
    """A session of a worker."""
    def sign(challenge):
        return auth.compute_wcs(employer.worker_secret.encode(), challenge.extra["challenge"].encode()).decode()

    return client.open(["wampcra"], name, sign)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One controller for all tests of this file."""
    with employing(tmp_path_factory.mktemp("features")) as controller:
        yield controller


def number(session):
    """The session's number."""
    return session.joined.result().session


def disclosing(session):
    """Has the session ask to be named in whatever it publishes and calls; autobahn has no option for it."""
    protocol = session.protocol
    notation = protocol._serializer._serializer

    def send(message):
        raw = message.marshal()
        raw[2]["disclose_me"] = True
        protocol.sendMessage(notation.serialize(raw), notation.BINARY)

    protocol.send = send
    return session


def revocations(session):
    """The messages that take something away from the session, which autobahn then does not see."""
    found, handle = asyncio.Queue(), session.onMessage

    def received(incoming):
        if isinstance(incoming, (message.Unsubscribed, message.Unregistered)) and incoming.request == 0:
            found.put_nowait(incoming)
        else:
            handle(incoming)

    session.onMessage = received
    return found


async def everything(inbox, last):
    """The first argument of each event up to `last`."""
    found = []
    while last not in found:
        found.append((await inbox.next())[1][0])
    return found


def test_the_features_announced_are_those_shown_here(served, door):
    with served.open(origin=door.origin) as session:
        session.send(HELLO, "farseed", {"roles": {"subscriber": {}}, "authmethods": ["ticket"], "authid": "owner"})
        assert session.receive()[1] == "ticket"
        session.send(5, door.ticket(Origin=door.origin), {})
        kind, _, details = session.receive()
    assert kind == WELCOME
    assert {role: {name for name, can in told["features"].items() if can} for role, told in details["roles"].items()
            } == FEATURES


def test_who_publishes_is_named_where_it_wants_to_be(door, served, serializer):
    async def scenario(client):
        worker, owner, inbox = await enter(served, client, "alpha"), await client.owner(), Inbox()
        await owner.subscribe(inbox, "farseed.worker.named", DETAILS)
        worker.publish("farseed.worker.named", 1)
        details, _ = await inbox.next()
        assert (details.publisher, details.publisher_authid, details.publisher_authrole) == (None, None, None)
        disclosing(worker).publish("farseed.worker.named", 2)
        details, payload = await inbox.next()
        assert payload == (2,)
        assert (details.publisher, details.publisher_authid, details.publisher_authrole) == (
            number(worker), "alpha", "worker.alpha")

    run(door, serializer, scenario)


def test_who_calls_is_named_where_it_wants_to_be(door, served, serializer):
    async def scenario(client):
        worker, owner = await enter(served, client, "alpha"), await client.owner()

        def whoami(details):
            return [details.caller, details.caller_authid, details.caller_authrole]

        await worker.register(whoami, "farseed.worker.whoami", RegisterOptions(details_arg="details"))
        assert await owner.call("farseed.worker.whoami") == [None, None, None]
        assert await disclosing(owner).call("farseed.worker.whoami") == [number(owner), "owner", "owner"]

    run(door, serializer, scenario)


def test_lists_of_people_and_roles_choose_who_gets_an_event(door, served, serializer):
    async def scenario(client):
        worker = await enter(served, client, "alpha")
        inboxes = {"owner": Inbox(), "beta": Inbox()}
        topic = f"farseed.worker.lists.{serializer}"
        await (await client.owner()).subscribe(inboxes["owner"], topic, DETAILS)
        await (await enter(served, client, "beta")).subscribe(inboxes["beta"], topic, DETAILS)
        lists = [
            ({"eligible_authid": ["beta"]}, {"beta"}), ({"exclude_authid": ["beta"]}, {"owner"}),
            ({"eligible_authrole": ["owner", "viewer"]}, {"owner"}), ({"exclude_authrole": ["owner"]}, {"beta"}),
            ({"eligible_authid": ["owner"], "exclude_authrole": ["owner"]}, set()), ({"eligible_authid": []}, set()),
            ({"exclude_authid": [], "exclude_authrole": ["nobody"]}, {"owner", "beta"}),
        ]
        for place, (options, _) in enumerate(lists):
            await worker.publish(topic, place, options=PublishOptions(acknowledge=True, **options))
        worker.publish(topic, "last")
        for name, inbox in inboxes.items():
            assert await everything(inbox, "last") == [
                *(place for place, (_, who) in enumerate(lists) if name in who), "last"]

    run(door, serializer, scenario)


def test_a_pattern_of_procedures_is_told_which_is_called_and_the_best_is_taken(door, served, serializer):
    async def scenario(client):
        worker, owner = await enter(served, client, "alpha"), await client.owner()
        for match, procedure in ("prefix", "farseed.worker.p"), ("wildcard", "farseed.worker..size"), (
                "exact", "farseed.worker.photos.exact"):
            def answer(details, match=match):
                return [match, details.procedure]

            await worker.register(answer, procedure, RegisterOptions(match=match, details_arg="details"))
        assert await owner.call("farseed.worker.photos") == ["prefix", "farseed.worker.photos"]
        assert await owner.call("farseed.worker.videos.size") == ["wildcard", "farseed.worker.videos.size"]
        assert (await owner.call("farseed.worker.photos.exact"))[0] == "exact"
        # A prefix comes before a wildcard.
        assert await owner.call("farseed.worker.photos.size") == ["prefix", "farseed.worker.photos.size"]
        assert await owner.error(owner.call("farseed.worker.other")) == "wamp.error.no_such_procedure"
        # What reaches beyond a worker's own is refused as the pattern that it is.
        for match, procedure in ("prefix", "farseed.work"), ("wildcard", "farseed..size"), ("wildcard", ".worker.size"):
            beyond = worker.register(lambda: 0, procedure, RegisterOptions(match=match))
            assert await worker.error(beyond) == "wamp.error.not_authorized"

    run(door, serializer, scenario)


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_a_call_is_cancelled_as_its_caller_wants(door, served, serializer, mode):
    async def scenario(client):
        worker, owner, noted = await enter(served, client, "alpha"), await client.owner(), asyncio.Queue()
        finish = asyncio.Event()

        async def wait():
            noted.put_nowait("began")
            try:
                await finish.wait()
                noted.put_nowait("finished")
            except asyncio.CancelledError:
                noted.put_nowait("interrupted")
                raise ApplicationError("farseed.worker.stopped", "It was stopped.") from None

        await worker.register(wait, "farseed.worker.wait")
        call = owner.call("farseed.worker.wait")
        assert await noted.get() == "began"
        (request,) = owner._call_reqs
        owner._transport.send(message.Cancel(request, mode=mode))
        # Only who has it killed waits for the callee's own word; a late one is nobody's.
        assert await owner.error(call) == ("farseed.worker.stopped" if mode == "kill" else "wamp.error.canceled")
        if mode == "skip":
            finish.set()
        assert await noted.get() == ("finished" if mode == "skip" else "interrupted")
        assert (await owner.call("farseed.boxes")).kwresults

    run(door, serializer, scenario)


async def told(session, kind, events):
    """What the router tells this session of others' subscriptions or registrations, as it comes."""
    news = asyncio.Queue()

    def hear(event, *args):
        if args[0] != number(session):
            news.put_nowait((event, *args))

    for event in events:
        await session.subscribe(functools.partial(hear, event), f"wamp.{kind}.{event}")
    return news


def test_subscriptions_are_told_from_their_making_to_their_end(door, served, serializer):
    async def scenario(client):
        owner, worker = await client.owner(), await enter(served, client, "alpha")
        news = await told(owner, "subscription", ["on_create", "on_subscribe", "on_unsubscribe", "on_delete"])
        topic = f"farseed.worker.told.{serializer}"
        subscription = await worker.subscribe(Inbox(), topic, SubscribeOptions(match="prefix"))
        event, session, details = await news.get()
        assert (event, session) == ("on_create", number(worker))
        assert (details["id"], details["uri"], details["match"]) == (subscription.id, topic, "prefix")
        assert await news.get() == ("on_subscribe", number(worker), subscription.id)
        await subscription.unsubscribe()
        assert await news.get() == ("on_unsubscribe", number(worker), subscription.id)
        assert await news.get() == ("on_delete", number(worker), subscription.id)

    run(door, serializer, scenario)


def test_registrations_are_told_from_their_making_to_their_end(door, served, serializer):
    async def scenario(client):
        owner, worker = await client.owner(), await enter(served, client, "alpha")
        news = await told(owner, "registration", ["on_create", "on_register", "on_unregister", "on_delete"])
        registration = await worker.register(lambda: 0, "farseed.worker.told", RegisterOptions(invoke="roundrobin"))
        event, session, details = await news.get()
        assert (event, session) == ("on_create", number(worker))
        assert (details["id"], details["uri"], details["invoke"]) == (registration.id, "farseed.worker.told", "roundrobin")
        assert await news.get() == ("on_register", number(worker), registration.id)
        assert await owner.call("wamp.registration.list_callees", registration.id) == [number(worker)]
        assert await owner.call("wamp.registration.count_callees", registration.id) == 1
        # Leaving ends it as giving it back does.
        worker.leave()
        assert await news.get() == ("on_unregister", number(worker), registration.id)
        assert await news.get() == ("on_delete", number(worker), registration.id)

    run(door, serializer, scenario)


def test_a_subscription_is_taken_away_with_a_reason_and_nothing_comes_after(door, served, serializer):
    async def scenario(client):
        owner, worker, publisher = (await client.owner(), await enter(served, client, "alpha"),
                                    await enter(served, client, "beta"))
        taken, inbox, other, topic = revocations(worker), Inbox(), Inbox(), f"farseed.worker.taken.{serializer}"
        subscription = await worker.subscribe(inbox, topic, DETAILS)
        await worker.subscribe(other, f"{topic}.other", DETAILS)
        await publisher.publish(topic, 1, options=PublishOptions(acknowledge=True))
        refused = owner.call("wamp.subscription.remove_subscriber", subscription.id, number(worker), reason="No more, please.")
        assert await owner.error(refused) == "wamp.error.invalid_uri"
        await owner.call("wamp.subscription.remove_subscriber", subscription.id, number(worker),
                         reason="farseed.close.test")
        told = await taken.get()
        assert (told.subscription, told.reason) == (subscription.id, "farseed.close.test")
        assert (await inbox.next())[1] == (1,)
        await publisher.publish(topic, 2, options=PublishOptions(acknowledge=True))
        await publisher.publish(f"{topic}.other", 3, options=PublishOptions(acknowledge=True))
        assert (await other.next())[1] == (3,)
        assert inbox.events.empty()
        again = owner.call("wamp.subscription.remove_subscriber", subscription.id, number(worker))
        assert await owner.error(again) == "wamp.error.no_such_subscription"

    run(door, serializer, scenario)


def test_a_registration_is_taken_away_with_a_reason_and_nobody_is_called_after(door, served, serializer):
    async def scenario(client):
        owner, worker = await client.owner(), await enter(served, client, "alpha")
        taken = revocations(worker)
        registration = await worker.register(lambda: 1, "farseed.worker.taken")
        assert await owner.call("farseed.worker.taken") == 1
        await owner.call("wamp.registration.remove_callee", registration.id, number(worker), reason="farseed.close.test")
        told = await taken.get()
        assert told.registration == registration.id
        assert await owner.error(owner.call("farseed.worker.taken")) == "wamp.error.no_such_procedure"
        # The name is free again, and the session is none the worse.
        await worker.register(lambda: 2, "farseed.worker.taken")
        assert await owner.call("farseed.worker.taken") == 2

    run(door, serializer, scenario)


def test_sessions_are_ended_by_name_and_by_role(door, served, serializer):
    async def scenario(client):
        owner, alpha, beta = await client.owner(), await enter(served, client, "alpha"), await enter(served, client, "beta")
        assert await owner.call("wamp.session.list", ["worker.alpha"]) == [number(alpha)]
        assert await owner.call("wamp.session.count", ["worker.alpha", "worker.beta"]) == 2
        assert await owner.call("wamp.session.kill_by_authid", "alpha", reason="farseed.close.test") == [number(alpha)]
        assert (await alpha.left).reason == "farseed.close.test"
        assert await owner.call("wamp.session.kill_by_authrole", "worker.beta") == 1
        assert (await beta.left).reason == "wamp.close.killed"
        third = await enter(served, client, "alpha")
        assert await owner.call("wamp.session.kill_all", message="The evening is over.") >= 1
        ended = await third.left
        assert (ended.reason, ended.message) == ("wamp.close.killed", "The evening is over.")
        assert await owner.call("wamp.session.list") == [number(owner)], "who kills is spared"

    run(door, serializer, scenario)


def test_a_call_that_fails_in_its_callee_says_why(door, served, serializer):
    """The error of a callee, its arguments and its time-out come through, in whatever the callee speaks."""

    async def scenario(client):
        worker, owner = await enter(served, client, "alpha"), await client.owner()

        def fail(*args, **kwargs):
            raise ApplicationError("farseed.worker.error", *args, **kwargs)

        await worker.register(fail, "farseed.worker.fail")
        with pytest.raises(ApplicationError) as failed:
            await owner.call("farseed.worker.fail", 1, "zwei", [3.5, None, {"vier": True}], fünf="🧅",
                             options=CallOptions(timeout=60_000))
        assert failed.value.error == "farseed.worker.error"
        assert list(failed.value.args) == [1, "zwei", [3.5, None, {"vier": True}]] and failed.value.kwargs == {"fünf": "🧅"}

    run(door, serializer, scenario)


@pytest.mark.parametrize("offer", [
    "permessage-deflate",
    "permessage-deflate; client_max_window_bits, permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
    "x-webkit-deflate-frame",
])
def test_compression_is_offered_in_vain_and_the_websocket_opens_without(served, offer):
    """Docs/Subscriptions.md, "Why nothing is compressed"; what is compressed all the same violates RFC 6455."""
    cookie = served.login()
    with served.open(("Sec-WebSocket-Extensions", offer), origin=served.origin) as socket:
        assert socket.answer.status == 101 and socket.answer["sec-websocket-extensions"] is None
        assert socket.join("owner", served.ticket(cookie, served.origin))[0] == WELCOME
        socket.connection.send(frame(RSV1 | TEXT, b"[48,1,{},\"farseed.boxes\"]"))
        assert socket.receive() == 1002
