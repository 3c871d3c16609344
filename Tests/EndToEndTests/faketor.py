"""A tor that says what a test wants: its control port, and a program in its place."""

import contextlib
import socketserver
import threading


class ControlPort:
    """A control port on loopback without authentication; `say` sends an event to everybody who listens for events."""

    def __init__(self, answers):
        self.answers = {"PROTOCOLINFO": "250-PROTOCOLINFO 1\r\n250-AUTH METHODS=NULL\r\n250 OK", "AUTHENTICATE": "250 OK",
                        "SETEVENTS": "250 OK", "SIGNAL": "250 OK"} | answers
        #: All that was asked, as it came.
        self.asked = []
        self.listening = []
        self.events = []

    def say(self, event):
        self.events.append(f"650 {event}\r\n".encode())
        for stream in list(self.listening):
            with contextlib.suppress(OSError):
                stream.sendall(self.events[-1])

    def answer(self, line):
        """Of the longest beginning that is known."""
        known = [question for question in self.answers if line.startswith(question)]
        return self.answers[max(known, key=len)] if known else "552 Unrecognized"

    def __enter__(self):
        port = self

        class Serve(socketserver.StreamRequestHandler):
            def handle(self):
                for raw in self.rfile:
                    line = raw.decode().rstrip("\r\n")
                    port.asked.append(line)
                    self.wfile.write(port.answer(line).encode() + b"\r\n")
                    if line.startswith("SETEVENTS"):
                        port.listening.append(self.connection)
                        for event in port.events:
                            self.wfile.write(event)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Serve)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def program(path, version, body):
    """A program that says `version` when it is asked for it, and else does `body`."""
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "Tor version {version}."; exit; fi\n{body}\n')
    path.chmod(0o755)
    return path
