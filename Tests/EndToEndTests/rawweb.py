"""HTTP/1.1 and websockets written byte by byte, so that a test can also send what no client would."""

import base64
import hashlib
import json
import os
import socket
import struct
import time

#: Any answer and any end of a connection comes within this, where a test says nothing else; in seconds.
PATIENCE = 20
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
#: With the opcode of a frame: the bit that says that it is compressed, where that was agreed.
RSV1 = 0x40
#: What begins a WAMP message of this kind.
HELLO, WELCOME, ABORT, CHALLENGE, AUTHENTICATE, GOODBYE, ERROR = 1, 2, 3, 4, 5, 6, 8
SUBSCRIBE, SUBSCRIBED, EVENT, CALL, RESULT = 32, 33, 36, 48, 50
PUBLISH, UNSUBSCRIBE, UNSUBSCRIBED, REGISTER = 16, 34, 35, 64


class Answer:
    """A response: `status`, `fields` as a list of pairs with lower-case names, `body` in bytes."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def __getitem__(self, name):
        """A field's value, which must be there once; None where it is not there."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) <= 1, (name, found)
        return found[0] if found else None

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<Answer {self.status} {self.fields} {self.body[:200]!r}>"


class Connection:
    """One connection, to a port of this machine from any of its addresses, or one that was made elsewhere."""

    def __init__(self, port=None, source="127.0.0.1", made=None, host=None):
        self.socket = made or socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rb")
        #: What requests name where they do not say otherwise.
        self.host = host or f"127.0.0.1:{port}"

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, method, target, *fields, body=None, host=None):
        """Sends a request with these pairs as its fields, and reads the answer."""
        self.begin(method, target, *fields, body=body, host=host)
        return self.answer(method)

    def begin(self, method, target, *fields, body=None, host=None):
        """Sends a request; a body that is no bytes is sent as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = [("Host", self.host if host is None else host), *fields]
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def answer(self, method="GET"):
        """The next response; None where the connection ends instead."""
        first = self.file.readline()
        if not first:
            return None
        version, status, _ = first.decode().split(" ", 2)
        assert version == "HTTP/1.1", first
        fields = []
        while (line := self.file.readline()) not in (b"\r\n", b""):
            assert line.endswith(b"\r\n") and line.count(b"\r") == 1, line
            name, value = line.decode("latin-1").rstrip("\r\n").split(":", 1)
            fields.append((name.lower(), value.strip()))
        size = next((int(value) for name, value in fields if name == "content-length"), 0)
        bare = method == "HEAD" or status in ("101", "204", "304")
        return Answer(int(status), fields, b"" if bare else self.file.read(size))

    def ended(self, within=PATIENCE):
        """Reads until the other side ends the connection; how long that took, or None where it did not."""
        began = time.monotonic()
        try:
            while (left := began + within - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.file.read1(65_536):
                    return time.monotonic() - began
        except ConnectionError:
            return time.monotonic() - began
        except TimeoutError:
            pass
        return None

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def frame(opcode, payload, final=True):
    """A client's frame, masked."""
    mask, size = os.urandom(4), len(payload)
    if size < 126:
        head = struct.pack("!BB", final << 7 | opcode, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", final << 7 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", final << 7 | opcode, 0x80 | 127, size)
    key = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def announcement(opcode, size):
    """The head of a client's frame with a payload of so many bytes, of which none follows."""
    return struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size) + os.urandom(4)


class WebSocket:
    """A websocket, and a WAMP session in JSON over it; `answer` is the response to its opening."""

    def __init__(self, connection, *fields, origin=None, target="/ws", host=None, wait=True,
                 subprotocol="wamp.2.json"):
        self.connection = connection
        self.key = base64.b64encode(os.urandom(16)).decode()
        fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                  ("Sec-WebSocket-Key", self.key), ("Sec-WebSocket-Protocol", subprotocol), *fields]
        if origin is not None:
            fields.append(("Origin", origin))
        connection.begin("GET", target, *fields, host=host)
        if wait:
            self.wait()

    def wait(self):
        """Reads the answer to the opening."""
        self.answer = self.connection.answer()
        if self.answer and self.answer.status == 101:
            digest = hashlib.sha1((self.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert self.answer["sec-websocket-accept"] == base64.b64encode(digest).decode()
        return self.answer

    def send(self, *message):
        self.connection.send(frame(TEXT, json.dumps(message).encode()))

    def hello(self, user):
        self.send(HELLO, "farseed", {
            "roles": {"caller": {}, "subscriber": {}}, "authmethods": ["ticket"], "authid": user})

    def join(self, user, ticket):
        """Says who it is; the message that answers the ticket."""
        self.hello(user)
        challenge = self.receive()
        assert challenge[:2] == [CHALLENGE, "ticket"], challenge
        self.send(AUTHENTICATE, ticket, {})
        return self.receive()

    def receive(self):
        """The next message; the code where the websocket is closed; None where the connection ends without one."""
        file = self.connection.file
        while head := file.read(2):
            size = head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(file.read(2 if size == 126 else 8))
            payload = file.read(size)
            match head[0] & 0x0F:
                case 1: return json.loads(payload)
                case 8: return int.from_bytes(payload[:2])
                case 9: self.connection.send(frame(PONG, payload))
        return None

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
