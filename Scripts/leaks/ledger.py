"""Reads traces of strace: what each call reached, and whether it may."""

import collections
import ipaddress
import re
from pathlib import Path

LINE = re.compile(r"^\d+(?:<(?P<program>[^>]*)>)? +(?P<call>\w+)\((?P<rest>.*)$")
SOCKET = re.compile(r"^\d+<(?P<kind>[A-Za-z0-9-]+):\[(?P<inside>.*?)\]>")
ADDRESS = re.compile(r"\{sa_family=AF_(?P<family>\w+)(?P<rest>[^{}]*)\}")
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
NUMBERS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
OWN_PORT = re.compile(r"<UDP:\[127\.0\.0\.1:(\d+)(?:->[^]]*)?\]>")
UNIX_PATH = re.compile(r'sun_path=(@?"[^"]*")')


class Ledger:
    """Counts destinations by home, program and verdict; `places` names the unix sockets and addresses allowed."""

    def __init__(self, home, places):
        self.home = home
        self.places = places
        self.rows = collections.defaultdict(collections.Counter)
        self.calls = 0

    def read(self, path, subject):
        """Enters one trace; what a tor child does is its own business and kept apart."""
        connected = {}
        text = path.read_text(errors="replace")
        # Foundation's Process wakes its waiter by two UDP sockets connected to each other.
        self.own_ports = set(OWN_PORT.findall(text))
        for line in text.splitlines():
            found = LINE.match(line)
            if not found:
                continue
            self.calls += 1
            program, call, rest = found["program"], found["call"], found["rest"]
            seen = self._judge(call, rest, connected)
            if seen:
                who = "tor child" if program == "tor" else subject
                destination, allowed = seen
                self.rows[who, destination, allowed or who == "tor child"][call] += 1

    def _judge(self, call, rest, connected):
        """What one call reaches and whether it may; None where it reaches nothing."""
        if call.startswith("execve"):
            return None
        if call == "io_uring_setup":
            return "io_uring, which cannot be watched", False
        if call == "socket":
            return self._created(rest)
        found = SOCKET.match(rest)
        if not found:
            return f"a socket that strace cannot name: {rest[:60]}", False
        inode = re.split(r"\D", found["inside"], maxsplit=1)[0]
        named = [self._named(found["kind"], address, call) for address in ADDRESS.finditer(rest)]
        if named:
            if call == "connect":
                connected[inode] = named[0]
            # sendmmsg may name several: the first that must not be counts.
            return min(named, key=lambda one: one[1])
        return self._established(found["kind"], found["inside"], inode, connected)

    def _created(self, rest):
        family, kind = (rest.split(", ") + [""])[:2]
        if family == "AF_UNIX" or (family in ("AF_INET", "AF_INET6") and not kind.startswith("SOCK_RAW")):
            return None  # It is judged by what it is used for.
        return f"{family[3:]} {kind.split('|')[0][5:]} socket", False

    def _named(self, kind, address, call):
        """An address that stands in the call itself."""
        family, rest = address["family"], address["rest"]
        if family == "UNIX":
            path = UNIX_PATH.search(rest)
            return self._unix(path[1].strip('"') if path else "without a name")
        if family in ("INET", "INET6"):
            numbers = NUMBERS.search(rest)
            return self._internet(kind, numbers[1] or numbers[2], int(PORT.search(rest)[1]), call)
        return family, False

    def _unix(self, path):
        name = next((name for name, place in self.places.items() if isinstance(place, Path) and
                     (path == str(place) or place in Path(path).parents)), None)
        return (name, True) if name else (f"unix {path}", False)

    def _internet(self, kind, text, port, call):
        address = ipaddress.ip_address(text)
        protocol = kind.removesuffix("v6")
        shown = f"[{address}]" if address.version == 6 else str(address)
        local = address.is_loopback and protocol == "TCP" and port != 53
        if protocol == "UDP" and shown == "127.0.0.1" and (call == "bind" or str(port) in self.own_ports):
            return "a UDP pair of its own on loopback", True
        if call == "bind":
            return f"{protocol} {shown}, to listen", local
        name = next((name for name, place in self.places.items() if place == f"{shown}:{port}"), None)
        # Loopback is not enough for a connect: a proxy or a resolver may sit there.
        return (name, local) if name else (f"{protocol} {shown}:{port}", False)

    def _established(self, kind, inside, inode, connected):
        """A call without an address: what the socket is connected to."""
        if inode in connected:
            return connected[inode]
        if kind.startswith("UNIX"):
            path = re.search(r'"([^"]*)"', inside)
            # Without a path and never connected it is one end of a socket pair, or its peer has gone.
            return self._unix(path[1]) if path else ("a socket pair of its own", True)
        if kind in ("TCP", "TCPv6"):
            ends = inside.split("->")
            if len(ends) == 1:
                return "whoever came by loopback TCP", True
            peer = ipaddress.ip_address(ends[1].rpartition(":")[0].strip("[]"))
            known = next((name for name, place in self.places.items() if place == ends[1]), None)
            if known:
                return known, True
            return ("whoever came by loopback TCP", True) if peer.is_loopback else (f"TCP {ends[1]}", False)
        if kind == "UDP" and re.fullmatch(r"127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?", inside):
            return self._internet(kind, "127.0.0.1", int(inside.rpartition(":")[2]), "send")
        return kind, False
