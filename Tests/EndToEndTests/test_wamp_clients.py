"""WAMP clients that are not autobahn-python, unchanged: of Python each in a process of its own, autobahn.js in a browser."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attacked import employing
from autobahnclient import PYTHON, door  # noqa: F401
from conftest import DEADLINE
from otherclients import ARGUMENTS, EXPECTED, KEYWORDS

#: The browser's build that the package of PyPI carries.
AUTOBAHN_JS = PYTHON / "crossbar" / "templates" / "default" / "web" / "js" / "autobahn.min.js"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One controller for all tests of this file; its workers may publish, subscribe and register."""
    with employing(tmp_path_factory.mktemp("clients"), role="viewer") as controller:
        yield controller


@pytest.mark.parametrize("library, serializer", [
    ("wampproto", "json"), ("wampproto", "msgpack"), ("wampproto", "cbor"),
    ("swampyer", "json"), ("swampyer", "msgpack"), ("swampyer", "cbor"),
    ("wampy", "json"),
])
def test_a_library_of_python_enters_calls_is_called_and_gets_events(served, door, library, serializer):
    """Each is told the same, be it of the router or of another session."""
    program = Path(__file__).with_name("otherclients.py")
    done = subprocess.run(
        [sys.executable, program, library, door.websocket, served.worker_secret, serializer], capture_output=True,
        text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(PYTHON)},
    )
    assert done.returncode == 0, done.stderr
    # What a library says of itself comes before.
    assert json.loads(done.stdout.splitlines()[-1]) == EXPECTED


IN_BROWSER = """
const [url, ticket, secret, args, kwargs, done] = arguments;
const open = (authid, method, answer) => new Promise((opened, failed) => {
  const connection = new autobahn.Connection({
    url, realm: "farseed", authmethods: [method], authid, max_retries: 0,
    onchallenge: (session, asked, extra) => answer(extra)});
  connection.onopen = session => opened([connection, session]);
  connection.onclose = (why, details) => { failed(why + " " + JSON.stringify(details)); return true; };
  connection.open();
});
(async () => {
  const [owners, owner] = await open("owner", "ticket", () => ticket);
  const [workers, worker] = await open("alpha", "wampcra", extra => autobahn.auth_cra.sign(secret, extra.challenge));
  const event = new Promise(resolve => owner.subscribe("farseed.worker.news", (...told) => resolve(told.slice(0, 2)))
    .then(() => worker.publish("farseed.worker.news", args, kwargs, {acknowledge: true})));
  await worker.register("farseed.worker.add2", ([left, right]) => left + right);
  await worker.register("farseed.worker.count", (_, __, details) => { details.progress([1]); details.progress([2]); return 3; });
  const parts = [];
  const found = {
    boxes: (await owner.call("farseed.boxes")).kwargs,
    sum: await owner.call("farseed.worker.add2", [2, 3]),
    error: await owner.call("farseed.worker.nothing").then(() => null, error => error.error),
    event: await event,
  };
  found.last = await owner.call("farseed.worker.count", [], {}, {receive_progress: true}).then(
    value => value, null, part => parts.push(part));
  found.parts = parts;
  for (const connection of [owners, workers])
    await new Promise(closed => {
      connection.onclose = why => { closed(found.closed = why); return true; };
      connection.close();
    });
  return found;
})().then(done, error => done({failed: error.stack || JSON.stringify(error)}));
"""


def test_autobahn_js_in_a_browser_enters_calls_is_called_and_gets_events(served, door, chromium):
    """An owner by ticket and a worker by WAMP-CRA on one page."""
    # A page of this origin on which nothing of ours runs.
    chromium.get(door.origin + "/healthz")
    chromium.set_script_timeout(DEADLINE)
    chromium.execute_script(AUTOBAHN_JS.read_text())
    found = chromium.execute_async_script(IN_BROWSER, door.websocket, door.ticket(Origin=door.origin),
                                          served.worker_secret, ARGUMENTS, KEYWORDS)
    assert found == EXPECTED | {"last": 3, "parts": [1, 2], "closed": "closed"}
