"""Commands without a daemon: a session each, on a circuit that one command leaves to the next."""
import binascii
import json
import socket
from pathlib import Path


def circuits(lab):
    """Ids of the home tor's built circuits that carry commands, as its control port tells them."""
    cookie = binascii.hexlify(Path(lab.control_unix).with_name("control-cookie").read_bytes()).decode()
    with socket.socket(socket.AF_UNIX) as control:
        control.settimeout(10)
        control.connect(str(lab.control_unix))
        control.sendall(f"AUTHENTICATE {cookie}\r\nGETINFO circuit-status\r\nQUIT\r\n".encode())
        answer = b"".join(iter(lambda: control.recv(65_536), b"")).decode()
    assert "250 closing connection" in answer, answer
    rows = [line.split() for line in answer.splitlines() if 'SOCKS_PASSWORD="commands"' in line]
    return {row[0].removeprefix("250+circuit-status=") for row in rows if row[1] == "BUILT"}


def test_a_command_uses_the_circuit_of_the_command_before_it(lab, home):
    first = home.run("list", "--json")
    assert first.returncode == 0, first.stderr
    before = circuits(lab)
    assert before, "the first command left no circuit"
    second = home.run("list", "--json")
    assert second.returncode == 0, second.stderr
    assert {torrent["hash"] for torrent in json.loads(second.stdout)["torrents"]} == lab.box.torrents().keys()
    assert circuits(lab) == before
