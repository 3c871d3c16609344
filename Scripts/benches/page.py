"""The events that a page gets: a WAMP session in JSON over a websocket, with what Python brings along."""

import base64
import http.client
import json
import os
import re
import socket

from lab import LabError

#: No answer and no event is waited for longer, in seconds.
PATIENCE = 60
HELLO, WELCOME, CHALLENGE, AUTHENTICATE, SUBSCRIBE, EVENT = 1, 2, 4, 5, 32, 36
TEXT, PING, PONG = 1, 9, 10


def frame(opcode, payload):
    """A client's frame; masked with zeros, which masks nothing and is allowed."""
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


class Page:
    """A session of the user that a one-time link names."""

    def __init__(self, link):
        found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)/#login=(\S+)", link.strip())
        if not found:
            raise LabError("The controller gave no link of this machine to log in by.")
        self.host, token = found.groups()
        self.cookie = self._post("/api/login", {"token": token}).getheader("Set-Cookie").split(";")[0]
        granted = json.loads(self._post("/api/ticket", {}).read())
        self.socket = socket.create_connection(self.host.split(":"), PATIENCE)
        self.file = self.socket.makefile("rb")
        self._open()
        self._send([HELLO, "farseed", {"roles": {"subscriber": {}}, "authmethods": ["ticket"], "authid": granted["user"]}])
        self._expect(CHALLENGE)
        self._send([AUTHENTICATE, granted["ticket"], {}])
        self._expect(WELCOME)

    def _post(self, path, body):
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        fields = {"X-Farseed": "1", "Cookie": getattr(self, "cookie", "")}
        connection.request("POST", path, json.dumps(body), fields)
        response = connection.getresponse()
        if response.status not in (200, 204):
            raise LabError(f"{path} answered {response.status}.")
        return response

    def _open(self):
        key = base64.b64encode(os.urandom(16)).decode()
        fields = [f"GET /ws HTTP/1.1\r\nHost: {self.host}", "Upgrade: websocket", "Connection: Upgrade",
                  "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Protocol: wamp.2.json"]
        self.socket.sendall("\r\n".join([*fields, "", ""]).encode())
        if b" 101 " not in self.file.readline():
            raise LabError("The controller opened no websocket.")
        while self.file.readline().strip():
            pass

    def _send(self, message):
        self.socket.sendall(frame(TEXT, json.dumps(message).encode()))

    def _receive(self):
        """The next message as it came."""
        while head := self.file.read(2):
            opcode, size = head[0] & 0x0F, head[1]
            if size > 125:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8))
            payload = self.file.read(size)
            if opcode == TEXT:
                return payload
            if opcode == PING:
                self.socket.sendall(frame(PONG, payload))
        raise LabError("The controller ended the websocket.")

    def _expect(self, kind):
        message = json.loads(self._receive())
        if message[0] != kind:
            raise LabError(f"The router answered {message[:1]} where {kind} was to come.")

    def events(self, topic):
        """The topic's state, then each of its deltas, as they came."""
        self._send([SUBSCRIBE, 1, {"get_retained": True}, topic])
        while True:
            message = self._receive()
            if json.loads(message)[0] == EVENT:
                yield message
