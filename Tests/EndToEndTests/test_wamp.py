"""The WAMP router as the real autobahn-python finds it, over every serializer and with every way to prove who one is."""

import asyncio
import copy
import secrets

import pytest
from autobahnclient import Door, Inbox, Refused, door, run, serializer  # noqa: F401
from autobahn.wamp.types import CallOptions, PublishOptions, SubscribeOptions
from conftest import make_home, wait_mirrored

RETAINED = {"details": True, "get_retained": True}


@pytest.fixture(scope="module")
def served(lab, tmp_path_factory):
    """One controller for all tests of this file, its link live and its mirror filled."""
    with make_home(lab, tmp_path_factory.mktemp("wamp")) as home:
        home.start()
        wait_mirrored(home)
        yield home


class Reader:
    """The torrents' topic as Docs/Subscriptions.md says to read it."""

    def __init__(self):
        self.epoch = self.seq = None
        self.torrents = {}
        #: The whole state at each position that was reached.
        self.history = {}
        self.deltas = 0

    def apply(self, event):
        position = (event["epoch"], event["seq"])
        if "full" in event:
            if self.epoch == event["epoch"] and event["seq"] < self.seq:
                return
            self.torrents = copy.deepcopy(event["full"])
        elif self.epoch == event["epoch"] and event["seq"] <= self.seq:
            return
        else:
            assert position == (self.epoch, self.seq + 1), f"a gap: {position} after {(self.epoch, self.seq)}"
            for hash in event.get("del", []):
                del self.torrents[hash]
            for hash, fields in event.get("set", {}).items():
                torrent = self.torrents.setdefault(hash, {})
                for field, value in fields.items():
                    if value is None:
                        torrent.pop(field, None)
                    else:
                        torrent[field] = value
            self.deltas += 1
        self.epoch, self.seq = position
        self.history[position] = copy.deepcopy(self.torrents)


def test_welcome_says_who_came_and_what_the_router_can(door, serializer):
    async def scenario(client):
        session = await client.owner()
        details = session.joined.result()
        assert (details.realm, details.authid, details.authrole, details.authmethod) == (
            "farseed", "owner", "owner", "ticket")
        assert 1 <= details.session <= 1 << 53
        assert session.protocol.websocket_protocol_in_use == f"wamp.2.{serializer}"

    run(door, serializer, scenario)


def test_a_snapshot_and_then_deltas_are_what_sync_says(door, lab, serializer):
    """One event of everything, deltas that count by one, and no difference to the whole state at the same position."""

    async def scenario(client):
        session, inbox, reader = await client.owner(), Inbox(), Reader()
        await session.subscribe(inbox, "farseed.vps.torrents", SubscribeOptions(**RETAINED))
        details, first = await inbox.next()
        assert details.retained and set(first) == {"epoch", "seq", "full"}
        assert first["full"].keys() >= set(lab.hashes.values())
        reader.apply(first)
        while reader.deltas < 3:
            details, event = await inbox.next()
            assert not details.retained
            reader.apply(event)
        whole = (await session.call("farseed.vps.sync")).kwresults
        position = (whole["epoch"], whole["seq"])
        while position not in reader.history:
            reader.apply((await inbox.next())[1])
        assert reader.history[position] == whole["full"]
        progress = [torrent["progress"] for torrent in whole["full"].values()]
        assert any(0 < value < 1 for value in progress) and all(0 <= value <= 1 for value in progress)

    run(door, serializer, scenario)


def test_a_gap_is_seen_by_its_number_and_repaired_by_sync(door, serializer):
    """An event that got lost on the way is noticed at the next one; sync's answer goes on where deltas go on."""

    async def scenario(client):
        session, inbox, reader = await client.owner(), Inbox(), Reader()
        await session.subscribe(inbox, "farseed.vps.torrents", SubscribeOptions(**RETAINED))
        reader.apply((await inbox.next())[1])
        _, lost = await inbox.next(lambda _, event: event["seq"] > reader.seq)
        _, after = await inbox.next()
        assert (lost["seq"], after["seq"]) == (reader.seq + 1, reader.seq + 2)
        with pytest.raises(AssertionError, match="a gap"):
            reader.apply(after)
        reader.apply((await session.call("farseed.vps.sync")).kwresults)
        assert reader.seq >= after["seq"]
        reader.apply(after)
        wanted = reader.deltas + 3
        while reader.deltas < wanted:
            reader.apply((await inbox.next())[1])
        whole = (await session.call("farseed.vps.sync")).kwresults
        while (whole["epoch"], whole["seq"]) not in reader.history:
            reader.apply((await inbox.next())[1])
        assert reader.history[whole["epoch"], whole["seq"]] == whole["full"]

    run(door, serializer, scenario)


def test_two_subscribers_get_the_same_deltas(door, serializer):
    async def scenario(client):
        inboxes = [Inbox(), Inbox()]
        for inbox in inboxes:
            await (await client.owner()).subscribe(inbox, "farseed.vps.torrents", SubscribeOptions(details=True))
        firsts = [await inbox.next() for inbox in inboxes]
        # The one who came first may have had an event more.
        last = max(payload["seq"] for _, payload in firsts)
        same = [first if first[1]["seq"] == last else await inbox.next(lambda _, payload: payload["seq"] == last)
                for inbox, first in zip(inboxes, firsts)]
        assert same[0][1] == same[1][1]
        assert same[0][0].publication == same[1][0].publication

    run(door, serializer, scenario)


@pytest.mark.parametrize("match, topic", [("prefix", "farseed.vps."), ("wildcard", "farseed..torrents")])
def test_a_pattern_gets_every_topic_it_covers_by_name(door, serializer, match, topic):
    async def scenario(client):
        session, inbox = await client.owner(), Inbox()
        await session.subscribe(inbox, topic, SubscribeOptions(match=match, details=True))
        details, event = await inbox.next(lambda details, _: details.topic == "farseed.vps.torrents")
        assert event["seq"] > 0 and ("set" in event or "del" in event)

    run(door, serializer, scenario)


def test_after_unsubscribing_nothing_comes(door, serializer):
    async def scenario(client):
        session, inbox, other = await client.owner(), Inbox(), Inbox()
        subscription = await session.subscribe(inbox, "farseed.vps.torrents", SubscribeOptions(details=True))
        await session.subscribe(other, "farseed.vps.torrents", SubscribeOptions(details=True))
        await subscription.unsubscribe()
        while not inbox.events.empty():
            inbox.events.get_nowait()
        for _ in range(2):
            await other.next()
        assert inbox.events.empty()

    run(door, serializer, scenario)


def test_boxes_link_and_figures(door, serializer):
    async def scenario(client):
        session = await client.owner()
        assert (await session.call("farseed.boxes")).kwresults == {"boxes": [{"name": "vps"}]}
        link = Inbox()
        await session.subscribe(link, "farseed.link.vps", SubscribeOptions(**RETAINED))
        details, state = await link.next()
        assert details.retained and state["state"] == "live"
        assert [hop["hop"] for hop in state["hops"]] == ["tor", "circuit", "ssh", "agent", "transmission"]
        assert {hop["state"] for hop in state["hops"]} == {"up"}
        for topic in "session", "host":
            inbox = Inbox()
            await session.subscribe(inbox, f"farseed.vps.{topic}", SubscribeOptions(**RETAINED))
            _, figures = await inbox.next()
            assert figures["figures"]

    run(door, serializer, scenario)


def test_a_verb_is_a_job_that_is_done(door, lab, serializer):
    """The answer is the accepted job; how it ends is told on its topic; the same key is the same job."""
    hash = sorted(lab.hashes.values())[0]

    async def scenario(client):
        session, inbox = await client.owner(), Inbox()
        await session.subscribe(inbox, "farseed.jobs", SubscribeOptions(**RETAINED))
        assert "jobs" in (await inbox.next())[1]

        async def carried_out(verb, key):
            job = (await session.call(f"farseed.vps.{verb}", hashes=[hash], key=key)).kwresults
            assert job["verb"] == verb and job["box"] == "vps"
            await inbox.next(lambda _, payload: any(
                row["id"] == job["id"] and row["state"] == "done" for row in payload["jobs"]))
            return job

        key = secrets.token_hex(16)
        job = await carried_out("torrent.stop", key)
        assert lab.box.torrents("status")[hash]["status"] == 0
        again = (await session.call("farseed.vps.torrent.stop", hashes=[hash], key=key)).kwresults
        assert again["id"] == job["id"]
        await carried_out("torrent.start", secrets.token_hex(16))
        assert lab.box.torrents("status")[hash]["status"] != 0

    run(door, serializer, scenario)


def test_wrong_requests_get_the_specified_error(door, serializer):
    async def scenario(client):
        session = await client.owner()
        acknowledged = PublishOptions(acknowledge=True)
        for awaitable, uri in [
            (session.call("farseed.vps.no.such.verb"), "wamp.error.no_such_procedure"),
            (session.call("farseed.elsewhere.sync"), "wamp.error.no_such_procedure"),
            (session.call("com.example.add2", 2, 3), "wamp.error.not_authorized"),
            (session.call("wamp.nothing"), "wamp.error.no_such_procedure"),
            (session.call("wamp.session.get"), "wamp.error.invalid_argument"),
            (session.call("wamp.session.get", 1), "wamp.error.no_such_session"),
            (session.call("wamp.session.count", "owner"), "wamp.error.invalid_argument"),
            (session.call("wamp.subscription.get", 1 << 53), "wamp.error.no_such_subscription"),
            (session.call("wamp.registration.get", 1 << 53), "wamp.error.no_such_registration"),
            (session.call("farseed.vps.torrent.stop", hashes=["no hash"]), "farseed.error.bad_request"),
            (session.subscribe(Inbox(), "com.example.topic"), "wamp.error.not_authorized"),
            (session.subscribe(Inbox(), "far", SubscribeOptions(match="prefix")), "wamp.error.not_authorized"),
            (session.subscribe(Inbox(), ".vps.torrents", SubscribeOptions(match="wildcard")),
             "wamp.error.not_authorized"),
            (session.publish("farseed.vps.torrents", full={}, options=acknowledged), "wamp.error.not_authorized"),
            (session.publish("wamp.session.on_join", options=acknowledged), "wamp.error.invalid_uri"),
            (session.register(lambda: None, "farseed.vps.sync"), "wamp.error.not_authorized"),
        ]:
            assert await session.error(awaitable) == uri
        # The session is none the worse for it.
        assert (await session.call("farseed.boxes")).kwresults

    run(door, serializer, scenario)


def test_a_call_may_time_out_or_be_given_up(door, serializer):
    """A timeout is no limit on what is answered in time, and giving up a call leaves the session whole."""

    async def scenario(client):
        session = await client.owner()
        assert (await session.call("farseed.boxes", options=CallOptions(timeout=20))).kwresults
        abandoned = session.call("farseed.vps.sync")
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
        assert (await session.call("farseed.boxes")).kwresults

    run(door, serializer, scenario)


def test_sessions_are_told_of_each_other(door, serializer):
    async def scenario(client):
        first, joins, leaves = await client.owner(), Inbox(), Inbox()
        mine = first.joined.result().session
        await first.subscribe(joins, "wamp.session.on_join", SubscribeOptions(details=True))
        await first.subscribe(leaves, "wamp.session.on_leave", SubscribeOptions(details=True))
        second = await client.owner()
        other = second.joined.result().session
        _, (joined,) = await joins.next(lambda _, payload: payload[0]["session"] == other)
        assert (joined["authid"], joined["authrole"], joined["authmethod"]) == ("owner", "owner", "ticket")
        assert {mine, other} <= set(await first.call("wamp.session.list"))
        assert await first.call("wamp.session.count") >= 2
        assert (await first.call("wamp.session.get", other))["session"] == other
        await first.call("wamp.session.kill", other, reason="farseed.close.test", message="Enough.")
        ended = await second.left
        assert (ended.reason, ended.message) == ("farseed.close.test", "Enough.")
        await leaves.next(lambda _, payload: payload[0] == other)
        assert other not in await first.call("wamp.session.list")

    run(door, serializer, scenario)


def test_subscriptions_and_registrations_can_be_looked_at(door, serializer):
    async def scenario(client):
        session = await client.owner()
        mine = session.joined.result().session
        subscription = await session.subscribe(Inbox(), "farseed.vps.torrents")
        pattern = await session.subscribe(Inbox(), "farseed.vps.", SubscribeOptions(match="prefix"))
        assert await session.call("wamp.subscription.lookup", "farseed.vps.torrents") == subscription.id
        assert await session.call("wamp.subscription.lookup", "farseed.vps.", {"match": "prefix"}) == pattern.id
        assert {subscription.id, pattern.id} <= set(await session.call("wamp.subscription.match",
                                                                       "farseed.vps.torrents"))
        assert (await session.call("wamp.subscription.get", subscription.id))["uri"] == "farseed.vps.torrents"
        assert mine in await session.call("wamp.subscription.list_subscribers", subscription.id)
        assert await session.call("wamp.subscription.count_subscribers", subscription.id) >= 1
        listed = await session.call("wamp.subscription.list")
        assert subscription.id in listed["exact"] and pattern.id in listed["prefix"]
        registration = await session.call("wamp.registration.lookup", "farseed.boxes")
        assert (await session.call("wamp.registration.get", registration))["uri"] == "farseed.boxes"
        assert await session.call("wamp.registration.match", "farseed.vps.sync")
        assert await session.call("wamp.registration.lookup", "farseed.nothing") is None

    run(door, serializer, scenario)


def test_the_history_of_the_link_is_kept(door, serializer):
    async def scenario(client):
        session, inbox = await client.owner(), Inbox()
        subscription = await session.subscribe(inbox, "farseed.link.vps", SubscribeOptions(details=True))
        details, state = await inbox.next()
        kept = await session.call("wamp.subscription.get_events", subscription.id)
        assert 1 <= len(kept) <= 100
        same = [event for event in kept if event["publication"] == details.publication]
        assert len(same) == 1 and same[0]["kwargs"] == state, kept[-1]
        last = await session.call("wamp.subscription.get_events", subscription.id, limit=1)
        assert len(last) == 1
        assert await session.error(session.call("wamp.subscription.get_events", 1 << 50)) == "wamp.error.no_such_subscription"

    run(door, serializer, scenario)


def test_leaving_is_answered(door, serializer):
    async def scenario(client):
        session = await client.owner()
        session.leave("wamp.close.normal", "Done.")
        assert (await session.left).reason == "wamp.close.goodbye_and_out"
        watcher = await client.owner()
        assert session.joined.result().session not in await watcher.call("wamp.session.list")

    run(door, serializer, scenario)


@pytest.mark.parametrize("wrong", ["unknown", "used", "another user's", "of another origin"])
def test_a_wrong_ticket_is_refused_and_every_refusal_reads_the_same(door, serializer, wrong):
    async def scenario(client):
        ticket, options = door.ticket(), {}
        if wrong == "unknown":
            ticket = "x" * len(ticket)
        elif wrong == "used":
            await client.owner(ticket)
        elif wrong == "another user's":
            options = {"user": "someone"}
        else:
            options = {"headers": {"Origin": door.origin}}
        with pytest.raises(Refused) as refused:
            await client.owner(ticket, **options)
        assert (refused.value.reason, refused.value.message) == (
            "wamp.error.authentication_denied", "The login was refused.")

    run(door, serializer, scenario)


def test_a_wrong_realm_or_method_is_refused(door, serializer):
    async def scenario(client):
        with pytest.raises(Refused) as refused:
            await client.owner(realm="realm1")
        assert refused.value.reason == "wamp.error.no_such_realm"
        for methods in ["anonymous"], ["scram"]:
            with pytest.raises(Refused) as refused:
                await client.open(methods, "owner", lambda _: "")
            assert refused.value.reason == "wamp.error.no_matching_auth_method"

    run(door, serializer, scenario)


def test_logging_out_ends_the_sessions_of_the_login(home, serializer):
    door = Door(home.start().url)

    async def scenario(client):
        session = await client.owner()
        await asyncio.to_thread(door.log_out)
        assert (await session.left).reason == "farseed.close.logged_out"

    run(door, serializer, scenario)
