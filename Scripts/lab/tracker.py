"""A BitTorrent tracker for the lab's daemons: HTTP, compact peers, kept in memory.

Run as a child process:  python3 -m lab.tracker ADDRESS PORT PEERPORT=ADDRESS …
The table tells which address each daemon listens on, so that the source of an announce does not matter.
"""

import http.server
import socket
import sys
import time
import urllib.parse

#: Seconds between two announces; short, so that restarted daemons find each other soon.
INTERVAL = 20
#: A peer not heard of for this many seconds is forgotten.
LIFETIME = 90


class Swarms:
    """Who announced which torrent, where and when."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.peers = {}

    def announce(self, info_hash, port, left, event):
        """Records one announce and returns the bencoded answer."""
        swarm = self.peers.setdefault(info_hash, {})
        now = time.monotonic()
        if event == "stopped":
            swarm.pop(port, None)
        else:
            swarm[port] = (left, now)
        for other, (_, seen) in list(swarm.items()):
            if now - seen > LIFETIME:
                del swarm[other]
        others = [other for other in swarm if other != port]
        compact = b"".join(socket.inet_aton(self.addresses[other]) + other.to_bytes(2, "big") for other in others)
        complete = sum(1 for left, _ in swarm.values() if left == 0)
        return b"d8:completei%de10:incompletei%de8:intervali%de12:min intervali%de5:peers%d:%se" % (
            complete, len(swarm) - complete, INTERVAL, INTERVAL // 2, len(compact), compact)


    def scrape(self, hashes):
        """The bencoded counts of the torrents asked for."""
        files = []
        for info_hash in sorted(hashes):
            lefts = [left for left, _ in self.peers.get(info_hash, {}).values()]
            complete = lefts.count(0)
            files.append(b"20:%sd8:completei%de10:downloadedi0e10:incompletei%dee" % (
                info_hash.encode("latin-1"), complete, len(lefts) - complete))
        return b"d5:filesd%see" % b"".join(files)


def handler(swarms):
    """The request handler class bound to `swarms`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            """Answers /announce and /scrape; anything else gets a bencoded failure."""
            path, _, query = self.path.partition("?")
            pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, encoding="latin-1")
            values = dict(pairs)
            try:
                if path == "/scrape":
                    body = swarms.scrape([value for key, value in pairs if key == "info_hash" and len(value) == 20])
                elif path == "/announce" and int(values["port"]) in swarms.addresses:
                    left = int(values.get("left", 1))
                    body = swarms.announce(values["info_hash"], int(values["port"]), left, values.get("event"))
                else:
                    raise KeyError(path)
            except (KeyError, ValueError):
                body = b"d14:failure reason19:bad announce in labe"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


if __name__ == "__main__":
    table = {int(port): address for port, _, address in (word.partition("=") for word in sys.argv[3:])}
    server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), handler(Swarms(table)))
    print("listening", flush=True)
    server.serve_forever()
