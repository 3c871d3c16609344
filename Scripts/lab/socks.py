"""Connects through a SOCKS5 server, on a unix socket or TCP; also an ssh ProxyCommand.

As a ProxyCommand:  ssh -o ProxyCommand='python3 socks.py unix:/path/socks %h %p' …
"""

import os
import select
import socket
import struct
import sys


class SocksError(OSError):
    """The server refused; `code` is the SOCKS5 reply code or None before one was given."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


#: Reply codes of RFC 1928 and of tor's ExtendedErrors.
REPLIES = {
    1: "general failure", 2: "not allowed", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "timed out", 7: "command not supported", 8: "address type not supported",
    0xF0: "onion descriptor not found", 0xF1: "onion descriptor invalid", 0xF2: "introduction failed",
    0xF3: "rendezvous failed", 0xF4: "client authorization missing", 0xF5: "client authorization wrong",
    0xF6: "onion address invalid", 0xF7: "introduction timed out",
}


def connect(server, host, port, username=None, password="", timeout=60.0):
    """Returns a connected socket to host:port by name through `server` ("unix:/path" or "host:port")."""
    if server.startswith("unix:"):
        stream = socket.socket(socket.AF_UNIX)
        address = server[len("unix:"):]
    else:
        stream = socket.socket(socket.AF_INET)
        name, _, number = server.rpartition(":")
        address = (name, int(number))
    stream.settimeout(timeout)
    try:
        stream.connect(address)
        _greet(stream, username, password)
        name = host.encode()
        stream.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + struct.pack(">H", port))
        _, code, _, kind = _exactly(stream, 4)
        if code != 0:
            raise SocksError(code, f"SOCKS server answered {code:#04x}: {REPLIES.get(code, 'unknown')}")
        length = {1: 4, 4: 16}.get(kind) or _exactly(stream, 1)[0]
        _exactly(stream, length + 2)
    except BaseException:
        stream.close()
        raise
    return stream


def _greet(stream, username, password):
    """Agrees on a method: username and password where given, otherwise none."""
    stream.sendall(b"\x05\x01\x02" if username is not None else b"\x05\x01\x00")
    method = _exactly(stream, 2)[1]
    if method == 0xFF:
        raise SocksError(None, "SOCKS server accepts none of our methods")
    if method == 2:
        user, secret = username.encode(), password.encode()
        stream.sendall(b"\x01" + bytes([len(user)]) + user + bytes([len(secret)]) + secret)
        if _exactly(stream, 2)[1] != 0:
            raise SocksError(None, "SOCKS server refused the username and password")


def _exactly(stream, count):
    data = b""
    while len(data) < count:
        part = stream.recv(count - len(data))
        if not part:
            raise SocksError(None, "SOCKS server closed the connection during the handshake")
        data += part
    return data


def main():
    """Copies standard input and output to the connection, as ssh expects from a ProxyCommand."""
    server, host, port = sys.argv[1:4]
    user = sys.argv[4] if len(sys.argv) > 4 else None
    try:
        stream = connect(server, host, int(port), username=user)
    except OSError as error:
        sys.exit(f"Cannot reach {host} through {server}: {error}")
    stream.settimeout(None)
    readers = [stream, sys.stdin.fileno()]
    while stream in readers:
        for ready in select.select(readers, [], [])[0]:
            data = stream.recv(65536) if ready is stream else os.read(ready, 65536)
            if ready is stream:
                if not data:
                    return
                os.write(sys.stdout.fileno(), data)
            elif data:
                stream.sendall(data)
            else:
                readers.remove(ready)
                stream.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main()
