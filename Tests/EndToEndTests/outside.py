"""What a script leaves outside of the clone: it gets a /tmp and a home of its own, and they are looked at afterwards."""

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
                 f'{{ {setup or ":"}; }} && exec {drop} "$@"'
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
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*")
                if self.programs not in path.parents}

    def processes(self):
        """The processes that the script has started, by their pid: what they are called."""
        found = {}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = b"/tmp/programs:" in (process / "environ").read_bytes()
                if mine and os.path.samestat((process / "root/tmp").stat(), self.directory.stat()):
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    found[int(process.name)] = b" ".join(words).decode(errors="replace")
        return found

    def assert_clean(self):
        """Nothing that the script started runs any more, and nothing new lies outside."""
        wait_for(lambda: f"the end of {self.processes()}", lambda: not self.processes(), ENDING)
        assert self.listing() - self.before == set(), self.text()

    def end(self):
        """Kills what a failed test has left."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
