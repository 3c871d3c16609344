"""Other users of the home machine, who reach the daemon through its control socket: what each of them may do."""

import json
import pathlib
import shutil
import tempfile

import pytest

from conftest import CODES, FARSEED, link_state, make_home, wait_for

#: Accounts that every Debian has, with what the test makes of them. The last is not in the socket's group.
VIEWER, OPERATOR, OWNER, STRANGER = "games", "news", "uucp", "lp"


class Users:
    """Runs commands as other users of a machine whose groups are those of a file."""

    def __init__(self, directory):
        directory.chmod(0o755)
        self.groups = directory / "group"
        self.groups.write_text(
            pathlib.Path("/etc/group").read_text()
            + f"farseed-socket:x:64001:{VIEWER},{OPERATOR},{OWNER}\nfarseed-drivers:x:64002:{OPERATOR}\n"
        )
        # The program may lie where they cannot go.
        self.program = directory / "farseed"
        shutil.copy(FARSEED, self.program)
        self.machine = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"', self.groups]

    def by(self, user):
        return [*self.machine, "setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "sh", "-c",
                'shift; exec "$0" "$@"', self.program]


@pytest.fixture
def users():
    with tempfile.TemporaryDirectory(prefix="farseed-users-") as directory:
        yield Users(pathlib.Path(directory))


@pytest.fixture
def shared(lab, users):
    """A home side whose daemon listens where the group's members may enter, its link live."""
    control = {
        "socket": str(users.groups.with_name("control.sock")), "group": "farseed-socket",
        "operator": ["@farseed-drivers"], "owner": OWNER,
    }
    with make_home(lab, users.groups.parent, control=control) as home:
        home.start(through=users.machine)
        wait_for("the link to be live", lambda: link_state(home, through=users.machine) == "live")
        yield home


def test_who_may_open_the_socket_does_what_the_role_allows(shared, users, lab):
    metainfo, hash = lab.make_torrent("of-another-user.iso", size=100_000)
    file = users.groups.with_name("of-another-user.torrent")
    file.write_bytes(metainfo)

    def run(user, *arguments):
        return shared.run(*arguments, through=users.by(user))

    for user in (VIEWER, OPERATOR, OWNER):
        listed = run(user, "list", "--json")
        assert listed.returncode == 0 and json.loads(listed.stdout)["torrents"], (user, listed)
        assert run(user, "jobs").returncode == 0, user
        assert run(user, "stats").returncode == 0, user
    try:
        refused = run(VIEWER, "add", str(file), "--paused")
        assert refused.returncode == CODES["not-permitted"] and "viewer" in refused.stderr, refused
        assert hash not in lab.box.torrents()

        added = run(OPERATOR, "add", str(file), "--paused")
        assert added.returncode == 0 and hash in lab.box.torrents(), added
        assert run(VIEWER, "undo").returncode == CODES["not-permitted"]
        assert json.loads(run(VIEWER, "jobs", "--json").stdout)["jobs"][0]["who"] == OPERATOR
        audit = json.loads(shared.run("user", "audit", "--who", OPERATOR, "--json", through=users.machine).stdout)["entries"]
        assert audit[0]["action"] == "torrent.add" and audit[0]["origin"] == "control socket", audit

        for user in (VIEWER, OPERATOR):
            refused = run(user, "exec", "--", "transmission-remote", "-l")
            assert refused.returncode == CODES["not-permitted"] and "owner" in refused.stderr, refused
        assert run(OWNER, "exec", "-n", "--", "transmission-remote", "-l").returncode == 0
        told = json.loads(shared.run("user", "audit", "--json", through=users.machine).stdout)["entries"]
        execs = {(entry["who"], entry["target"], entry["outcome"]) for entry in told if entry["action"] == "exec"}
        assert execs == {(VIEWER, "", "not-permitted"), (OPERATOR, "", "not-permitted"),
                         (OWNER, "vps, transmission-remote, 1 arguments", "ok")}, told
        assert {(entry["who"], entry["outcome"]) for entry in told if entry["action"] == "submit"} \
            == {(VIEWER, "not-permitted")}, told
        assert run(OWNER, "remove", hash).returncode == 0
        assert hash not in lab.box.torrents()
    finally:
        if hash in lab.box.torrents():
            lab.box.rpc("torrent-remove", {"ids": [hash]})

    outside = run(STRANGER, "list")
    assert outside.returncode == CODES["not-permitted"] and "group" in outside.stderr, outside
