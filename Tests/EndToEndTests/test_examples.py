"""torrc.example, Deploy/torrc and the README's configuration are read by the real programs as a person copies them."""

import os
import re
import subprocess

import pytest

from conftest import FARSEED, ROOT
from lab import curve25519

EXAMPLE = (ROOT / "torrc.example").read_text()
HOME, VPS, SSHD = re.split(r"^# -{20,} (?:HOME|VPS, part \d).*\n", EXAMPLE, flags=re.M)[1:]
#: What names commands of Farseed.
DOCUMENTS = ["README.md", "Deploy/README.md", *sorted(f"Docs/{path.name}" for path in (ROOT / "Docs").glob("*.md"))]
#: The commands that make a key pair for client authorization, as they stand in the home part.
KEY_PAIR = re.findall(r"^#     (openssl .*|shred .*?)$", HOME, re.M)


def verify(directory, torrc):
    """Lets tor read a configuration whose absolute paths lie below `directory`; it must have nothing against it."""
    for path in ("run/tor-farseed", "var/lib/tor-farseed/onion-auth", "var/lib/tor"):
        (directory / path).mkdir(parents=True, mode=0o700)
    for name in ("var/lib/tor-farseed", "run/tor-farseed"):
        (directory / name).chmod(0o700)
    file = directory / "torrc"
    file.write_text(re.sub(r"(?<![\w.])/(run|var/lib)/", rf"{directory}/\1/", torrc))
    # Not syslog, which a test machine may lack.
    text = file.read_text().replace("Log notice syslog", "Log notice stdout")
    if "DataDirectory" not in text:
        text += f"DataDirectory {directory}/var/lib/tor\n"
    file.write_text(text)
    (directory / "defaults").touch()
    done = subprocess.run(["tor", "--verify-config", "--defaults-torrc", directory / "defaults", "-f", file],
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    warnings = [line for line in said.splitlines() if "[warn]" in line and "running Tor as root" not in line]
    assert done.returncode == 0 and "Configuration was valid" in said and not warnings, said


def options(torrc):
    """The names of the options that a configuration sets."""
    return {line.split()[0] for line in torrc.splitlines() if line and not line.startswith("#")}


def uncommented(part):
    """A part of the example without the first "# " of each line, as it tells the reader to do."""
    return "".join(re.sub(r"^# ?", "", line) for line in part.splitlines(keepends=True))


def test_tor_reads_the_home_side(tmp_path):
    verify(tmp_path, HOME)
    assert {"SocksPort", "ControlPort", "ClientOnionAuthDir", "DataDirectory"} <= options(HOME)


def test_tor_reads_the_vps_side(tmp_path):
    torrc = uncommented(VPS)
    verify(tmp_path, torrc)
    assert {"SocksPort", "HiddenServiceDir", "HiddenServicePort"} <= options(torrc)


def test_tor_reads_the_pages_onion_service(tmp_path):
    verify(tmp_path, (ROOT / "Deploy/torrc").read_text())


def test_the_commands_print_a_pair_of_keys(tmp_path):
    """SECRET and PUBLIC in the form that tor takes, and nothing stays on the disk."""
    shell = "set -e\n" + "\n".join(re.sub(r"  +\(\w+\)$", "", command) for command in KEY_PAIR)
    done = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    secret, public = done.stdout.split()
    decoded = curve25519.decode(secret)
    assert len(decoded) == 32 and curve25519.base32(curve25519.multiply(decoded)) == public
    assert os.listdir(tmp_path) == []


def test_sshd_reads_its_lines(tmp_path):
    lines = re.findall(r"^#     ([A-Z]\w+ .+)$", SSHD, re.M)
    assert len(lines) == 5
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, timeout=10).stderr
    version = tuple(map(int, re.search(r"OpenSSH_(\d+)\.(\d+)", said).groups()))
    # The text says from which version on it is needed.
    lines = [line for line in lines if not line.startswith("PerSourcePenalt") or version >= (9, 8)]
    key, file = tmp_path / "host", tmp_path / "sshd_config"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True, timeout=30)
    file.write_text("\n".join([*lines, f"HostKey {key}", ""]))
    # sshd wants this directory even for a check; it belongs to the machine's own service.
    script = 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec /usr/sbin/sshd -t -f "$1"'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and not done.stderr, done.stderr


def blocks(document, language="sh"):
    """The code of a document."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.S)


def test_the_readmes_commands_make_the_key_that_farseed_takes(tmp_path):
    done = subprocess.run(["bash", "-ec", next(block for block in blocks("README.md") if "genpkey" in block)],
                          capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    directory = tmp_path / ".config/farseed"
    secret = directory / "client-auth"
    assert os.listdir(directory) == ["client-auth"] and secret.stat().st_mode & 0o777 == 0o600
    assert curve25519.base32(curve25519.multiply(curve25519.decode(secret.read_text()))) == done.stdout.strip()
    (tmp_path / "check").mkdir()
    check_configuration(tmp_path / "check", "README.md", secret.read_bytes())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_commands_and_options_that_there_are(document):
    """What stands after `farseed` in code, in blocks and within the text."""
    text = (ROOT / document).read_text()
    code = "\n".join([*blocks(document), *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))])
    code = code.replace("sudo -u farseed ", "")
    told = re.findall(r"(?:^|[ $/(])farseed ([a-z][a-z-]*)((?:[^|;&#\n]|\\\n)*)", code, re.M)
    for command, rest in told:
        rest = rest.partition(" -- ")[0]
        help = subprocess.run([FARSEED, "help", command], capture_output=True, text=True, timeout=30)
        # It answers for unknown ones too, with its own usage.
        assert f"USAGE: farseed {command} " in help.stdout, (command, rest)
        word = re.match(r" ([a-z]+)\b", rest)
        if word and re.search(rf"^  {word[1]}(?: \(default\))?  ", help.stdout, re.M):
            help = subprocess.run([FARSEED, "help", command, word[1]], capture_output=True, text=True, timeout=30)
        for option in re.findall(r"(?<=[ \[])(--?[a-z][a-z-]*)", rest):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", help.stdout), (command, option)
    for block in blocks(document):
        assert subprocess.run(["bash", "-n"], input=block, text=True, timeout=30).returncode == 0, block


@pytest.mark.parametrize("document", ["README.md", "Docs/Operations.md"])
def test_farseed_reads_the_documents_configuration(tmp_path, document):
    """The first whole one in each; what is left to the reader to fill in is filled in."""
    check_configuration(tmp_path, document, (curve25519.base32(curve25519.key_pair()[0]) + "\n").encode())


def check_configuration(directory, document, secret):
    """Lets `farseed config check` read a document's configuration with this key for the onion service."""
    text = next(block for block in blocks(document, "toml") if "[box.vps]" in block)
    told = re.search(r'address = "(\w+\.onion)"', (ROOT / "Docs/Operations.md").read_text())[1]
    text = re.sub(r'"…[^"]*\.onion"', f'"{told}"', text)
    for name in ("farseed_vps", "client-auth", "id_ed25519"):
        text = re.sub(rf'"(~/\.config/farseed/)?{name}"', f'"{directory / name}"', text)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True, timeout=30)
    for name in ("farseed_vps", "id_ed25519"):
        (directory / name).write_text((directory / "key").read_text())
        (directory / name).chmod(0o600)
    (directory / "client-auth").write_bytes(secret)
    (directory / "client-auth").chmod(0o600)
    text = text.replace('"ssh-ed25519 AAAA…"', f'"{" ".join((directory / "key.pub").read_text().split()[:2])}"')
    file = directory / "farseed.toml"
    file.write_text(text)
    done = subprocess.run([FARSEED, "config", "check"], capture_output=True, text=True, timeout=30,
                          env={"PATH": os.environ["PATH"], "HOME": str(directory), "FARSEED_CONFIG": str(file)})
    assert done.returncode == 0, done.stderr
