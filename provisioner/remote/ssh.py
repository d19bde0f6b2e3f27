"""SSH with pinned host keys. No key is ever accepted because it was offered."""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import BinaryIO

import paramiko

from provisioner.errors import NotReady, NotYet
from provisioner.models import Download, Result
from provisioner.protocols import Links
from provisioner.remote.fetching import fetch_tree
from provisioner.remote.sending import send_tree
from provisioner.remote.sftp import open_sftp, put
from provisioner.remote.words import words_of
from provisioner.render.known_hosts import host_name

USER = "provision"
_CHUNK = 64 * 1024

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False  # its errors reach the user as ours


class Shell:
    """One open connection, commands as root. See protocols.Remote.

    `as_root` is the word that makes a command root's: "sudo", or "" where root has logged in.
    """

    def __init__(self, client: paramiko.SSHClient, pinned: str, *, as_root: str = "sudo") -> None:
        self._client = client
        self._pinned = pinned
        self._as_root = as_root
        self._sftp: paramiko.SFTPClient | None = None

    @classmethod
    def connect(
        cls, host: str, port: int, *, key: Path, pins: Sequence[str], timeout: float = 20
    ) -> Shell:
        """Connect to a server that proves to own one of `pins`, tried in order.

        Raises NotYet when nobody answers properly yet, NotReady when another key answers.
        """
        private = paramiko.Ed25519Key.from_private_key_file(str(key))
        for pin in pins:
            kind, blob = pin.split()[:2]
            client = paramiko.SSHClient()
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            entry = paramiko.hostkeys.HostKeyEntry.from_line(
                f"{host_name(host, port)} {kind} {blob}"
            )
            if entry is None or entry.key is None:
                raise NotReady(f"The pinned host key is not one: {pin}")
            client.get_host_keys().add(host_name(host, port), kind, entry.key)
            try:
                client.connect(
                    host,
                    port,
                    username=USER,
                    pkey=private,
                    look_for_keys=False,
                    allow_agent=False,
                    timeout=timeout,
                    banner_timeout=timeout,
                    auth_timeout=timeout,
                )
            except paramiko.BadHostKeyException:
                client.close()
                continue
            except (OSError, EOFError, paramiko.SSHException) as error:
                client.close()
                raise NotYet(f"SSH does not answer: {words_of(error)}") from None
            transport = client.get_transport()
            if transport is not None:
                transport.set_keepalive(15)
            return cls(client, pin)
        raise NotReady(
            f"Another machine answers SSH at {host}:{port}: its host key is not the pinned one",
            hint="if the network is yours, tear the workshop down and launch it again",
        )

    def host_key(self) -> str:
        return self._pinned

    def run(self, command: str, *, timeout: float = 60, stdin: bytes = b"") -> Result:
        with self._channel(command, timeout) as channel:
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            out, err = _drain(channel)
            return Result(_exit_code(channel), _text(out), _text(err))

    def receive(
        self, command: str, sink: BinaryIO, *, timeout: float = 60, stdin: bytes = b""
    ) -> Result:
        with self._channel(command, timeout) as channel:
            if stdin:
                channel.sendall(stdin)
            channel.shutdown_write()
            _, err = _drain(channel, sink)
            return Result(_exit_code(channel), "", _text(err))

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        send_tree(self, source, target, progress)

    def fetch_tree(
        self,
        wanted: Sequence[Download],
        target: str,
        links: Links,
        progress: Callable[[int, int], None],
    ) -> None:
        fetch_tree(self, wanted, target, links, progress)

    def put(
        self, source: BinaryIO, target: str, *, at: int, size: int, progress: Callable[[int], None]
    ) -> None:
        """See tree.Line."""
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise NotYet("the SSH connection was lost: the connection is closed")
        if self._sftp is None:
            self._sftp = open_sftp(transport, self._as_root)
        put(self._sftp, source, target, at=at, size=size, progress=progress)

    def close(self) -> None:
        self._client.close()

    @contextmanager
    def _channel(self, command: str, timeout: float) -> Iterator[paramiko.Channel]:
        transport = self._client.get_transport()
        try:
            if transport is None or not transport.is_active():
                raise EOFError("the connection is closed")
            channel = transport.open_session(timeout=timeout)
            channel.settimeout(timeout)
            channel.exec_command(f"{self._as_root} sh -c {shlex.quote(command)}".lstrip())
            with channel:
                yield channel
        except TimeoutError:
            brief = shorten(command, 120, placeholder=" …")
            raise NotYet(f"the server was silent for {timeout:.0f} s during: {brief}") from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise NotYet(f"the SSH connection was lost: {words_of(error)}") from None


def _exit_code(channel: paramiko.Channel) -> int:
    """-1 when a signal ended the command. Raises EOFError when nobody knows how it ended: what it
    printed may be half of it."""
    code = channel.recv_exit_status()
    if code == -1:
        transport = channel.get_transport()
        transport.join(timeout=1)  # a connection that is lost closes its channels first
        if not transport.is_active():
            raise EOFError("the connection ended before the command did")
    return code


def _drain(channel: paramiko.Channel, sink: BinaryIO | None = None) -> tuple[bytes, bytes]:
    """Read both streams to their ends; two readers, because either may fill its window."""
    err = bytearray()
    errors = channel.makefile_stderr("rb")
    reader = threading.Thread(target=lambda: err.extend(_read_quietly(errors)), daemon=True)
    reader.start()
    out = bytearray()
    while chunk := channel.recv(_CHUNK):
        if sink is None:
            out.extend(chunk)
        else:
            _keep(sink, chunk)
    reader.join(timeout=10)
    return bytes(out), bytes(err)


def _keep(sink: BinaryIO, chunk: bytes) -> None:
    try:
        sink.write(chunk)
    except OSError as error:  # of this computer's disk, not of the connection
        raise NotReady(f"What the server sends can't be written here: {error.strerror}") from None


def _read_quietly(file: paramiko.ChannelFile) -> bytes:
    try:
        return bytes(file.read())
    except OSError:
        return b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
