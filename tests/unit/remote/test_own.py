"""The operator's own SSH against a real server on loopback: config, known_hosts, keys, proxies."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner import keys
from provisioner.errors import NotYet, Refused
from provisioner.remote.own import connect_own, own_target
from provisioner.remote.ssh import Shell
from tests.unit.remote.test_ssh import Server, server

__all__ = ["server"]  # the fixture

Write = Callable[[str, str], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose .ssh is all that there is: no agent either."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path = tmp_path / "home"
    (path / ".ssh").mkdir(parents=True)
    return path


@pytest.fixture
def write(home: Path) -> Write:
    def into(name: str, text: str) -> Path:
        file = home / ".ssh" / name
        file.write_text(text)
        return file

    return into


@pytest.fixture
def known(server: Server, write: Write) -> None:
    write("known_hosts", f"[127.0.0.1]:{server.port} {server.host_key}\n")


@pytest.fixture
def own_key(server: Server, write: Write) -> None:
    write("id_ed25519", server.key.read_text())


def connect(server: Server, home: Path, address: str = "provision@127.0.0.1") -> Shell:
    return connect_own(address, server.port, home=home, timeout=10)


@pytest.mark.usefixtures("known", "own_key")
def test_the_usual_key_and_known_hosts_suffice(server: Server, home: Path) -> None:
    shell = connect(server, home)
    assert shell.run("echo yes").out == "yes\n"
    assert shell.host_key() == server.host_key
    shell.close()


@pytest.mark.usefixtures("own_key")
def test_an_unknown_host_key_is_refused_with_what_to_type(server: Server, home: Path) -> None:
    with pytest.raises(
        Refused, match=r"not in .*known_hosts; it shows ssh-ed25519 SHA256:"
    ) as error:
        connect(server, home)
    assert error.value.hint.startswith(f"ssh -p {server.port} provision@127.0.0.1")
    assert not (home / ".ssh" / "known_hosts").exists(), "nobody but the operator adds to it"


@pytest.mark.usefixtures("own_key")
def test_another_host_key_than_the_known_one_is_refused(
    server: Server, home: Path, write: Write
) -> None:
    write("known_hosts", f"[127.0.0.1]:{server.port} {keys.new_key_pair().public}\n")
    with pytest.raises(Refused, match="another host key") as error:
        connect(server, home)
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in error.value.hint


@pytest.mark.usefixtures("known")
def test_without_the_right_key_nobody_gets_in(server: Server, home: Path, write: Write) -> None:
    with pytest.raises(Refused, match="no key to log in with"):
        connect(server, home)
    write("id_ed25519", str(keys.new_key_pair().private))
    with pytest.raises(Refused, match="lets none of your keys in") as error:
        connect(server, home)
    assert "ssh-copy-id provision@127.0.0.1" in error.value.hint


@pytest.mark.usefixtures("own_key")
def test_nobody_there_is_not_yet(server: Server, home: Path) -> None:
    with pytest.raises(NotYet, match="does not answer SSH at port 1"):
        connect_own("provision@127.0.0.1", 1, home=home, timeout=5)


@pytest.mark.usefixtures("known")
def test_a_name_of_the_config_leads_there(server: Server, home: Path, write: Write) -> None:
    write(
        "config",
        f"Host classroom\n  HostName 127.0.0.1\n  Port {server.port}\n  User provision\n"
        f"  IdentityFile {server.key}\n  IdentitiesOnly yes\n",
    )
    shell = connect_own("classroom", home=home, timeout=10)
    assert shell.run("true").ok
    shell.close()


@pytest.mark.usefixtures("known", "own_key")
def test_a_proxy_command_is_the_way_there_and_ends_with_the_connection(
    server: Server, home: Path, write: Write, tmp_path: Path
) -> None:
    relay = tmp_path / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "open(sys.argv[3], 'w').write(str(os.getpid()))\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def back():\n"
        "    while data := s.recv(65536): os.write(1, data)\n"
        "threading.Thread(target=back, daemon=True).start()\n"
        "while data := os.read(0, 65536): s.sendall(data)\n"
    )
    pid = tmp_path / "pid"
    write("config", f"Host *\n  ProxyCommand {sys.executable} {relay} %h %p {pid}\n")
    shell = connect_own("provision@127.0.0.1", server.port, home=home, timeout=20)
    assert shell.run("true").ok
    assert Path(f"/proc/{pid.read_text()}").exists()
    shell.close()
    assert not Path(f"/proc/{pid.read_text()}").exists()


@pytest.mark.usefixtures("own_key")
def test_a_proxy_that_gives_up_is_quoted(home: Path, write: Write) -> None:
    write("config", "Host *\n  ProxyCommand sh -c 'echo no route to gate >&2; exit 1'\n")
    with pytest.raises(NotYet, match="no route to gate"):
        connect_own("provision@inner", home=home, timeout=2)


@pytest.mark.parametrize(
    ("jump", "command"),
    [
        ("gate", "ssh -o BatchMode=yes -W inner.example.org:2200 gate"),
        ("me@gate:2222", "ssh -o BatchMode=yes -p 2222 -W inner.example.org:2200 me@gate"),
        ("one,me@two", "ssh -o BatchMode=yes -J one -W inner.example.org:2200 me@two"),
        ("none", ""),
    ],
)
def test_jumps_are_openssh_s(home: Path, write: Write, jump: str, command: str) -> None:
    write("config", f"Host inner\n HostName inner.example.org\n Port 2200\n ProxyJump {jump}\n")
    assert own_target("inner", home=home).proxy == command


def test_what_is_typed_goes_before_the_config(home: Path, write: Write) -> None:
    write("config", "Host *\n  User other\n  Port 2200\n")
    assert own_target("server", home=home).user == "other"
    target = own_target("me@server", 2300, home=home)
    assert (target.user, target.port, target.command) == ("me", 2300, "ssh -p 2300 me@server")


def test_a_config_that_is_none_is_refused(home: Path, write: Write) -> None:
    write("config", "Host x\nwhat is this\n  =\n")
    with pytest.raises(Refused, match="cannot be used"):
        own_target("x", home=home)


@pytest.mark.usefixtures("known", "own_key")
def test_a_login_that_cannot_become_root_is_refused(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_somebody(self: Shell, command: str, **options: object) -> object:
        shim = "id() { echo 1000; }; sudo() { echo a password is required >&2; return 1; }; "
        return plain(self, shim + command, **options)  # type: ignore[arg-type]

    plain = Shell.run
    monkeypatch.setattr(Shell, "run", as_somebody)
    with pytest.raises(Refused, match="cannot become root without a password") as error:
        connect(server, home)
    assert "NOPASSWD" in error.value.hint
