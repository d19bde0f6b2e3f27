"""OpenSSH's own server on loopback, as whoever runs the tests, with a key of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
import pytest

from provisioner import keys
from provisioner.remote.ssh import Shell

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""


class Sshd:
    def __init__(self, folder: Path) -> None:
        self._own, host = keys.new_key_pair(), keys.new_key_pair()
        self._host = host.public
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._key = folder / "key"
        self._key.write_text(str(self._own.private))
        (folder / "host_key").write_text(str(host.private))
        (folder / "host_key").chmod(0o600)
        (folder / "authorized_keys").write_text(self._own.public + "\n")
        config = folder / "config"
        config.write_text(CONFIG.format(port=self.port, folder=folder))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if program is None:
            pytest.skip("needs OpenSSH's server: apt-get install openssh-server")
        self._process = subprocess.Popen(
            [program, "-D", "-e", "-f", config],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def connect(self) -> Shell:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        kind, blob = self._host.split()[:2]
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[127.0.0.1]:{self.port} {kind} {blob}")
        assert entry is not None
        assert entry.key is not None
        client.get_host_keys().add(f"[127.0.0.1]:{self.port}", kind, entry.key)
        client.connect(
            "127.0.0.1",
            self.port,
            username=getpass.getuser(),
            pkey=paramiko.Ed25519Key.from_private_key_file(str(self._key)),
            look_for_keys=False,
            allow_agent=False,
        )
        return Shell(client, self._host, as_root="")

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd does not listen")

    def stop(self) -> None:
        """With the connections that it has."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    folder.mkdir()
    made = Sshd(folder)
    try:
        made.wait()
        yield made
    finally:
        made.stop()
