"""A terminal as a person has it: tmux draws what a program shows, and keys are typed."""

import subprocess
import time


class Terminal:
    """Runs a command in 110 columns and 30 rows; its tmux has a socket of its own in `directory`."""

    def __init__(self, directory, command, environment):
        self.tmux = ["tmux", "-u", "-f", "/dev/null", "-S", str(directory / "tmux")]
        subprocess.run([*self.tmux, "new-session", "-d", "-x", "110", "-y", "30", "--", *map(str, command)],
                       env=environment, check=True, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Without its last session the server has ended by itself.
        subprocess.run([*self.tmux, "kill-server"], check=False, timeout=20, capture_output=True)

    def keys(self, *names):
        """Presses keys by tmux's names, such as `Down` or `q`."""
        subprocess.run([*self.tmux, "send-keys", *names], check=True, timeout=20)

    def text(self, text):
        """Types a text as it stands."""
        subprocess.run([*self.tmux, "send-keys", "-l", text], check=True, timeout=20)

    @property
    def screen(self):
        """What is shown now; nothing once the program has ended."""
        shown = subprocess.run([*self.tmux, "capture-pane", "-p"], check=False, timeout=20, capture_output=True)
        return shown.stdout.decode(errors="replace")

    def history(self, colours=False):
        """All that was shown, lines that were broken at the edge joined; `colours` keeps their escape sequences."""
        shown = subprocess.run([*self.tmux, "capture-pane", "-p", "-J", "-S", "-", *(["-e"] if colours else [])],
                               check=True, timeout=20, capture_output=True)
        return shown.stdout.decode(errors="replace")

    @property
    def title(self):
        """What the terminal's title was set to."""
        shown = subprocess.run([*self.tmux, "display-message", "-p", "#{pane_title}"], check=True, timeout=20,
                               capture_output=True)
        return shown.stdout.decode(errors="replace").strip()

    def wait(self, what, check, deadline=30):
        """Returns the first screen that `check` accepts."""
        end = time.monotonic() + deadline
        while not check(screen := self.screen):
            assert time.monotonic() < end, f"waited {deadline} s for {what}; the terminal shows:\n{screen}"
            time.sleep(0.05)
        return screen
