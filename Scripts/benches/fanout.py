"""`bench fanout`: one event to many subscribers, beside crossbar, nchan and a bare C loop, by one client program."""

import json
import resource
import statistics
import subprocess
import time

from lab import LabError, processes

from . import routers

SIZES, QUICK_SIZES = [100, 1000, 5000], [100]
#: The websockets that Farseed takes at most are 8,192, publishers among them.
MOST = 8000
#: How often everything is measured where nobody says, the servers in turn, and for how many seconds each time.
ROUNDS, QUICK_ROUNDS, SECONDS, QUICK_SECONDS = 2, 1, 3, 1
#: Events under way while it goes as fast as it can; sessions that publish, as servers limit what one may send.
WINDOW, PUBLISHERS = 4, 16
#: Deliveries a second at which latencies are taken, and for how many seconds; longer where that were fewer events than
#: these, as all deliveries of an event are late together, and of four events the slowest alone were the 99th percentile.
PACE, PACED, QUICK_PACED, EVENTS = 2000, 8, 2, 12
#: How long nothing is done before idle connections are weighed, in seconds.
REST = 1
#: Files that a server with the most subscribers has open, and its client, with something to spare.
FILES = 16384


def run(directory, options, table, say):
    """Every server at every number of subscribers, in turns."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    sizes = options.subscribers or (QUICK_SIZES if options.quick else SIZES)
    if soft < FILES:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, max(hard, FILES)))
        except (OSError, ValueError) as error:
            raise LabError(f"{FILES} open files are needed and {hard} allowed. Raise the limit: ulimit -n.") from error
    wanted = [name for name in routers.SERVERS if name == "farseed" or name in (options.peer or routers.SERVERS)]
    routers.ensure(wanted, say)
    client = routers.compile_c(directory, "fanout_client", "-lcrypto")
    for size in sizes:
        found = {name: [] for name in wanted}
        for number in range(options.runs or (QUICK_ROUNDS if options.quick else ROUNDS)):
            for name in wanted:
                say(f"{size} subscribers, round {number + 1}: {name}")
                place = directory / f"{name}-{size}-{number}"
                place.mkdir()
                with processes.Family(place / "logs", bound=True) as family, \
                        routers.SERVERS[name](place, family, options, size) as server:
                    found[name].append(measure(client, server, size, options.quick))
        tell(table, size, found)


class Client:
    """The client program: one command, one answer."""

    def __init__(self, program, server):
        argv = [program, str(server.port), server.subscribe, server.publish, *([server.secret] * bool(server.secret))]
        self.popen = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, bufsize=1)
        self.server = server

    def __call__(self, *words):
        """Has the client do something and returns what it says."""
        try:
            self.popen.stdin.write(" ".join(map(str, words)) + "\n")
            answer = self.popen.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise LabError(f"The client of {self.server.name} ended at {words}: {self.popen.stderr.read().strip()}\n"
                           f"{self.server.child.tail()}")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.stdin.close()
        try:
            self.popen.wait(processes.PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def measure(program, server, size, quick):
    """All figures of one server with so many subscribers."""
    with Client(program, server) as client:
        client("publishers", PUBLISHERS)
        before = server.resident()
        opened = client("subscribers", size)
        time.sleep(REST)
        weight = (server.resident() - before) / size
        # The first events find cold caches and buffers that have to grow.
        client("pace", 10, 0.5)
        paced = client("pace", PACE / size, QUICK_PACED if quick else max(PACED, EVENTS * size / PACE))
        used = server.cpu()
        flooded = client("flood", QUICK_SECONDS if quick else SECONDS, WINDOW)
        used = server.cpu() - used
    return {
        "set-up": size / opened["seconds"],
        "memory": weight,
        "p50": paced["p50"] / 1000,
        "p99": paced["p99"] / 1000,
        "event": paced["event"] / 1000,
        "rate": flooded["deliveries"] / flooded["seconds"],
        "cpu": used / flooded["deliveries"] * 1e6,
    }


#: Case, key of `measure`, unit.
ROWS = [
    ("deliveries a second", "rate", "deliveries/s"), ("server CPU per million deliveries", "cpu", "CPU-s"),
    (f"p50 at {PACE} deliveries/s", "p50", "ms"), (f"p99 at {PACE} deliveries/s", "p99", "ms"),
    (f"p99 of the middle event at {PACE} deliveries/s", "event", "ms"),
    ("memory of an idle subscriber", "memory", "KB"), ("set-up rate", "set-up", "connections/s"),
]


def tell(table, size, found):
    """The rows of one number of subscribers, and how the peers compare."""
    for case, key, unit in ROWS:
        for name, runs in found.items():
            middle = statistics.median(run[key] for run in runs)
            table.add(f"{size} subscribers: {case}", routers.SUBJECTS[name], middle, unit, len(runs))
    own = [run["cpu"] for run in found["farseed"]]
    for name, runs in found.items():
        if name != "farseed" and min(own) > 0:
            # Of the same round each, as the machine's other work comes and goes.
            ratios = [mine / run["cpu"] for mine, run in zip(own, runs, strict=True) if run["cpu"] > 0]
            if ratios:
                table.add(f"{size} subscribers: CPU, farseed / peer", routers.SUBJECTS[name],
                          statistics.median(ratios), "ratio", len(ratios))
