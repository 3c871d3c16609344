"""A TCP proxy that holds every byte for a while: the distance between two Tor relays.

Run as a child process:  python3 -m lab.delay MILLISECONDS JITTER LISTEN:TARGET …   (ports on 127.0.0.1)

With a jitter it changes all the time by up to so many milliseconds to either side, for all connections alike: what
crosses several of them is early or late on each, as in a network that is busy for a while.
"""

import asyncio
import collections
import random
import sys

#: Bytes under way in one direction before the sender is held back: 8 MiB is more than any relay's window.
LIMIT = 8 << 20
#: How long a delay lasts where it changes, in seconds.
WEATHER = 1.0


class Delay:
    """The delay of now, in seconds."""

    def __init__(self, mean, jitter):
        self.mean, self.jitter = mean, jitter
        self.until, self.seconds = 0.0, mean

    def at(self, now):
        """The delay of what comes at this moment of the loop's clock."""
        if self.jitter and now >= self.until:
            self.until = now + WEATHER
            self.seconds = max(0.0, self.mean + random.uniform(-self.jitter, self.jitter))
        return self.seconds


class End(asyncio.Protocol):
    """One end of a proxied connection; what it receives leaves from the other end after the delay."""

    def __init__(self, delay):
        self.delay = delay
        self.loop = asyncio.get_running_loop()
        self.transport = None
        self.other = None
        self.waiting = collections.deque()
        self.held = 0
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.queue(data)

    def eof_received(self):
        self.queue(None)
        return True

    def connection_lost(self, _error):
        self.queue(None)

    def queue(self, data):
        """Notes when the bytes, or the end (None), are due on the other side: never before those ahead of them."""
        now = self.loop.time()
        due = now + self.delay.at(now)
        self.waiting.append((max(due, self.waiting[-1][0]) if self.waiting else due, data))
        self.held += len(data or b"")
        if self.held > LIMIT and not self.transport.is_closing():
            self.transport.pause_reading()
        if self.timer is None:
            self.timer = self.loop.call_at(self.waiting[0][0], self.deliver)

    def deliver(self):
        """Writes what is due, in order."""
        self.timer = None
        out = self.other.transport if self.other else None
        now = self.loop.time() + 0.001
        while self.waiting and self.waiting[0][0] <= now:
            _, data = self.waiting.popleft()
            self.held -= len(data or b"")
            if out is None:
                continue
            if data is None:
                out.close()
            else:
                out.write(data)
        if self.held <= LIMIT and not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()
        if self.waiting:
            self.timer = self.loop.call_at(self.waiting[0][0], self.deliver)


class Near(End):
    """The accepted end; it opens the far one."""

    def __init__(self, delay, target):
        super().__init__(delay)
        self.target = target

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.pause_reading()
        self.opening = self.loop.create_task(self.open())

    async def open(self):
        """Connects to the relay and joins both ends."""
        try:
            _, far = await self.loop.create_connection(lambda: End(self.delay), "127.0.0.1", self.target)
        except OSError:
            self.transport.close()
            return
        far.other, self.other = self, far
        if not self.transport.is_closing():
            self.transport.resume_reading()


async def serve(delay, routes):
    """Listens on every route until the process is ended."""
    loop = asyncio.get_running_loop()
    for listen, target in routes:
        await loop.create_server(lambda target=target: Near(delay, target), "127.0.0.1", listen)
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    weather = Delay(*(int(word) / 1000 for word in sys.argv[1:3]))
    asyncio.run(serve(weather, [tuple(map(int, route.split(":"))) for route in sys.argv[3:]]))
