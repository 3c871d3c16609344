"""What each command prints with `--json` or `--yaml` is as Docs/output.schema.json says, and nothing that it does not name."""

import contextlib
import json
import re
import subprocess
import time
import urllib.request

import jsonschema
import pytest
import yaml

from conftest import AGENT, CODES, FARSEED, ROOT, get, wait_for

SCHEMA = json.loads((ROOT / "Docs/output.schema.json").read_text())
#: What each command is run with; `TORRENT` is one that moves, `SPARE` one of the test's own, in this order.
COMMANDS = [
    ("list", "list"), ("list", "list status:seeding"), ("status", "status"), ("boxes", "boxes"), ("session", "session"),
    ("stats", "stats"), ("free", "free"), ("free", "free DIRECTORY"), ("config check", "config check"), ("doctor", "doctor"),
    ("show", "show TORRENT"), ("files", "files TORRENT"), ("peers", "peers TORRENT"), ("trackers", "trackers TORRENT"),
    ("add", "add FILE --paused"), ("set", "set SPARE --label one"), ("start", "start SPARE --now"),
    ("stop", "stop SPARE --wait stopped"), ("start", "start SPARE --no-wait"), ("stop", "stop SPARE"), ("undo", "undo"),
    ("stop", "stop SPARE --only-if seeding", "conflict"), ("verify", "verify SPARE"), ("reannounce", "reannounce SPARE"),
    ("rename", "rename SPARE other.iso"), ("queue", "queue top SPARE"), ("move", "move SPARE --to DIRECTORY/elsewhere"),
    ("stop", "stop label:nobody"), ("add", "add FILE", "duplicate"), ("remove", "remove SPARE"),
    ("session set", "session set alt_speed_down=2M"), ("session blocklist-update", "session blocklist-update"),
    # Whom it asks cannot be reached from the laboratory.
    ("session port-test", "session port-test", "transmission-refused"), ("jobs", "jobs"), ("jobs", "jobs --open"),
    ("jobs show", "jobs show 1"),
    ("user list", "user list"), ("user audit", "user audit"), ("show", "show ffffffff", "not-found"),
    ("jobs show", "jobs show 4711", "not-found"), ("free", "free /no/such/directory", "not-found"),
    ("deploy-agent", "deploy-agent --dry-run --agent AGENT --key ADMIN"),
]


def strict(schema):
    """A schema of which nothing may differ: what the document leaves open to later releases is a fault in this one."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: {name: strict(part) for name, part in value.items()} if key in ("properties", "$defs") else strict(value)
              for key, value in schema.items()}
    if isinstance(closed.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def check(name, value):
    """`value` is what the schema says of a command, or of `error`."""
    of = SCHEMA["$defs"][name] if name == "error" else SCHEMA["properties"][name]
    whole = strict(of | {"$defs": SCHEMA["$defs"]})
    jsonschema.Draft202012Validator.check_schema(whole)
    faults = sorted(jsonschema.Draft202012Validator(whole).iter_errors(value), key=lambda fault: list(fault.path))
    assert not faults, (name, [(list(fault.absolute_path), fault.message[:500]) for fault in faults])


@pytest.fixture
def spare(lab, tmp_path):
    metainfo, hash = lab.make_torrent(f"output-{tmp_path.name}.iso", size=200_000)
    file = tmp_path / "spare.torrent"
    file.write_bytes(metainfo)
    yield file, hash
    with contextlib.suppress(KeyError):
        lab.box.torrents()[hash] and lab.box.rpc("torrent-remove", {"ids": [hash]})


@pytest.fixture
def blocklist(lab, tmp_path):
    """A list of one range that the seedbox can fetch."""
    (tmp_path / "list").write_text("a range:1.2.3.0-1.2.3.255\n")
    before = lab.box.rpc("session-get")
    lab.spawn("blocklist", ["python3", "-m", "http.server", "--bind", "127.0.0.1", "6880", "--directory", tmp_path])
    try:
        lab.box.rpc("session-set", {"blocklist-url": "http://127.0.0.1:6880/list", "blocklist-enabled": True})
        yield
    finally:
        lab.box.rpc("session-set", {name: before[name] for name in ("blocklist-url", "blocklist-enabled")})
        lab.end("blocklist")


@pytest.mark.parametrize("notation", ["--json", "--yaml"])
def test_each_command_prints_what_the_schema_says(served, lab, spare, blocklist, notation):
    file, hash = spare
    torrent = max(lab.box.torrents("peers").items(), key=lambda item: len(item[1]["peers"]))[0]
    places = {"TORRENT": torrent, "SPARE": hash, "FILE": file, "DIRECTORY": lab.box_downloads, "AGENT": AGENT,
              "ADMIN": lab.admin_key_path}
    before = lab.box.rpc("session-get")["alt-speed-down"]
    try:
        for name, line, *code in COMMANDS:
            words = [str(re.sub(r"[A-Z]{4,}", lambda match: str(places[match[0]]), word)) for word in line.split()]
            done = served.run(*words, notation, timeout=90)
            assert done.returncode == (CODES[code[0]] if code else 0), (line, done)
            if notation == "--json":
                assert done.stdout.count("\n") == 1, (line, "is one line of JSON")
                told = json.loads(done.stdout)
            else:
                told = yaml.safe_load(done.stdout)
                assert "\n" in done.stdout.strip() or len(told) == 1, (line, "is YAML")
            # What is there already is told as what was added, with its hash.
            failed = code and code[0] != "duplicate"
            check("error" if failed else name, told)
            if name == "session blocklist-update":
                assert told["result"] == {"size": 1}, told
            if failed:
                assert told["error"]["code"] == code[0], (line, told)
    finally:
        lab.box.rpc("session-set", {"alt-speed-down": before})
    assert {name for name, *_ in COMMANDS} | {"watch"} == SCHEMA["properties"].keys(), "each has a schema and a test"


#: Commands whose output is records, where these are, and a format with fields of theirs.
FORMATS = [
    ("list", "torrents", "{hash} {added} {size} {status}"), ("show TORRENT", None, "{hash}"),
    ("files TORRENT", "files", "{size} {wanted}"), ("trackers TORRENT", "trackers", "{tier} {announce}"),
    ("status", "boxes", "{name} {link.state}"), ("jobs", "jobs", "{id} {verb} {state}"), ("boxes", "boxes", "{name} {user}"),
    ("jobs show 1", None, "{id} {hashes}"), ("user list", "users", "{name} {role} {sessions}"),
    ("user audit", "entries", "{at} {action} {outcome}"), ("session", None, "{version} {download_dir}"),
    ("stats", None, "{torrent_count} {cumulative_stats.files_added}"), ("free DIRECTORY", None, "{path}"),
]


def test_a_format_tells_what_json_tells(served, lab, spare):
    file, hash = spare

    def text(value):
        if isinstance(value, (bool, list)):
            return ",".join(map(text, value)) if isinstance(value, list) else str(value).lower()
        return str(value)

    def field(record, path):
        for name in path.split("."):
            record = record[name]
        return text(record)

    added = served.run("add", str(file), "--paused", "--format", r"{hash}\t{state}\t{job}\t{duplicate}")
    assert added.stdout == f"{hash}\tdone\t1\tfalse\n", added
    for line, key, format in FORMATS:
        words = line.replace("TORRENT", hash).replace("DIRECTORY", str(lab.box_downloads)).split()
        last = []

        def agree():
            """What is told twice may have changed in between, but not each time."""
            told = json.loads(served.run(*words, "--json").stdout)
            records = told[key] if key else [told]
            expected = [re.sub(r"\{([\w.]+)\}", lambda match: field(record, match[1]), format) for record in records]
            last[:] = [expected, served.run(*words, "--format", format)]
            return expected and (last[1].returncode, last[1].stdout.splitlines()) == (0, expected)

        wait_for(lambda: f"{line} to tell {last}", agree)
    hops = served.run("doctor", "--format", "{hop} {state}", timeout=90)
    assert hops.returncode == 0 and hops.stdout.splitlines()[0] == "configuration up", hops


def test_the_status_tells_of_the_disks(served, lab):
    def box():
        return json.loads(served.run("status", "--json").stdout)["boxes"][0]

    assert wait_for("the host's figures", lambda: box().get("disk_guard")) in ("ok", "low")
    assert [disk["directory"] for disk in box()["disks"]] == [str(lab.box_downloads)]


def test_yaml_says_what_json_says(served, lab, tmp_path):
    for line in ("boxes", "session", "config check", "jobs", "user list", "stop label:nobody", "show ffffffff", "deploy-agent "
                 f"--dry-run --agent {AGENT} --key {lab.admin_key_path}"):
        told, also = (served.run(*line.split(), notation, timeout=90).stdout for notation in ("--json", "--yaml"))
        assert not also.startswith("{") and yaml.safe_load(also) == json.loads(told), line
    # One document a source.
    files = []
    for number in range(2):
        files.append(tmp_path / f"{number}.torrent")
        files[-1].write_bytes(lab.make_torrent(f"yaml-{number}-{tmp_path.name}.iso", size=200_000, seeded=False)[0])
    added = list(yaml.safe_load_all(served.run("add", *map(str, files), "--paused", "--yaml").stdout))
    try:
        assert len(added) == 2 and all(each["state"] == "done" for each in added), added
    finally:
        lab.box.rpc("torrent-remove", {"ids": [hash for each in added for hash in each["hashes"]]})


def test_each_line_of_watch_is_what_the_schema_says(served, lab, spare):
    file, hash = spare
    kinds = set()
    with subprocess.Popen([FARSEED, "watch"], env=served.environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert served.run("add", str(file), "--paused").returncode == 0
            assert served.run("remove", hash, "--no-wait").returncode == 0
            for line in watching.stdout:
                told = json.loads(line)
                check("watch", told)
                kinds |= {told["kind"], *told.keys() & {"full", "set", "del"}}
                if {"torrents", "link", "daemon", "session", "host", "full", "set", "del"} <= kinds:
                    break
        finally:
            watching.kill()


def test_without_a_daemon_as_with_one(home, lab):
    for name in ("list", "session", "stats", "boxes", "doctor", "config check"):
        done = home.run(*name.split(), "--json", timeout=90)
        assert done.returncode == 0, done
        check(name, json.loads(done.stdout))
    absent = home.run("status", "--json")
    assert absent.returncode == CODES["controller-absent"]
    told = json.loads(absent.stdout)
    check("error" if "error" in told else "status", told)


def test_faults_of_a_configuration(home):
    home.config.write_text(home.config.read_text() + '\n[web.colours]\nred = 1\n')
    told = json.loads(home.run("config", "check", "--json").stdout)
    assert told["faults"]
    check("config check", told)


def test_a_job_that_failed_or_waits(served, lab, spare):
    """Fields that only such jobs have."""
    file, hash = spare
    assert served.run("add", str(file), "--paused").returncode == 0
    wait_for("it to be known", lambda: hash in served.torrents())
    assert served.run("stop", hash, "--only-if", "seeding").returncode == CODES["conflict"]
    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: served.run("status").returncode >= 30)
        check("status", json.loads(served.run("status", "--json").stdout))
        assert served.run("start", hash, "--no-wait").returncode == 0
        waiting = wait_for("it to wait", lambda: [job for job in json.loads(served.run("jobs", "--json").stdout)["jobs"]
                                                  if job["state"] == "waiting"])
        assert served.run("jobs", "cancel", str(waiting[0]["id"])).returncode == 0
    finally:
        lab.start_sshd()
    jobs = json.loads(served.run("jobs", "--json").stdout)
    check("jobs", jobs)
    assert {"failed", "cancelled", "done"} <= {job["state"] for job in jobs["jobs"]}, jobs
    for job in jobs["jobs"]:
        check("jobs show", json.loads(served.run("jobs", "show", str(job["id"]), "--json").stdout))


def test_the_schema_has_every_command_that_prints_json(home):
    def subcommands(*words):
        told = home.run(*words, "--help").stdout
        part = told.split("SUBCOMMANDS:", 1)[1] if "SUBCOMMANDS:" in told else ""
        names = re.findall(r"^  ([a-z][a-z-]*)(?: \(default\))?(?: {2,}\S|$)", part, re.M)
        if "--json" in told:
            yield " ".join(words)
        for name in names:
            if name != "help":
                yield from subcommands(*words, name)

    # The default of a group is told under the group's name.
    defaults = {"session show": "session", "jobs list": "jobs"}
    commands = {defaults.get(name, name) for name in subcommands()}
    assert commands == SCHEMA["properties"].keys()


def figures(home, cookie):
    """What Prometheus reads, by name and labels."""
    text = get(home.url.split("#")[0] + "metrics", Cookie=cookie)[1].decode()
    sample = re.compile(r'^(farseed_\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?[0-9.e+-]+)$')
    of, helped = {}, set()
    for line in text.splitlines():
        if line.startswith("#"):
            helped.add(line.split()[2])
        else:
            name, labels, value = sample.fullmatch(line).groups()
            of[name, *sorted(re.findall(r'\w+="((?:[^"\\]|\\.)*)"', labels or ""))] = float(value)
    assert {key[0] for key in of} <= helped
    documented = set(re.findall(r"farseed_\w+", (ROOT / "Docs/Subscriptions.md").read_text()))
    assert {key[0] for key in of} <= documented <= helped, "the document names each of them, and no other"
    return of


def test_figures_for_prometheus_agree_with_the_seedbox(served, lab, spare):
    file, hash = spare
    cookie = log_in(served)
    first = figures(served, cookie)
    assert first["farseed_info", "farseed 0.1.0"] == 1 and time.time() - first["farseed_start_time_seconds",] < 600
    assert first["farseed_link_live", "vps"] == 1
    hops = [value for key, value in first.items() if key[0] == "farseed_link_hop_up"]
    assert hops == [1] * 5, first
    assert 0 < first["farseed_link_round_trip_seconds", "vps"] < 30
    assert time.time() - first["farseed_data_timestamp_seconds", "vps"] < 60
    assert any(key[0] == "farseed_disk_free_bytes" and value > 0 for key, value in first.items())
    assert first["farseed_torrents", "vps"] == len(lab.box.torrents())
    assert sum(value for key, value in first.items() if key[0] == "farseed_torrents_by_status") \
        == first["farseed_torrents", "vps"]
    assert first["farseed_jobs", "done"] == first["farseed_jobs", "waiting"] == 0

    assert served.run("add", str(file), "--paused").returncode == 0
    second = figures(served, cookie)
    assert second["farseed_jobs", "done"] == 1
    assert second["farseed_torrents", "vps"] == first["farseed_torrents", "vps"] + 1
    lab.stop_sshd()
    try:
        wait_for("the link to be down", lambda: figures(served, cookie)["farseed_link_live", "vps"] == 0)
        assert served.run("stop", hash, "--no-wait").returncode == 0
        wait_for("a job to wait", lambda: figures(served, cookie)["farseed_jobs", "waiting"] == 1)
    finally:
        lab.start_sshd()
    wait_for("it to be done", lambda: figures(served, cookie)["farseed_jobs", "done"] == 2, 90)


def log_in(home):
    """The cookie of a login by the one-time link."""
    page, token = home.url.split("/#login=")
    request = urllib.request.Request(f"{page}/api/login", json.dumps({"token": token}).encode(), {"X-Farseed": "1"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Set-Cookie"].split(";")[0]
