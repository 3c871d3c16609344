"""Starts child processes that cannot outlive their parent, each with its own log file."""

import ctypes
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

#: How long an ended child may take to obey SIGTERM before it is killed, in seconds.
PATIENCE = 5.0
#: How long a short command may take, in seconds.
COMMAND = 90
#: How often a wait looks again, in seconds.
POLL = 0.05


class LabError(Exception):
    """Something the lab needs did not happen; the text says what and what to do."""


def prctl(option, value):
    """Calls prctl(2); failing is not fatal, the pipes between the processes end them too."""
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def until(condition, seconds, what, children=(), interval=POLL):
    """Waits until `condition()` is true and returns its value.

    Gives up after `seconds`, or as soon as one of `children` has ended, with the tails of their logs.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        ended = [child for child in children if not child.running]
        if ended or time.monotonic() > deadline:
            reason = f"{ended[0].name} ended" if ended else f"{seconds:g} s passed"
            logs = "".join(f"\n--- {child.name}\n{child.tail()}" for child in (ended or children)[:2])
            raise LabError(f"{what} did not happen: {reason}.{logs}")
        time.sleep(interval)


def run(argv, text=""):
    """Runs a short command and returns what it printed."""
    done = subprocess.run([str(word) for word in argv], input=text, capture_output=True, text=True, check=False,
                          timeout=COMMAND)
    if done.returncode != 0:
        raise LabError(f"{Path(argv[0]).name} failed with status {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def process_table():
    """All processes visible in /proc as {pid: (parent pid, name, state)}."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue
        name = stat[stat.index("(") + 1 : stat.rindex(")")]
        state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
        table[int(entry)] = (int(parent), name, state)
    return table


def cpu(pids):
    """The CPU seconds that processes have used, their ended children excluded."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        try:
            fields = Path("/proc", str(pid), "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / ticks


def memory(pid):
    """Resident bytes of a process."""
    try:
        return int(Path("/proc", str(pid), "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def share(pid):
    """Resident bytes of a process, pages that several processes have divided among them."""
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def program(pid):
    """The name of the program that a process was called by, or None where it has ended."""
    try:
        words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None
    return Path(os.fsdecode(words[0])).name


def listening(port):
    """Whether some process in this network namespace listens on the IPv4 port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def descendants(pid, name=None):
    """The pids below `pid`, children before grandchildren, optionally only those called `name`."""
    table = process_table()
    found, frontier = [], [pid]
    while frontier:
        frontier = [child for child, (parent, _, _) in table.items() if parent in frontier]
        found += frontier
    return [child for child in found if name is None or table[child][1] == name[:15]]


def send(pids, number):
    """Sends a signal to each pid and returns those that were there, and ours, to receive it."""
    reached = []
    for pid in pids:
        try:
            os.kill(pid, number)
            reached.append(pid)
        except (ProcessLookupError, PermissionError):
            pass
    return reached


class Child:
    """One supervised process: its command, its log and its life."""

    def __init__(self, name, argv, log, env=None, cwd=None, bound=False):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = Path(log)
        self.env = env
        self.cwd = cwd
        self.bound = bound
        self.popen = None

    def start(self):
        """Starts the process in its own group; a second start appends to the same log."""
        argv = self.argv
        if self.bound:
            argv = ["setpriv", "--pdeathsig", "TERM", "--", *argv]
        with open(self.log, "ab") as output:
            self.popen = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                env=self.env, cwd=self.cwd, process_group=0,
            )
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def stop(self, number=signal.SIGTERM, patience=PATIENCE):
        """Ends the process and everything left in its group."""
        if self.popen is None:
            return
        if self.running:
            send([self.pid], number)
            send([self.pid], signal.SIGCONT)
            try:
                self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        self.popen.wait(patience)

    def kill(self):
        """Ends the process without a goodbye."""
        self.stop(signal.SIGKILL)

    def signal(self, number):
        """Sends one signal, for example SIGHUP, SIGSTOP or SIGCONT."""
        if self.running:
            send([self.pid], number)

    def text(self):
        """Everything logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=15):
        """The last lines of the log."""
        return "\n".join(self.text().splitlines()[-lines:])


class Family:
    """The children of one supervisor; used as a context manager it ends all of them."""

    def __init__(self, logs, bound=False):
        self.logs = Path(logs)
        self.logs.mkdir(parents=True, exist_ok=True)
        self.bound = bound
        self.children = {}
        if bound:
            prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(self, name, argv, env=None, cwd=None):
        """Starts a child whose log is NAME.log; `bound` families start only from the main thread."""
        child = Child(name, argv, self.logs / f"{name}.log", env=env, cwd=cwd, bound=self.bound)
        self.children[name] = child
        return child.start()

    def end(self):
        """Ends all children, newest first."""
        for child in reversed(list(self.children.values())):
            child.stop()

    def tails(self, lines=15):
        """The tails of all logs, for a person who has to find out what failed."""
        return "\n".join(f"--- {child.name}\n{child.tail(lines)}" for child in self.children.values())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def end_descendants():
    """Ends and reaps everything below this process: asks at first, then kills until nothing is left."""
    began = time.monotonic()
    number = signal.SIGTERM
    while (passed := time.monotonic() - began) < 2 * PATIENCE:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if passed > PATIENCE / 2:
            number = signal.SIGKILL
        if number:
            send(descendants(os.getpid()), number)
        if number == signal.SIGTERM:
            number = 0
        time.sleep(POLL)


def session_files():
    """Where transmission-daemons keep their session's id: this path is built into them."""
    return set(Path("/tmp").glob("tr_session_id_*"))


def remove_abandoned(paths):
    """Removes those session files whose daemon was killed; a living one holds a lock on its file."""
    for path in paths:
        try:
            with open(path, "r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        except OSError:
            pass


def mounted(directory):
    """The paths, as bytes, where something is mounted at or below a directory, the deepest first."""
    top = os.path.realpath(os.fsencode(directory))
    places = []
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        # Blanks, newlines and backslashes in a path are written as three octal digits.
        place = re.sub(rb"\\([0-3][0-7]{2})", lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
        if place == top or place.startswith(top + b"/"):
            places.append(place)
    return sorted(reversed(places), key=lambda place: -place.count(b"/"))


def unmount(directory):
    """Takes away what is mounted at or below a directory, also where it is in use or hidden by a later mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    places = mounted(directory)
    while places:
        for place in places:
            libc.umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW)
        # Who may not unmount gets no further.
        left = mounted(directory)
        places = left if len(left) < len(places) else []


def guarded(main, name):
    """Runs `main(directory)` in a child process and removes whatever it leaves: processes, mounts and files.

    The guard outlives a `main` that is killed; a `main` whose guard is killed receives SIGTERM. `directory` is a
    temporary directory that is also the TMPDIR of everything started. Returns the exit status.
    """
    # Blocked until the child has its own handlers, so that no early Ctrl-C is lost or ends the guard alone.
    stops = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    sessions = session_files()
    directory = tempfile.mkdtemp(prefix=f"farseed-{name}-")
    guard = os.getpid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run_guarded(main, directory, sessions, guard, stops)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: send([child], number))
    # A terminal's Ctrl-C reaches the child by itself; one sent to the guard alone is passed on as SIGTERM.
    signal.signal(signal.SIGINT, lambda *_: send([child], signal.SIGTERM))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
    status = _reap_until(child)
    _remove_all(directory, sessions)
    return status


def _remove_all(directory, sessions):
    """What is left at the end of a guarded run; `sessions` were there before it."""
    end_descendants()
    unmount(directory)
    shutil.rmtree(directory, ignore_errors=True)
    remove_abandoned(session_files() - sessions)


def _run_guarded(main, directory, sessions, guard, stops):
    """The child's side of `guarded`; never returns."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    status = 1
    try:
        if os.getppid() != guard:
            return
        stopping = []

        def stop(number, _):
            # Only the first signal interrupts: the second one of a Ctrl-C must not interrupt the cleaning.
            if not stopping:
                stopping.append(number)
                raise SystemExit(128 + number)

        for number in stops:
            signal.signal(number, stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, stops)
        os.environ["TMPDIR"] = directory
        tempfile.tempdir = directory
        status = main(Path(directory)) or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except LabError as error:
        print(f"\n{error}", file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        if os.getppid() != guard:
            # The guard was killed, so this process does the guard's cleaning.
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            _remove_all(directory, sessions)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _reap_until(child):
    """Waits for `child`, reaping orphans meanwhile, and returns its exit status."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
