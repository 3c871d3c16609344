"""Workers: programs that enter by WAMP-CRA or WAMP-Cryptosign, register procedures and publish, as autobahn does it."""

import asyncio
import contextlib
import functools
import operator
import os
import re
import secrets
import subprocess
import sys

import pytest
from autobahnclient import PYTHON, Inbox, Refused, door, run, serializer  # noqa: F401
from autobahn.wamp import auth
from autobahn.wamp.cryptosign import CryptosignKey
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import CallOptions, PublishOptions, RegisterOptions, SubscribeOptions
from conftest import DEADLINE, ROOT, link_state, make_home, wait_for

EXAMPLE = ROOT / "Docs" / "examples" / "worker.py"
ACKNOWLEDGED = PublishOptions(acknowledge=True)


class Credentials:
    """What the workers of these tests prove themselves by; `directory` holds the files that Docs/examples needs."""

    def __init__(self, directory):
        self.directory = directory
        self.secret = secrets.token_hex(32)
        self.secret_file = directory / "reporter.secret"
        self.write(self.secret_file, self.secret)
        self.key_file = directory / "signer.key"
        made = example("--new-key", self.key_file)
        self.public_key = made.communicate(timeout=DEADLINE)[0].strip()
        assert made.returncode == 0 and self.key_file.stat().st_mode & 0o777 == 0o600
        self.key = CryptosignKey.from_bytes(bytes.fromhex(self.key_file.read_text()))

    @staticmethod
    def write(path, text):
        path.write_text(text + "\n")
        path.chmod(0o600)

    @property
    def sections(self):
        return f"""
[worker.reporter]
role = "viewer"
secret-file = "{self.secret_file}"
procedures = ["farseed.worker.", "com.example."]
topics = ["farseed.worker.", "com.example."]

[worker.signer]
role = "viewer"
public-key = "{self.public_key}"
procedures = ["farseed.worker."]
topics = ["farseed.worker."]

[worker.keeper]
role = "owner"
secret-file = "{self.secret_file}"
topics = ["com.example."]
"""

    def enter(self, client, name, key=None, secret=None, **options):
        """A session of a worker."""
        if name == "signer":
            key = key or self.key
            return client.open(["cryptosign"], name, lambda challenge: key.sign_challenge(challenge),
                               authextra={"pubkey": key.public_key()}, **options)
        return client.open(["wampcra"], name, lambda challenge: self.sign(challenge, secret), **options)

    def sign(self, challenge, secret=None):
        """The answer to WAMP-CRA's challenge."""
        return auth.compute_wcs((secret or self.secret).encode(), challenge.extra["challenge"].encode()).decode()


def example(*arguments):
    """Starts Docs/examples/worker.py."""
    return subprocess.Popen([sys.executable, EXAMPLE, *arguments], env=os.environ | {"PYTHONPATH": str(PYTHON)},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    return Credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def served(lab, credentials, tmp_path_factory):
    """One controller for all tests of this file that knows two workers."""
    with make_home(lab, tmp_path_factory.mktemp("workers")) as home:
        home.config.write_text(home.config.read_text() + credentials.sections)
        home.start()
        wait_for("the link to be live", lambda: link_state(home) == "live")
        yield home


@pytest.mark.parametrize("name, method", [("reporter", "wampcra"), ("signer", "cryptosign")])
def test_a_worker_enters_and_may_do_what_it_is_granted(door, credentials, serializer, name, method):
    async def scenario(client):
        session = await credentials.enter(client, name)
        details = session.joined.result()
        assert (details.authid, details.authrole, details.authmethod) == (name, f"worker.{name}", method)
        # Its role's permissions.
        assert (await session.call("farseed.boxes")).kwresults
        assert await session.error(session.call("farseed.vps.torrent.remove", hashes=[])) == "wamp.error.not_authorized"
        # Its own.
        registration = await session.register(lambda left, right: left + right, "farseed.worker.add2")
        assert await (await client.owner()).call("farseed.worker.add2", 2, 3) == 5
        await registration.unregister()
        # And no more.
        for procedure in "farseed.vps.mine", "org.example.add2":
            assert await session.error(session.register(lambda: 0, procedure)) == "wamp.error.not_authorized"
        whole = session.register(lambda: 0, "farseed", RegisterOptions(match="prefix"))
        assert await session.error(whole) == "wamp.error.not_authorized"
        for topic in "farseed.vps.torrents", "farseed.jobs":
            assert await session.error(session.publish(topic, 1, options=ACKNOWLEDGED)) == "wamp.error.not_authorized"

    run(door, serializer, scenario)


@pytest.mark.parametrize("name", ["signer", "nobody"])
def test_every_challenge_is_another_and_long_enough(door, credentials, name):
    """Also for a key that nobody has; every bit is 0 and 1 among forty."""

    async def scenario(client):
        seen = []

        def sign(challenge):
            seen.append(challenge.extra["challenge"])
            return credentials.key.sign_challenge(challenge)

        for _ in range(40):
            with contextlib.suppress(Refused):
                await client.open(["cryptosign"], name, sign, authextra={"pubkey": credentials.key.public_key()})
        assert len(seen) == 40 and all(len(bytes.fromhex(challenge)) == 32 for challenge in seen), seen
        numbers = [int(challenge, 16) for challenge in seen]
        assert functools.reduce(operator.or_, numbers) == (1 << 256) - 1 and functools.reduce(operator.and_, numbers) == 0

    run(door, "json", scenario)


def test_what_workers_are_verified_by_is_root_s_alone_to_write():
    """Deploy's steps leave farseed.toml with root, and its service runs as another that may write nothing there."""
    steps = (ROOT / "Deploy" / "README.md").read_text()
    assert re.search(r"^sudo install -d -m 755 /etc/farseed$", steps, re.M)
    assert re.search(r"^sudo install -m 644 farseed\.toml /etc/farseed/$", steps, re.M)
    unit = dict(line.split("=", 1) for line in (ROOT / "Deploy" / "farseed.service").read_text().splitlines()
                if re.match(r"[A-Z]\w+=", line))
    assert unit["User"] == "farseed" and unit["ProtectSystem"] == "strict" and unit["CapabilityBoundingSet"] == ""
    assert "--config /etc/farseed/farseed.toml" in unit["ExecStart"]
    assert not {"ReadWritePaths", "ConfigurationDirectory", "BindPaths"} & unit.keys()


@pytest.mark.parametrize("who", ["reporter", "signer", "the other's method", "nobody"])
def test_a_wrong_secret_key_or_name_is_refused_alike(door, credentials, serializer, who):
    """Many attempts: a comparison that is wrong for some bytes only shows after a few."""

    async def scenario(client):
        refusals = set()
        for _ in range(20):
            wrong = {"key": CryptosignKey.from_bytes(secrets.token_bytes(32)), "secret": secrets.token_hex(32)}
            with pytest.raises(Refused) as refused:
                if who in ("reporter", "signer"):
                    await credentials.enter(client, who, **wrong)
                else:
                    # The secret that another worker has.
                    await client.open(["wampcra"], "signer" if "method" in who else who, credentials.sign)
            refusals.add((refused.value.reason, refused.value.message))
        assert refusals == {("wamp.error.authentication_denied", "The login was refused.")}

    run(door, serializer, scenario)


def test_events_of_a_worker_reach_who_may_have_them(door, credentials, serializer):
    """Publisher exclusion, lists of receivers, retention, patterns and acknowledgement."""

    async def scenario(client):
        worker, first, second = await credentials.enter(client, "reporter"), await client.owner(), await client.owner()
        own, one, two, pattern = Inbox(), Inbox(), Inbox(), Inbox()
        topic = f"com.example.{serializer}"
        with_details = SubscribeOptions(details=True)
        await worker.subscribe(own, topic, with_details)
        await first.subscribe(one, topic, with_details)
        await second.subscribe(two, topic, with_details)
        await second.subscribe(pattern, "com.example.", SubscribeOptions(match="prefix", details=True))

        publication = await worker.publish(topic, 1, "zwei", drei=[3.5, None, True], options=ACKNOWLEDGED)
        for inbox in one, two:
            details, payload = await inbox.next()
            assert details.publication == publication.id and payload == {"drei": [3.5, None, True]}
        assert (await pattern.next())[0].topic == topic

        assert own.events.empty(), "who publishes does not get it back"

        # Only to one of them, and also to oneself.
        await worker.publish(topic, 2, options=PublishOptions(
            acknowledge=True, exclude_me=False, exclude=[first.joined.result().session]))
        assert (await own.next())[1] == (2,)
        assert (await two.next())[1] == (2,)
        await worker.publish(topic, 3, options=PublishOptions(
            acknowledge=True, retain=True, eligible=[first.joined.result().session]))
        assert (await one.next())[1] == (3,), "the event before it was not for this session"
        assert own.events.empty() and two.events.empty()

        await worker.publish(topic, 4, options=PublishOptions(acknowledge=True, retain=True))
        late = Inbox()
        await (await client.owner()).subscribe(late, topic, SubscribeOptions(details=True, get_retained=True))
        details, payload = await late.next()
        assert details.retained and payload == (4,)

    run(door, serializer, scenario)


def test_calls_of_a_worker_answer_fail_progress_and_are_cancelled(door, credentials, serializer):
    async def scenario(client):
        worker, owner = await credentials.enter(client, "reporter"), await client.owner()
        waits = asyncio.Queue()

        async def count(to, details):
            for number in range(to):
                details.progress(number)
            return to

        async def wait():
            waits.put_nowait("began")
            try:
                await asyncio.sleep(DEADLINE)
            except asyncio.CancelledError:
                waits.put_nowait("interrupted")
                raise

        def fail():
            raise ApplicationError("com.example.error.empty", "Nothing is left.", left=0)

        await worker.register(count, "com.example.count", RegisterOptions(details_arg="details"))
        await worker.register(wait, "com.example.wait")
        await worker.register(fail, "com.example.fail")

        parts = []
        assert await owner.call("com.example.count", 5, options=CallOptions(on_progress=parts.append)) == 5
        assert parts == [0, 1, 2, 3, 4]

        with pytest.raises(ApplicationError) as failed:
            await owner.call("com.example.fail")
        assert (failed.value.error, failed.value.args, failed.value.kwargs) == (
            "com.example.error.empty", ("Nothing is left.",), {"left": 0})

        call = owner.call("com.example.wait")
        assert await waits.get() == "began"
        call.cancel()
        assert await waits.get() == "interrupted"

        # What takes too long ends by the router's clock.
        slow = owner.call("com.example.wait", options=CallOptions(timeout=1_000))
        assert await waits.get() == "began"
        assert await owner.error(slow) == "wamp.error.timeout"
        assert await waits.get() == "interrupted"

        # A callee that goes takes its calls and procedures with it.
        orphan = owner.call("com.example.wait")
        assert await waits.get() == "began"
        worker.leave()
        assert await owner.error(orphan) == "wamp.error.canceled"
        assert await owner.error(owner.call("com.example.fail")) == "wamp.error.no_such_procedure"

    run(door, serializer, scenario)


@pytest.mark.parametrize("policy", ["single", "roundrobin", "random", "first", "last"])
def test_several_workers_share_a_procedure(door, credentials, serializer, policy):
    async def scenario(client):
        owner = await client.owner()
        procedure = f"farseed.worker.shared.{serializer}.{policy}"
        shared = RegisterOptions(invoke=policy)
        first, last = [await credentials.enter(client, name) for name in ("reporter", "signer")]
        await first.register(lambda: "first", procedure, shared)
        second = last.register(lambda: "last", procedure, shared)
        if policy == "single":
            assert await owner.error(second) == "wamp.error.procedure_already_exists"
            assert await owner.call(procedure) == "first"
            return
        await second
        # A fair draw misses one of two in sixty-four with a chance of one in 2^63.
        answers = [await owner.call(procedure) for _ in range(64 if policy == "random" else 4)]
        assert set(answers) == {"roundrobin": {"first", "last"}, "random": {"first", "last"},
                                "first": {"first"}, "last": {"last"}}[policy]
        if policy == "roundrobin":
            assert answers[0] == answers[2] != answers[1] == answers[3]
        other = last.register(lambda: 0, procedure, RegisterOptions(invoke="single"))
        assert await owner.error(other) == "wamp.error.procedure_already_exists"
        # Who is left goes on alone.
        first.leave()
        await first.left
        assert await owner.call(procedure) == "last"

    run(door, serializer, scenario)


def test_testaments_are_read_out_when_their_session_has_gone(door, credentials, serializer):
    async def scenario(client):
        owner, inbox = await client.owner(), Inbox()
        topic = f"com.example.will.{serializer}"
        await owner.subscribe(inbox, topic, SubscribeOptions(details=True))
        leaving, dropped, flushed = [await credentials.enter(client, "keeper") for _ in range(3)]
        await leaving.call("wamp.session.add_testament", topic, ["left"], {"why": "bye"})
        await dropped.call("wamp.session.add_testament", topic, ["dropped"], {}, scope="destroyed")
        await flushed.call("wamp.session.add_testament", topic, ["flushed"], {})
        await flushed.call("wamp.session.flush_testaments")
        leaving.leave()
        assert (await inbox.next())[1] == {"why": "bye"}
        flushed.leave()
        await flushed.left
        dropped.protocol.transport.abort()
        assert (await inbox.next())[1] == ("dropped",), "a flushed testament is not read out"
        # Nobody leaves in a testament what they may not publish.
        refused = owner.call("wamp.session.add_testament", topic, [], {})
        assert await owner.error(refused) == "wamp.error.not_authorized"

    run(door, serializer, scenario)


@contextlib.contextmanager
def running(*arguments):
    process = example(*arguments)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=DEADLINE)
        process.stdout.close()


@pytest.mark.parametrize("name", ["reporter", "signer"])
def test_the_worker_of_the_examples_serves(door, credentials, lab, name):
    proof = {"reporter": ["--secret-file", credentials.secret_file], "signer": ["--key-file", credentials.key_file]}

    async def scenario(client):
        owner, published = await client.owner(), Inbox()
        await owner.subscribe(published, "farseed.worker.summaries", SubscribeOptions(details=True))
        answer = await owner.call("farseed.worker.summary", "vps")
        assert answer["box"] == "vps" and answer["count"] >= len(lab.hashes) and answer["size"] > 0
        assert sum(answer["states"].values()) == answer["count"]
        assert (await published.next())[1] == (answer,)

    with running(door.websocket, name, *proof[name]) as process:
        said = []
        # autobahn says a line or two before.
        assert any(said.append(line) or line.startswith(f"{name} is there") for line in process.stdout), said
        run(door, "cbor", scenario)
