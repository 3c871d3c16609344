"""Gives programs that know no unix sockets a SOCKS port on loopback that leads to one of the lab's unix sockets.

Run as a child process:  python3 -m benches.forward UNIX-PATH [fresh]   prints its port, then serves.

torsocks 2.4 reads ten bytes of every reply, but tor answers on a unix socket with an IPv6 address, so replies are
written anew. torsocks resolves names that are no onion addresses before it connects, and takes 127.0.0.1 for the
machine itself: a request for any IPv4 address is therefore one for vps.test. `fresh` gives each connection
credentials of its own, and with them a circuit of its own.
"""

import asyncio
import os
import sys

from lab.bridge import copy

NAME = b"vps.test"
OK = b"\x05\x00\x00\x01" + bytes(6)


async def greet(reader, writer, fresh):
    """Speaks to tor as a client does, with credentials where circuits are to be fresh."""
    writer.write(b"\x05\x01\x02" if fresh else b"\x05\x01\x00")
    method = (await reader.readexactly(2))[1]
    if method == 2:
        secret = os.urandom(8).hex().encode()
        writer.write(b"\x01\x10" + secret + b"\x10" + secret)
        await reader.readexactly(2)


async def request(reader, writer, tor_reader, tor_writer, fresh):
    """Passes one CONNECT on; false where tor refuses."""
    await reader.readexactly((await reader.readexactly(2))[1])
    writer.write(b"\x05\x00")
    *_, kind = await reader.readexactly(4)
    length = 4 if kind == 1 else (await reader.readexactly(1))[0]
    name, port = await reader.readexactly(length), await reader.readexactly(2)
    if kind == 1 or name.replace(b".", b"").isdigit():
        name = NAME
    await greet(tor_reader, tor_writer, fresh)
    tor_writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port)
    _, code, _, kind = await tor_reader.readexactly(4)
    await tor_reader.readexactly(18 if kind == 4 else 6)
    writer.write(OK if code == 0 else bytes([5, code]) + OK[2:])
    return code == 0


async def serve(path, fresh):
    """Listens on a free port until the process is ended."""

    async def accepted(reader, writer):
        tor_writer = None
        try:
            tor_reader, tor_writer = await asyncio.open_unix_connection(path)
            if await request(reader, writer, tor_reader, tor_writer, fresh):
                await asyncio.gather(copy(reader, tor_writer), copy(tor_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            if tor_writer:
                tor_writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2:] == ["fresh"]))
