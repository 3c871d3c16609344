"""The real parts that every end-to-end test stands on: one laboratory, and a controller and a browser where asked for."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts"))

from lab import Lab  # noqa: E402
from lab.browser import environment as browser_environment  # noqa: E402

#: The exit codes by name, as Docs/Operations.md promises them.
CODES = {name: int(number) for number, name in
         re.findall(r"^\| (\d+) \| `([a-z-]+)` \|", (ROOT / "Docs/Operations.md").read_text(), re.M)}
#: No command, page or part is waited for longer than this, in seconds.
DEADLINE = 60


def program(variable):
    """The program under test named by an environment variable, which Scripts/test sets."""
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        pytest.exit(f"{variable} names no program; run these tests by Scripts/test --end-to-end", returncode=3)
    return pathlib.Path(path)


FARSEED = program("FARSEED")
AGENT = program("FARSEED_AGENT")


#: What needs torrents that move comes first, in this order: they move until other tests restart their daemons, and not for
#: ever.
MOVING = ["test_main_job.py", "test_page_values.py", "test_page_view.py", "test_wamp.py", "test_wamp_doors.py"]


def pytest_configure(config):
    """Gives each lane, and whoever runs without lanes, a short directory of its own: unix sockets lie below it."""
    # Only there is TMPDIR a directory of our own.
    if "FARSEED_ALONE" in os.environ:
        config.option.basetemp = os.path.join(os.environ["TMPDIR"], os.environ.get("PYTEST_XDIST_WORKER", "t"))


def pytest_collection_modifyitems(items):
    """Puts the tests of `MOVING` before all others."""
    items.sort(key=lambda item: MOVING.index(item.path.name) if item.path.name in MOVING else len(MOVING))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows what the controller and the parts of the laboratory said last."""
    report = (yield).get_result()
    if not report.failed:
        return
    for name in ("home", "served"):
        home = getattr(item, "funcargs", {}).get(name)
        if home and home.log.exists():
            report.sections.append(("the controller's log", home.tail()))
            break
    lab = getattr(item, "funcargs", {}).get("lab")
    if lab:
        report.sections.append(("the laboratory's logs", lab.tails(15)))


def wait_for(what, check, deadline=DEADLINE, pause=0.1):
    """The first true value of `check()`; after `deadline` seconds fails with `what`, a text or what makes one."""
    end = time.monotonic() + deadline
    last = None
    while time.monotonic() < end:
        last = check()
        if last:
            return last
        time.sleep(pause)
    what = what() if callable(what) else what
    pytest.fail(f"waited {deadline} s for {what}; last seen: {last!r}")


@contextlib.contextmanager
def bounded(process):
    """Ends a child that is read from, where it says nothing for too long: then the reading ends, too."""
    timer = threading.Timer(DEADLINE, process.kill)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()


class Home:
    """One home side: a state directory, a configuration, the command line, and perhaps a controller that serves."""

    def __init__(self, directory, config):
        self.directory = directory
        self.config = config
        self.state = directory / "state"
        self.state.mkdir(mode=0o700)
        self.server = None
        self.url = None
        self.log = directory / "serve.log"

    @property
    def environment(self):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "FARSEED_CONFIG": str(self.config),
            "XDG_STATE_HOME": str(self.state),
        }

    def run(self, *arguments, input=None, timeout=DEADLINE, through=()):
        """Runs `farseed arguments…`, by the command `through`; the completed process, its output as text."""
        return subprocess.run(
            [*through, FARSEED, *arguments], env=self.environment, timeout=timeout, capture_output=True,
            text=True, errors="surrogateescape", stdin=subprocess.DEVNULL if input is None else None, input=input,
        )

    def start(self, *arguments, through=()):
        """Starts `farseed serve` and reads the page's address, with its one-time login, from its output."""
        log = open(self.log, "ab")
        self.server = subprocess.Popen(
            [*through, FARSEED, "serve", *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        for line in self.server.stdout:
            if line.startswith(("http://", "https://")):
                self.url = line.strip()
                return self
        pytest.fail(f"farseed serve ended with {self.server.wait()} before it printed its address:\n{self.tail()}")

    def stop(self, how=signal.SIGTERM):
        if self.server is None:
            return None
        self.server.send_signal(how)
        code = self.server.wait(timeout=DEADLINE)
        self.server.stdout.close()
        self.server = None
        return code

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def torrents(self):
        """What `farseed list --json` knows, by info hash."""
        result = self.run("list", "--json")
        assert result.returncode == 0, result.stderr
        return {torrent["hash"]: torrent for torrent in json.loads(result.stdout)["torrents"]}


@pytest.fixture(scope="session")
def lab():
    """A private Tor network, a VPS with sshd and the agent, and torrents that move."""
    with Lab(agent=AGENT) as lab:
        yield lab


def transmission_remote(lab, *arguments):
    """`transmission-remote` as the owner types it on the VPS itself."""
    address = lab.rpc_url.split("//")[1].split("/")[0]
    done = lab.run_in_namespace(["transmission-remote", address, *arguments])
    assert done.returncode == 0 and b"Error" not in done.stdout, done
    return done.stdout.decode(errors="replace")


@pytest.fixture
def home(lab, tmp_path):
    """A home side for the laboratory's seedbox; its controller does not run yet."""
    with make_home(lab, tmp_path) as home:
        yield home


@contextlib.contextmanager
def labelled(home, lab, labels):
    """Gives each torrent its one label on the seedbox, waits until `home` knows them, and takes them away at the end."""
    try:
        for hash, label in labels.items():
            lab.box.rpc("torrent-set", {"ids": [hash], "labels": [label]})
        wait_for("the labels", lambda: {hash: home.torrents()[hash].get("labels") for hash in labels}
                 == {hash: [label] for hash, label in labels.items()})
        yield
    finally:
        lab.box.rpc("torrent-set", {"ids": list(labels), "labels": []})


@contextlib.contextmanager
def make_home(lab, directory, **overrides):
    """A home side; `overrides` are those of `Lab.write_config`."""
    config = directory / "farseed.toml"
    lab.write_config(config, **overrides)
    home = Home(directory, config)
    try:
        yield home
    finally:
        if home.server is not None:
            home.stop(signal.SIGKILL)


@pytest.fixture
def served(home):
    """A home side whose controller runs, its link live and its mirror filled."""
    home.start()
    wait_mirrored(home)
    return home


def free_port():
    """A port of loopback that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def audit(home, action=None):
    """The entries of the audit log, the oldest first."""
    result = home.run("user", "audit", "--json", "-n", "1000")
    assert result.returncode == 0, result.stderr
    entries = json.loads(result.stdout)["entries"][::-1]
    return [entry for entry in entries if action in (None, entry["action"])]


def make_certificate(directory, name, names="IP:127.0.0.1"):
    """A certificate that signs itself, for `names` as openssl writes them, NAME.pem, and its key, NAME.key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
         "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem"],
        check=True, capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL,
    )
    (directory / f"{name}.key").chmod(0o600)


def status(home, through=()):
    """What `farseed status` tells; it exits with the problem's code where a link is not live. None without a controller."""
    result = home.run("status", "--json", through=through)
    answer = json.loads(result.stdout) if result.stdout.startswith("{") else {}
    return answer if answer.get("boxes") else None


def wait_mirrored(home, deadline=DEADLINE):
    """Waits until the link is live, and then until the first snapshot has come over it."""
    wait_for("the link to be live", lambda: link_state(home) == "live", deadline)
    wait_for("the torrents to be mirrored", lambda: home.run("list", "--format", "{hash}").stdout.strip(), deadline)


def link_state(home, through=()):
    answer = status(home, through)
    return answer and answer["boxes"][0]["link"]["state"]


def hop(home, name):
    """The state of one hop as `farseed status` tells it."""
    answer = status(home)
    return answer and {h["hop"]: h for h in answer["boxes"][0]["link"]["hops"]}[name]["state"]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = "/usr/bin/chromium"
    arguments = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"]
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    directory = tmp_path_factory.mktemp("chromium")
    arguments.append(f"--user-data-dir={directory / 'profile'}")
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver", env=browser_environment(directory)), options=options)
    yield driver
    driver.quit()


class Page:
    """The status page in a real browser."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.get("about:blank")
        driver.get(url)

    def script(self, code, *arguments):
        return self.driver.execute_script(code, *arguments)

    @property
    def state(self):
        return self.script("return document.documentElement.dataset.state")

    def hops(self):
        return self.script(
            "return Object.fromEntries([...document.querySelectorAll('#link li[data-hop]')]"
            ".map(li => [li.dataset.hop, li.dataset.state]))"
        )

    def problem(self):
        return self.script(
            "const p = document.querySelector('#problem');"
            "return p && p.dataset.code ? {code: p.dataset.code, text: p.textContent} : null"
        )

    def hashes(self):
        return self.script("return [...document.querySelectorAll('tr[data-hash]')].map(row => row.dataset.hash)")

    def cell(self, hash, field):
        return self.script(
            "const cell = document.querySelector(`tr[data-hash='${arguments[0]}'] [data-field='${arguments[1]}']`);"
            "return cell && (cell.value ?? cell.textContent)", hash, field,
        )

    def wait_live(self, deadline=DEADLINE):
        wait_for("the page to be live", lambda: self.state == "live", deadline)
        return self


@pytest.fixture
def page(served, chromium):
    """The page of a controller whose link is live, logged in by the one-time link."""
    return Page(chromium, served.url).wait_live()


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as response:
        return response.status, response.read()
