"""Pinned SSH against a real SSH server, in a thread on loopback."""

from __future__ import annotations

import contextlib
import io
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from provisioner import keys
from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
from provisioner.remote.ssh import Shell
from provisioner.render.known_hosts import known_hosts_lines, pinned_keys


class Door(paramiko.ServerInterface):
    """Lets one key in and runs what it is told, without sudo: it is not root's machine."""

    def __init__(self, public: str) -> None:
        self._public = public

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        right = f"{key.get_name()} {key.get_base64()}" == self._public and username == "provision"
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        stdin = b"".join(iter(lambda: channel.recv(65536), b""))
        done = subprocess.run(
            ["sh", "-c", command.removeprefix("sudo ")],
            input=stdin,
            capture_output=True,
            check=False,
        )
        with contextlib.suppress(OSError):  # nobody is there any more
            channel.sendall(done.stdout)
            channel.sendall_stderr(done.stderr)
            channel.send_exit_status(done.returncode)
            channel.close()


@dataclass
class Server:
    port: int
    host_key: str
    key: Path
    connections: list[socket.socket]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    own, host = keys.new_key_pair(), keys.new_key_pair()
    key = tmp_path / "key"
    key.write_text(str(own.private))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    stop = threading.Event()
    transports: list[paramiko.Transport] = []
    connections: list[socket.socket] = []

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            transport = paramiko.Transport(connection)
            transport.add_server_key(paramiko.Ed25519Key(file_obj=io.StringIO(str(host.private))))
            transports.append(transport)
            try:
                transport.start_server(server=Door(own.public))
            except (paramiko.SSHException, EOFError, OSError):
                continue  # the other side left, as it does when the key is not the pinned one

    thread = threading.Thread(target=serve)
    thread.start()
    yield Server(listener.getsockname()[1], host.public, key, connections)
    stop.set()
    thread.join()
    for transport in transports:
        transport.close()
    listener.close()


def connect(server: Server, *pins: str) -> Shell:
    return Shell.connect("127.0.0.1", server.port, key=server.key, pins=pins, timeout=10)


def test_commands_run_and_their_codes_and_streams_come_back(server: Server) -> None:
    shell = connect(server, server.host_key)
    done = shell.run("echo out; echo err >&2; cat; exit 3", stdin=b"typed")
    assert (done.code, done.out, done.err, done.ok) == (3, "out\ntyped", "err\n", False)
    assert shell.host_key() == server.host_key
    shell.close()


def test_a_large_answer_goes_to_the_sink(server: Server) -> None:
    shell, sink = connect(server, server.host_key), io.BytesIO()
    assert shell.receive("head -c 3000000 /dev/zero", sink).ok
    assert len(sink.getvalue()) == 3_000_000
    shell.close()


def test_another_host_key_is_refused(server: Server) -> None:
    with pytest.raises(NotReady, match="its host key is not the pinned one"):
        connect(server, keys.new_key_pair().public)


def test_any_pinned_key_will_do_while_one_replaces_the_other(server: Server) -> None:
    shell = connect(server, keys.new_key_pair().public, server.host_key)
    assert shell.run("true").ok
    assert shell.host_key() == server.host_key
    shell.close()


def test_another_user_key_gets_nowhere(server: Server, tmp_path: Path) -> None:
    server.key.write_text(str(keys.new_key_pair().private))
    with pytest.raises(NotYet, match="Authentication failed"):
        connect(server, server.host_key)


def test_nobody_there_is_not_yet(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(NotYet, match="SSH does not answer"):
        Shell.connect("127.0.0.1", port, key=server.key, pins=[server.host_key], timeout=5)


def test_silence_is_not_waited_for_forever(server: Server) -> None:
    shell = connect(server, server.host_key)
    with pytest.raises(NotYet, match="silent for 1 s"):
        shell.run("sleep 20", timeout=1)
    shell.close()


ASKS: dict[str, Callable[[Shell, str], Result]] = {
    "run": lambda shell, command: shell.run(command),
    "receive": lambda shell, command: shell.receive(command, io.BytesIO()),
}


@pytest.mark.parametrize("ask", ASKS)
def test_half_an_answer_is_none_when_the_connection_is_lost(server: Server, ask: str) -> None:
    """Whoever asks for a file and gets nothing must not believe that it is empty."""
    shell = connect(server, server.host_key)

    def cut() -> None:
        server.connections[-1].shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(0.5, cut)
    timer.start()
    with pytest.raises(NotYet, match="the SSH connection was lost"):
        ASKS[ask](shell, "sleep 2; cat /nowhere || true")
    timer.join()
    shell.close()


def test_known_hosts_is_openssh_s(tmp_path: Path) -> None:
    one, two = keys.new_key_pair().public, keys.new_key_pair().public
    text = known_hosts_lines("127.0.0.1", 2222, [one, two])
    assert pinned_keys(text) == [one, two]
    file = tmp_path / "known_hosts"
    file.write_text(text)
    found = subprocess.run(
        ["ssh-keygen", "-F", "[127.0.0.1]:2222", "-f", str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert one.split()[1] in found.stdout
