"""Floods and hostile messages over websockets, each test named after the attack that it stops."""

import contextlib
import json
import time

from attacked import (DEPTH, ELEMENTS, GREETING_BYTES, LATE, MESSAGE_BURST, MESSAGE_BYTES, MESSAGES_PER_SECOND,
                      PER_ADDRESS, PER_USER, SUBSCRIPTIONS, UNAUTHENTICATED, WELCOME_WITHIN, alive, controller, cookie,
                      stranger)
from conftest import wait_for
from rawweb import (ABORT, CALL, ERROR, RESULT, SUBSCRIBE, SUBSCRIBED, TEXT, UNSUBSCRIBE, UNSUBSCRIBED, WELCOME,
                    announcement, frame)


def test_unauthenticated_sockets_are_limited(controller, cookie):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(controller.open(wait=False)) for _ in range(UNAUTHENTICATED + 8)]
        refused = [socket.answer for socket in sockets if socket.wait().status != 101]
        assert len(refused) == 8
        assert all(answer.status == 503 and answer["retry-after"] == "5" for answer in refused), refused[0]
        assert alive(controller, cookie)
        # And they end by themselves where they do not say who they are.
        began = time.monotonic()
        for socket in sockets:
            assert socket.connection.ended(began + WELCOME_WITHIN + LATE - time.monotonic()) is not None
    with controller.session(cookie):
        pass


def test_websockets_of_one_user_are_limited(controller):
    controller.add_user("many", "viewer")
    cookie = controller.login("many")
    with contextlib.ExitStack() as stack:
        for _ in range(PER_USER):
            stack.enter_context(controller.session(cookie, "many"))
        refused, code = controller.refusal("many", controller.ticket(cookie, controller.origin), controller.origin)
        assert refused[0] == ABORT and code == 1000, refused
        with controller.session(controller.login()):
            pass

    def joins():
        with controller.open(origin=controller.origin) as socket:
            return socket.join("many", controller.ticket(cookie, controller.origin))[0] == WELCOME

    wait_for("room for the user", joins, LATE)


def test_connections_of_one_address_are_limited(controller, cookie):
    flooder = stranger()
    with contextlib.ExitStack() as stack:
        for _ in range(PER_ADDRESS):
            connection = stack.enter_context(controller.connect(flooder))
            assert connection.ask("GET", "/healthz").status == 200
        with controller.connect(flooder) as one_more:
            assert one_more.ended() is not None
        assert controller.ask("GET", "/healthz", source=stranger()).status == 200
        assert alive(controller, cookie)
    wait_for("the address to be let in again", lambda: answers(controller, flooder), LATE)


def answers(controller, source):
    try:
        answer = controller.ask("GET", "/healthz", source=source)
    except ConnectionError:
        return False
    return answer is not None and answer.status == 200


def test_oversize_websocket_messages(controller, cookie):
    before = controller.memory()
    for size in (GREETING_BYTES + 1, 1 << 40, (1 << 63) - 1):
        with controller.open() as socket:
            socket.connection.send(announcement(TEXT, size) if size > 65_535 else frame(TEXT, b" " * size))
            assert socket.receive() == 1009
    with contextlib.ExitStack() as stack:
        # Before the welcome also in fragments.
        socket = stack.enter_context(controller.open())
        for i in range(5):
            socket.connection.send(frame(TEXT if i == 0 else 0, b" " * 2_000, final=False))
        assert socket.receive() == 1009

        sockets = [stack.enter_context(controller.session(cookie)) for _ in range(30)]
        for socket in sockets[:20]:
            # Announced and not sent: no memory is set aside for it.
            socket.connection.send(announcement(TEXT, MESSAGE_BYTES))
        for socket in sockets[20:]:
            socket.connection.send(announcement(TEXT, MESSAGE_BYTES + 1))
            assert socket.receive() == 1009
        assert controller.memory() - before < 20 * MESSAGE_BYTES
    with controller.session(cookie) as socket:
        call = json.dumps([CALL, 1, {}, "farseed.boxes", [""]])
        call = call.replace('""', '"' + "x" * (MESSAGE_BYTES - len(call)) + '"')
        assert len(call) == MESSAGE_BYTES
        socket.connection.send(frame(TEXT, call.encode()))
        assert socket.receive()[:2] == [RESULT, 1]
    assert alive(controller, cookie)


def test_a_large_message_right_after_the_welcome_is_taken(controller, cookie):
    """The bound of before the welcome holds no longer than it is on its way."""
    call = json.dumps([CALL, 1, {}, "farseed.boxes", ["x" * 100_000]]).encode()
    for _ in range(200):
        with controller.open(origin=controller.origin) as socket:
            assert socket.join("owner", controller.ticket(cookie, controller.origin))[0] == WELCOME
            socket.connection.send(frame(TEXT, call))
            assert socket.receive()[:2] == [RESULT, 1]


def test_deeply_nested_websocket_messages(controller, cookie):
    bombs = {
        "open": "[" * (MESSAGE_BYTES - 1), "closed": "[" * 200_000 + "]" * 200_000, "maps": '{"a":' * 100_000,
        "one too deep": json.dumps([CALL, 1, {}, "farseed.boxes", nested(DEPTH)]),
        "too many": json.dumps([CALL, 1, {}, "farseed.boxes", [0] * ELEMENTS]),
    }
    for kind, bomb in bombs.items():
        with controller.session(cookie) as socket:
            socket.connection.send(frame(TEXT, bomb.encode()))
            abort = socket.receive()
            assert isinstance(abort, list), (kind, abort)
            assert abort[0] == ABORT and abort[2] == "wamp.error.protocol_violation", (kind, abort)
            assert isinstance(socket.receive(), int), kind
    with controller.open() as socket:
        socket.connection.send(frame(TEXT, b"[" * GREETING_BYTES))
        assert socket.receive()[0] == ABORT
    with controller.session(cookie) as socket:
        socket.send(CALL, 1, {}, "farseed.boxes", nested(DEPTH - 4))
        assert socket.receive()[:2] == [RESULT, 1]
    assert alive(controller, cookie)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_subscriptions_of_one_session_are_limited(controller, cookie):
    def subscribe(socket, number):
        socket.send(SUBSCRIBE, number, {}, f"farseed.vps.torrent.{number:040x}")

    with controller.session(cookie) as socket:
        began = time.monotonic()
        for number in range(1, SUBSCRIPTIONS + 1):
            # No faster than messages may come in the long run, but for the first of them.
            time.sleep(max(0, began + (number - MESSAGE_BURST + 100) / MESSAGES_PER_SECOND - time.monotonic()))
            subscribe(socket, number)
        subscribed = [socket.receive() for _ in range(SUBSCRIPTIONS)]
        assert {answer[0] for answer in subscribed} == {SUBSCRIBED}
        subscribe(socket, SUBSCRIPTIONS + 1)
        refused = socket.receive()
        assert refused[:3] == [ERROR, SUBSCRIBE, SUBSCRIPTIONS + 1] and refused[4] == "farseed.error.over_limit", refused
        # A topic twice is no more, and who gives one back may have another; nobody else has fewer.
        socket.send(SUBSCRIBE, SUBSCRIPTIONS + 2, {}, f"farseed.vps.torrent.{1:040x}")
        assert socket.receive() == [SUBSCRIBED, SUBSCRIPTIONS + 2, subscribed[0][2]]
        socket.send(UNSUBSCRIBE, SUBSCRIPTIONS + 3, subscribed[0][2])
        assert socket.receive()[0] == UNSUBSCRIBED
        subscribe(socket, SUBSCRIPTIONS + 4)
        assert socket.receive()[0] == SUBSCRIBED
        with controller.session(cookie) as other:
            subscribe(other, 1)
            assert other.receive()[0] == SUBSCRIBED


def test_a_flood_of_messages_ends_its_socket_and_nobody_else_s(controller, cookie):
    with controller.session(cookie) as flooder, controller.session(cookie) as other:
        calls = b"".join(frame(TEXT, json.dumps([CALL, number, {}, "farseed.boxes"]).encode())
                         for number in range(1, 5 * MESSAGE_BURST))
        with contextlib.suppress(ConnectionError):
            flooder.connection.send(calls)
        answers = []
        while isinstance(answer := flooder.receive(), list):
            answers.append(answer[0])
        assert answer == 1008 and len(answers) <= 2 * MESSAGE_BURST, (answer, len(answers))
        other.send(CALL, 1, {}, "farseed.boxes")
        assert other.receive()[:2] == [RESULT, 1]
    assert alive(controller, cookie)
