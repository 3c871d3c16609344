"""WAMP clients of other hands, each as its own documentation uses it; a program of its own, as they do not share a process well.

python3 otherclients.py LIBRARY URL SECRET SERIALIZER   prints as JSON what the library was told, which is `EXPECTED` of all.
Two workers enter by WAMP-CRA: `alpha` registers a procedure and subscribes, `beta` calls and publishes.
"""

import base64
import hashlib
import hmac
import json
import os
import queue
import sys
import threading

#: What every library finds: the router's own answer, another client's, an error's URI, and an event.
EXPECTED = {
    "boxes": {"boxes": [{"name": "vps"}]},
    "sum": 5,
    "error": "wamp.error.no_such_procedure",
    "event": [[1, "zwei", None, 2.5], {"name": "Tür 🧅"}],
}
ADD, TOPIC, NOTHING, BOXES = "farseed.worker.add2", "farseed.worker.news", "farseed.worker.nothing", "farseed.boxes"
ARGUMENTS, KEYWORDS = EXPECTED["event"]
#: Seconds for any answer.
PATIENCE = 30


def use_wampproto(url, secret, serializer):
    """wampproto, the machine inside of xconn: it reads and writes messages; the socket is of websockets."""
    from wampproto import auth, joiner, messages, serializers, session
    from websockets.sync.client import connect

    kinds = {"json": serializers.JSONSerializer, "msgpack": serializers.MsgPackSerializer,
             "cbor": serializers.CBORSerializer}

    class Client:
        """One session."""

        def __init__(self, name):
            self.socket = connect(url, subprotocols=[f"wamp.2.{serializer}"])
            kind = kinds[serializer]()
            joining = joiner.Joiner("farseed", kind, auth.WAMPCRAAuthenticator(name, secret))
            out = joining.send_hello()
            while out is not None:
                self.socket.send(out)
                out = joining.receive(self.socket.recv(PATIENCE))
            assert joining.get_session_details().authid == name
            self.session, self.last = session.WAMPSession(kind), 0

        def send(self, message):
            self.socket.send(self.session.send_message(message))

        def receive(self, kind):
            message = self.session.receive(self.socket.recv(PATIENCE))
            assert isinstance(message, kind), message
            return message

        def call(self, procedure, *args):
            self.last += 1
            self.send(messages.Call(messages.CallFields(self.last, procedure, list(args))))

    alpha, beta = Client("alpha"), Client("beta")
    alpha.send(messages.Register(messages.RegisterFields(1, ADD)))
    alpha.receive(messages.Registered)
    alpha.send(messages.Subscribe(messages.SubscribeFields(2, TOPIC)))
    alpha.receive(messages.Subscribed)
    beta.call(BOXES)
    boxes = beta.receive(messages.Result).kwargs
    beta.call(ADD, 2, 3)
    asked = alpha.receive(messages.Invocation)
    alpha.send(messages.Yield(messages.YieldFields(asked.request_id, [sum(asked.args)])))
    total = beta.receive(messages.Result).args[0]
    beta.call(NOTHING)
    error = beta.receive(messages.Error).uri
    beta.send(messages.Publish(messages.PublishFields(5, TOPIC, ARGUMENTS, KEYWORDS, {"acknowledge": True})))
    beta.receive(messages.Published)
    event = alpha.receive(messages.Event)
    for client in alpha, beta:
        client.send(messages.Goodbye(messages.GoodbyeFields({}, "wamp.close.close_realm")))
        client.receive(messages.Goodbye)
        client.socket.close()
    return boxes, total, error, [event.args, event.kwargs]


def use_swampyer(url, secret, serializer):
    """swampyer, whose sessions are threads; how a challenge is answered is left to a subclass."""
    import swampyer

    class Client(swampyer.WAMPClient):
        """One session."""

        def handle_challenge(self, data):
            digest = hmac.digest(secret.encode(), data.extra["challenge"].encode(), hashlib.sha256)
            self.send_message(swampyer.AUTHENTICATE(signature=base64.b64encode(digest).decode(), extra={}))

    def enter(name):
        return Client(url=url, realm="farseed", authmethods=["wampcra"], authid=name, serializers=[serializer],
                      timeout=PATIENCE, auto_reconnect=False).start()

    alpha, beta, events = enter("alpha"), enter("beta"), queue.Queue()
    alpha.register(ADD, lambda event, left, right: left + right)
    alpha.subscribe(TOPIC, lambda event, *args, **kwargs: events.put([list(args), kwargs]))
    boxes = beta.send_and_await_response(swampyer.CALL(options={}, procedure=BOXES, args=[], kwargs={})).kwargs
    total = beta.call(ADD, 2, 3)
    error = beta.send_and_await_response(swampyer.CALL(options={}, procedure=NOTHING, args=[], kwargs={})).error
    beta.publish(TOPIC, args=ARGUMENTS, kwargs=KEYWORDS)
    event = events.get(timeout=PATIENCE)
    for client in alpha, beta:
        client.disconnect()
    return boxes, total, error, event


def use_wampy(url, secret, _):
    """wampy on gevent; JSON is all it has, and it publishes keyword arguments only."""
    os.environ["WAMPYSECRET"] = secret
    import gevent
    from gevent import monkey

    monkey.patch_all()
    from wampy.messages.call import Call
    from wampy.peers import Client
    from wampy.roles.callee import callee
    from wampy.roles.subscriber import subscribe

    def roles(name):
        return {"roles": {"subscriber": {}, "publisher": {}, "callee": {}, "caller": {}},
                "authmethods": ["wampcra"], "authid": name}

    events = []

    class Alpha(Client):
        """Whose functions are its procedures."""

        @subscribe(topic=TOPIC)
        def news(self, **kwargs):
            kwargs.pop("meta")
            events.append(kwargs)

    def add(self, left, right):
        return left + right

    # A procedure's name is its function's; ours has dots.
    add.__name__ = ADD
    setattr(Alpha, ADD, callee(add))

    def until(check):
        with gevent.Timeout(PATIENCE):
            while not check():
                gevent.sleep(0.01)

    def ask(client, procedure):
        return client._make_rpc(Call(procedure=procedure))

    # Both share one queue of answers, so that one does after the other.
    with Alpha(url=url, realm="farseed", roles=roles("alpha"), call_timeout=PATIENCE) as alpha:
        until(lambda: alpha.registration_map and alpha.subscription_map)
        with Client(url=url, realm="farseed", roles=roles("beta"), call_timeout=PATIENCE) as beta:
            boxes = ask(beta, BOXES).yield_kwargs
            total = beta.call(ADD, 2, 3)
            error = ask(beta, NOTHING).error
            beta.publish(topic=TOPIC, **KEYWORDS)
            until(lambda: events)
    # What it cannot send is taken as sent.
    return boxes, total, error, [ARGUMENTS, events[0]]


def main():
    """Runs one library, or ends with its traceback."""
    threading.excepthook = lambda failed: (sys.excepthook(*failed[:3]), os._exit(1))
    library, url, secret, serializer = sys.argv[1:]
    found = globals()[f"use_{library}"](url, secret, serializer)
    print(json.dumps(dict(zip(EXPECTED, found))), flush=True)
    # Some leave threads behind that nothing ends.
    os._exit(0)


if __name__ == "__main__":
    main()
