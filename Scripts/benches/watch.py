"""A running `farseed watch --json`: what it tells, and when."""

import json
import subprocess
import threading
import time

from lab import LabError

#: How long a change may take to be seen, in seconds.
SEEN = 30


class Watch:
    """Its lines, each with the time at which it came."""

    def __init__(self, home):
        self.process = subprocess.Popen(home.argv("watch", "--json"), env=home.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.condition = threading.Condition()
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.condition:
                self.events.append((time.monotonic(), json.loads(line)))
                self.condition.notify()

    def forget(self):
        """Drops what came until now."""
        with self.condition:
            self.events.clear()

    def wait(self, wanted, after=0.0, seconds=SEEN):
        """When the first wanted event came, of those that came later than `after`."""
        def found():
            return next((when for when, event in self.events if when > after and wanted(event)), None)

        with self.condition:
            if not self.condition.wait_for(found, seconds):
                raise LabError(f"farseed watch did not show the change within {seconds} s")
            return found()

    def states(self):
        """The link's states and round trips as they were told, one after the other."""
        with self.condition:
            return [event["link"] for _, event in self.events if event.get("kind") == "link"]

    def end(self):
        """Ends the process."""
        self.process.terminate()
        self.process.wait(30)
