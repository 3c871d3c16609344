"""The two small doors between the lab's network namespace and the host's loopback.

`forward`, run on the host's side, accepts TCP on inherited listening sockets and copies to unix sockets.
`gate`, run inside, is a SOCKS5 server on a unix socket: a tor outside reaches the relays inside through both.
"""

import asyncio
import ipaddress
import socket
import sys

#: The only destinations the gate opens: the lab's own loopback.
INSIDE = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.99.0.0/16")]


async def copy(reader, writer):
    """Copies until the end of the stream."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def join(first, second):
    """Copies both ways between two (reader, writer) pairs, then closes both."""
    await asyncio.gather(copy(first[0], second[1]), copy(second[0], first[1]))
    first[1].close()
    second[1].close()


async def forward(routes):
    """Each route is FD:PATH, an inherited listening TCP socket and the unix socket it leads to."""

    async def accepted(reader, writer, path):
        try:
            inside = await asyncio.open_unix_connection(path)
        except OSError:
            writer.close()
            return
        await join((reader, writer), inside)

    for route in routes:
        number, _, path = route.partition(":")
        await asyncio.start_server(
            lambda reader, writer, path=path: accepted(reader, writer, path), sock=socket.socket(fileno=int(number))
        )
    await asyncio.Event().wait()


async def gate(path):
    """Serves SOCKS5 CONNECT to numeric addresses inside the namespace."""

    async def accepted(reader, writer):
        try:
            inside = await request(reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            writer.close()
            return
        await join((reader, writer), inside)

    await asyncio.start_unix_server(accepted, path)
    print("listening", flush=True)
    await asyncio.Event().wait()


async def request(reader, writer):
    """Answers one SOCKS5 request and returns the opened connection."""
    await reader.readexactly((await reader.readexactly(2))[1])
    writer.write(b"\x05\x00")
    if await reader.readexactly(4) != b"\x05\x01\x00\x01":
        raise ValueError("only CONNECT to IPv4")
    host = ipaddress.IPv4Address(await reader.readexactly(4))
    port = int.from_bytes(await reader.readexactly(2), "big")
    if not any(host in network for network in INSIDE):
        raise ValueError("not inside")
    try:
        inside = await asyncio.open_connection(str(host), port)
    except OSError:
        writer.write(b"\x05\x05\x00\x01" + bytes(6))
        raise
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    return inside


if __name__ == "__main__":
    asyncio.run(forward(sys.argv[2:]) if sys.argv[1] == "forward" else gate(sys.argv[2]))
