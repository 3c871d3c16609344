"""What a script leaves outside of the clone: it gets a /tmp, a home and mounts of its own, and they are looked at
afterwards.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from conftest import ROOT, wait_for

#: How long a script may take to end everything after its signal, in seconds.
ENDING = 30


class Outside:
    """A directory that a script sees as /tmp: with its home, with programs that stand in for the machine's own, and with
    the clone, wherever that is.
    """

    def __init__(self, directory, user=None):
        self.directory = directory
        #: Its path is in the PATH of all that the script starts, and so in the environment of every process.
        self.programs = directory / "programs"
        self.log = directory.with_name(f"{directory.name}.log")
        self.user = user
        self.process = None
        #: The namespaces that its processes were seen in, by descriptor: kept beyond their end, since the kernel gives
        #: the number of one that is gone to the next that anybody makes. The first is that of the script's mounts.
        self.namespaces = {}
        for path in (directory, self.programs, directory / "home", directory / "clone"):
            path.mkdir(mode=0o755)
            if user:
                os.chown(path, user, user)
        directory.chmod(0o1777)

    def stand_in(self, name, text):
        """A program that comes before the machine's own."""
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def copy(self, program):
        """Brings a program in, since it may lie in the /tmp that the script does not see; returns its path there."""
        shutil.copy(program, self.programs)
        return f"/tmp/programs/{program.name}"

    def start(self, *argv, setup="", **environment):
        """Starts a script of the clone in a process group of its own, as a shell at a terminal does.

        `setup` are further commands that prepare its file system.
        """
        self.before = self.listing()
        kept = {name: value for name, value in os.environ.items() if name != "FARSEED_ALONE" and name[:4] != "XDG_"}
        path = f"/tmp/programs:{os.environ['PATH']}"
        drop = f"setpriv --reuid={self.user} --regid={self.user} --clear-groups" if self.user else ""
        script = 'mount --bind "$2" "$1/clone" && mount --rbind "$1" /tmp && shift 2 && ' \
                 f'{{ {setup or ":"}; }} && cat /proc/self/mountinfo >/tmp/programs/mounts && exec {drop} "$@"'
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script, "sh", self.directory, ROOT,
                 f"/tmp/clone/{argv[0]}", *argv[1:]],
                env=kept | {"TMPDIR": "/tmp", "HOME": "/tmp/home", "PATH": path} | environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )
        return self

    def run(self, *argv, deadline=60, **others):
        """Runs a script to its end; its exit status."""
        return self.start(*argv, **others).process.wait(deadline)

    def wait_said(self, text, deadline=60):
        """Waits until the script has printed this."""
        wait_for(lambda: f"{text!r} in:\n{self.text()}",
                 lambda: text in self.text() or self.process.poll() is not None, deadline)
        assert text in self.text(), self.text()

    def wait_there(self, name, deadline=60):
        """Waits until a file of this name lies somewhere in its /tmp."""
        wait_for(name, lambda: any(path.endswith(f"/{name}") for path in self.listing()), deadline)

    def watch(self):
        """Makes `assert_clean` also look at the mounts of the running script, and at the namespaces that it has by now."""
        for pid in [self.process.pid, *self.processes()]:
            for name, path in namespaces(pid).items():
                if name not in self.namespaces.values():
                    with contextlib.suppress(OSError):
                        descriptor = os.open(path, os.O_RDONLY)
                        self.namespaces[descriptor] = os.readlink(f"/proc/self/fd/{descriptor}")

    def interrupt(self, number=signal.SIGINT):
        """Ends the script by a signal, a Ctrl-C at the terminal or one sent to the script alone; its exit status."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(ENDING)

    def text(self):
        return self.log.read_text(errors="replace")

    def listing(self):
        """All that lies in its /tmp, the stand-ins aside."""
        found = set()
        # Not by glob, which fails where a directory goes away meanwhile.
        for place, directories, files in os.walk(self.directory):
            if pathlib.Path(place) == self.programs:
                directories.clear()
            else:
                found |= {os.path.relpath(os.path.join(place, name), self.directory) for name in directories + files}
        return found

    def mounts(self):
        """What is mounted now where the script runs or ran, as lines of its mountinfo."""
        descriptor = next(iter(self.namespaces))
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/self/fd/{descriptor}", "cat", "/proc/self/mountinfo"],
            pass_fds=[descriptor], capture_output=True, text=True, check=True, timeout=ENDING,
        )
        return set(done.stdout.splitlines())

    def members(self):
        """The processes in the namespaces of `watch`, by their pid: what they are called. sshd hides its environment."""
        found = {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if namespaces(process.name).keys() & set(self.namespaces.values()):
                    found[int(process.name)] = called(process)
        return found

    def processes(self):
        """The processes that the script has started, by their pid: what they are called."""
        found = {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = b"/tmp/programs:" in (process / "environ").read_bytes()
                if mine and os.path.samestat((process / "root/tmp").stat(), self.directory.stat()):
                    found[int(process.name)] = called(process)
        return found

    def assert_clean(self):
        """Nothing that the script started runs any more, and nothing new lies or is mounted outside."""
        wait_for(lambda: f"the end of {self.processes()}", lambda: not self.processes(), ENDING)
        wait_for(lambda: f"the end of {self.members()}", lambda: not self.members(), ENDING)
        new = self.listing() - self.before
        assert not new, f"{sorted(new)[:20]}\n{self.text()}"
        if self.namespaces:
            assert self.mounts() - set((self.programs / "mounts").read_text().splitlines()) == set(), self.text()

    def end(self):
        """Kills what a failed test has left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for descriptor in self.namespaces:
            os.close(descriptor)
        self.namespaces = {}


def called(process):
    """A process's command line, by its directory in /proc."""
    return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def namespaces(pid):
    """The namespaces that a process does not share with this one, such as `net:[4026532281]`: their paths."""
    found = {}
    for kind in ("mnt", "net", "pid", "user"):
        path = f"/proc/{pid}/ns/{kind}"
        with contextlib.suppress(OSError):
            name = os.readlink(path)
            if name != os.readlink(f"/proc/self/ns/{kind}"):
                found[name] = path
    return found
