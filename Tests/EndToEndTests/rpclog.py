"""Stands before a transmission-daemon and notes each request.

Run inside the lab:  python3 rpclog.py TARGET LOG   prints its port; every line of LOG is a time, a method and what it names.
"""

import http.client
import http.server
import json
import sys
import time
from urllib.parse import urlsplit


def main():
    """Serves until it is ended."""
    target, log = urlsplit(sys.argv[1]), open(sys.argv[2], "a", buffering=1, encoding="utf-8")

    class Handler(http.server.BaseHTTPRequestHandler):
        """Hands a request on, and the answer back."""

        def do_POST(self):
            """Notes what is asked for, where it is more than an attempt without a session."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            onward = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
            onward.request("POST", target.path, body, dict(self.headers))
            answer = onward.getresponse()
            data = answer.read()
            if answer.status == 200:
                asked = json.loads(body)
                ids = asked["arguments"].get("ids", "all")
                log.write(f"{time.monotonic()} {asked['method']} {ids if isinstance(ids, str) else 'some'}\n")
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower().startswith("x-transmission"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port_file = sys.argv[2] + ".port"
    with open(port_file, "w", encoding="ascii") as file:
        file.write(f"{server.server_port}\n")
    server.serve_forever()


if __name__ == "__main__":
    main()
