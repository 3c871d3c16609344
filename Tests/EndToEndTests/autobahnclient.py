"""WAMP sessions of the real autobahn-python, for tests that are not asynchronous themselves."""

import asyncio
import http.client
import json
import re
import sys

import pytest

from conftest import DEADLINE, ROOT

#: Where `Scripts/need test` puts the packages of PyPI.
PYTHON = ROOT / ".build" / "python"
if not (PYTHON / "autobahn").is_dir():
    pytest.exit(f"autobahn is not in {PYTHON}; run Scripts/need test", returncode=3)
sys.path.insert(0, str(PYTHON))

import txaio  # noqa: E402
from autobahn.asyncio.wamp import ApplicationSession  # noqa: E402
from autobahn.asyncio.websocket import WampWebSocketClientFactory  # noqa: E402
from autobahn.wamp.exception import ApplicationError  # noqa: E402
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer  # noqa: E402
from autobahn.wamp.types import ComponentConfig  # noqa: E402

SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}


class Door:
    """The HTTP side of a controller: logs in by its one-time link, and gets tickets."""

    def __init__(self, url):
        scheme, self.port, token = re.fullmatch(r"(https?)://127\.0\.0\.1:(\d+)/#login=(\S+)", url).groups()
        self.origin = f"{scheme}://127.0.0.1:{self.port}"
        self.websocket = f"ws://127.0.0.1:{self.port}/ws"
        status, fields, _ = self.post("/api/login", {"token": token})
        assert status == 204
        self.cookie = fields["Set-Cookie"].split(";")[0]

    def post(self, path, body=None, **fields):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=DEADLINE)
        try:
            connection.request("POST", path, json.dumps(body or {}), {"X-Farseed": "1"} | fields)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def ticket(self, **fields):
        """A new ticket, single use."""
        status, _, body = self.post("/api/ticket", Cookie=self.cookie, **fields)
        assert status == 200, (status, body)
        return json.loads(body)["ticket"]

    def log_out(self):
        assert self.post("/api/logout", Cookie=self.cookie)[0] == 204


class Refused(Exception):
    """The session was not let in: ABORT with `reason`."""

    def __init__(self, reason, message):
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message


class Session(ApplicationSession):
    """One session; `joined` and `left` are futures of WELCOME's and of ABORT's or GOODBYE's details."""

    def __init__(self, methods, user, answer, realm="farseed", authextra=None):
        super().__init__(ComponentConfig(realm))
        self.methods, self.user, self.answer, self.proof = methods, user, answer, authextra
        loop = asyncio.get_running_loop()
        self.joined, self.left = loop.create_future(), loop.create_future()

    def onConnect(self):
        self.join(self.config.realm, self.methods, self.user, authextra=self.proof)

    def onChallenge(self, challenge):
        return self.answer(challenge)

    def onJoin(self, details):
        self.joined.set_result(details)

    def onLeave(self, details):
        if not self.left.done():
            self.left.set_result(details)
        super().onLeave(details)

    def onDisconnect(self):
        if not self.left.done():
            self.left.set_exception(ConnectionError("the websocket ended without a word"))
        super().onDisconnect()

    async def entered(self):
        """Waits for WELCOME; raises `Refused` where ABORT comes instead."""
        await asyncio.wait([self.joined, self.left], return_when=asyncio.FIRST_COMPLETED)
        if not self.joined.done():
            details = self.left.result()
            raise Refused(details.reason, details.message)
        return self

    async def error(self, awaitable):
        """The URI of the error that this request must end in."""
        try:
            answer = await awaitable
        except ApplicationError as error:
            assert error.args, "an error says a sentence"
            return error.error
        pytest.fail(f"no error, but {answer!r}")


class Client:
    """Opens sessions to one controller by one serializer, and closes them."""

    def __init__(self, door, serializer):
        self.door, self.serializer = door, serializer
        self.transports = []

    async def open(self, methods, user, answer, headers=None, **options):
        session = Session(methods, user, answer, **options)
        factory = WampWebSocketClientFactory(
            lambda: session, url=self.door.websocket, serializers=[SERIALIZERS[self.serializer]()], headers=headers)
        loop = asyncio.get_running_loop()
        transport, session.protocol = await loop.create_connection(factory, "127.0.0.1", int(self.door.port))
        self.transports.append(transport)
        return await session.entered()

    async def owner(self, ticket=None, user="owner", **options):
        """A session of the owner, by a page's ticket."""
        ticket = ticket or self.door.ticket()
        return await self.open(["ticket"], user, lambda _: ticket, **options)

    def close(self):
        for transport in self.transports:
            transport.abort()


def run(door, serializer, scenario, deadline=DEADLINE):
    """Runs `scenario(client)` to its end in a loop of its own; all its sessions are closed then."""

    async def whole():
        txaio.config.loop = asyncio.get_running_loop()
        client = Client(door, serializer)
        try:
            async with asyncio.timeout(deadline):
                return await scenario(client)
        finally:
            client.close()

    return asyncio.run(whole())


class Inbox:
    """Events in the order of their coming; a handler for `subscribe` with `details=True`."""

    def __init__(self):
        self.events = asyncio.Queue()

    def __call__(self, *args, details=None, **kwargs):
        self.events.put_nowait((details, kwargs or args))

    async def next(self, fits=lambda details, payload: True):
        """The next event that fits; those before it are dropped."""
        while True:
            details, payload = await self.events.get()
            if fits(details, payload):
                return details, payload


@pytest.fixture(scope="module")
def door(served):
    """The way into the controller that the importing file calls `served`."""
    return Door(served.url)


@pytest.fixture(params=SERIALIZERS)
def serializer(request):
    """Each serializer in turn."""
    return request.param
