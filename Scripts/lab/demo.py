"""Shows Farseed at work on this machine: real torrents, moving in your browser by way of a private Tor network.

Installs the missing Debian packages, builds, starts a Tor network on loopback, a VPS with sshd and a seedbox, and the
controller, then prints the page's address. Ctrl-C ends and removes all of it.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts"))

from lab import Lab, LabError, content, packages, processes  # noqa: E402

#: Where a build leaves the binaries.
FARSEED = ROOT / ".build/release/farseed"
AGENT = ROOT / ".build/agent/release/farseed-agent"
#: Where the check leaves its pictures where nothing else is asked for.
PICTURE = ROOT / ".build/demo.png"

#: Deadlines in seconds. A first build compiles all dependencies; the page may need a few attempts of Tor.
BUILD, SERVE, LIVE, MOVING = 3000, 60, 180, 120

#: What the check wants to see.
ROWS, BARS = 12, 3
#: So many bars move once all torrents have found their peers.
SETTLED = 6


class Progress:
    """Tells a person what is going on, with the seconds since the start."""

    def __init__(self):
        self.began = time.monotonic()
        self.live = sys.stdout.isatty()

    def step(self, text):
        """A line that stays."""
        self.clear()
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def detail(self, text):
        """A line that the next one replaces; only for a terminal."""
        if self.live:
            columns = os.get_terminal_size().columns if sys.stdout.isatty() else 80
            print(f"\r\x1b[K          {text}"[: columns + 3], end="", flush=True)

    def clear(self):
        """Removes the passing line."""
        if self.live:
            print("\r\x1b[K", end="", flush=True)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(prog="Scripts/demo", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true",
                        help="open the page in headless Chromium, wait until progress bars move, and end")
    parser.add_argument("--delay", type=int, default=0, metavar="MS",
                        help="extra one-way delay per Tor link; 50 makes an onion round trip of about 0.7 s")
    parser.add_argument("--port", type=int, default=0, help="port of the page (default: a free one)")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", default=PICTURE,
                        help="with --check: where to save the picture of the page, by default %(default)s; "
                             "the small one has -phone in its name")
    parser.add_argument("--no-build", action="store_true", help="use the binaries of an earlier build")
    parser.add_argument("--agent", type=Path, metavar="PATH", help="use this farseed-agent")
    parser.add_argument("--farseed", type=Path, metavar="PATH", help="use this farseed")
    options = parser.parse_args()
    if not 0 <= options.delay <= 2000:
        parser.error("--delay must be from 0 to 2000")
    if not 0 <= options.port <= 65535:
        parser.error("--port must be from 0 to 65535")
    options.screenshot = options.screenshot.absolute()
    return options


def build(family, progress, name, argv):
    """Runs one build and returns the last line it printed."""
    child = family.start(name, argv, cwd=ROOT)
    deadline = time.monotonic() + BUILD
    while child.running:
        if time.monotonic() > deadline:
            raise LabError(f"{' '.join(map(str, argv))} did not end within {BUILD} s.\n{child.tail()}")
        progress.detail(child.tail(1))
        time.sleep(0.2)
    if child.popen.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))} failed.\n{child.tail(40)}")
    return child.tail(1).strip()


def binaries(family, progress, options):
    """The paths of farseed and farseed-agent, built where needed."""
    farseed, agent = options.farseed or FARSEED, options.agent
    if not options.no_build and not options.farseed:
        progress.step("building the controller (the first time this takes some minutes)")
        farseed = Path(build(family, progress, "build-farseed", [ROOT / "Scripts/build-controller"]))
    if not agent and options.no_build:
        agent = AGENT
    elif not agent:
        progress.step("building the agent, one static file")
        agent = Path(build(family, progress, "build-agent", [ROOT / "Scripts/build-agent"]))
    for path in (farseed, agent):
        if not os.access(path, os.X_OK):
            raise LabError(f"There is no program at {path}. Build it first: start without --no-build.")
    return farseed.resolve(), agent.resolve()


def serve(family, lab, directory, farseed, port):
    """Starts the controller and returns its process and the page's address with the one-time login."""
    config = lab.write_config(directory / "farseed.toml", web={"listen": f"127.0.0.1:{port}"})
    environment = os.environ | {"FARSEED_CONFIG": str(config), "XDG_STATE_HOME": str(directory / "state")}
    (directory / "state").mkdir(mode=0o700)
    child = family.start("farseed", [farseed, "serve"], env=environment)
    found = processes.until(lambda: re.search(r"^http://\S+", child.text(), re.MULTILINE), SERVE,
                            "The start of the controller's page", [child])
    return child, found.group(0)


def check(progress, child, url, directory, screenshot):
    """Looks at the page as a person would, and saves pictures."""
    from lab.browser import DESKTOP, PHONE, Browser

    progress.step("opening the page in headless Chromium")
    with Browser(directory / "browser") as browser:
        browser.open(url)
        browser.wait_live(ROWS, LIVE, lambda: child.running)
        progress.step(f"the page is live and shows {len(browser.snapshot()['progress'])} torrents")
        browser.wait_moving(BARS, MOVING, lambda: child.running)
        progress.step(f"at least {BARS} progress bars have moved; the round trip is {browser.snapshot()['rtt']}")
        phone = screenshot.with_name(f"{screenshot.stem}-phone{screenshot.suffix}")
        # A moment longer, so that the pictures show the box at work and not its first seconds.
        browser.wait_moving(SETTLED, MOVING, lambda: child.running)
        screenshot.parent.mkdir(parents=True, exist_ok=True)
        browser.screenshot(screenshot, DESKTOP)
        browser.screenshot(phone, PHONE, scale=2)
        for line in browser.console():
            progress.step(f"browser: {line}")
    progress.step(f"saved {screenshot} and {phone}")


def invite(progress, child, lab, url):
    """Gives a person the address and waits until Ctrl-C, or until something ends by itself."""
    progress.step("ready\n")
    print(f"    Open this page; the login in it works once:\n\n        {url}\n\n"
          "    Ctrl-C ends and removes everything.\n", flush=True)
    while child.running and lab.process.poll() is None:
        time.sleep(0.5)
    name, tail = ("farseed serve", child.tail(30)) if not child.running else ("The lab", "")
    raise LabError(f"{name} has ended by itself.\n{tail}")


def main(directory, options):
    """The whole demonstration, in order."""
    progress = Progress()
    progress.step("looking for the Debian packages")
    needed = packages.LAB + ([] if options.no_build or options.farseed else packages.BUILD)
    packages.ensure(needed + (packages.BROWSER if options.check else []), progress.step)
    with processes.Family(directory / "logs", bound=True) as family:
        farseed, agent = binaries(family, progress, options)
        lab = Lab(directory / "lab", delay_ms=options.delay, agent=agent, torrents=len(content.DOZEN),
                  say=progress.step)
        with lab:
            try:
                progress.step("starting the controller")
                child, url = serve(family, lab, directory, farseed, options.port)
                if options.check:
                    check(progress, child, url, directory, options.screenshot)
                else:
                    invite(progress, child, lab, url)
            except (LabError, ConnectionError) as error:
                progress.clear()
                print(f"\n{lab.tails()}\n{family.tails(30)}\n\n{error}", file=sys.stderr)
                return 1
            finally:
                progress.step("ending and removing everything")
                family.end()
    progress.step("done")
    return 0


def start():
    """Parses the command line outside of the guard, so that --help costs nothing."""
    options = arguments()
    return processes.guarded(lambda directory: main(directory, options), "demo")


if __name__ == "__main__":
    sys.exit(start())
