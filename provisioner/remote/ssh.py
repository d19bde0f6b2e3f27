"""SSH with pinned host keys. No key is ever accepted because it was offered."""

from __future__ import annotations

import logging
import shlex
import stat
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import paramiko

from provisioner.errors import NotReady, NotYet
from provisioner.models import Result
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
            return Result(channel.recv_exit_status(), _text(out), _text(err))

    def receive(self, command: str, sink: BinaryIO, *, timeout: float = 60) -> Result:
        with self._channel(command, timeout) as channel:
            channel.shutdown_write()
            _, err = _drain(channel, sink)
            return Result(channel.recv_exit_status(), "", _text(err))

    def send_tree(self, source: Path, target: str, progress: Callable[[int, int], None]) -> None:
        total = sum(item.stat().st_size for item in source.rglob("*") if item.is_file())
        staging = shlex.quote(f"{target}.new")
        goal = shlex.quote(target)
        # The folder itself stays: containers that have it mounted must see what is new in it.
        command = (
            f"rm -rf {staging} && mkdir -p {staging} {goal} && tar -xf - -C {staging}"
            f" && chmod -R a+rX {staging} && chmod a+rX {goal}"
            f" && find {goal} -mindepth 1 -maxdepth 1 -exec rm -rf {{}} +"
            f" && find {staging} -mindepth 1 -maxdepth 1 -exec mv -t {goal} {{}} +"
            f" && rmdir {staging}"
        )
        with self._channel(command, 300) as channel:
            writer = _Counting(channel, lambda sent: progress(min(sent, total), total))
            with tarfile.open(fileobj=cast("BinaryIO", writer), mode="w|", dereference=True) as tar:
                _add(tar, source)
            channel.shutdown_write()
            _, err = _drain(channel)
            if channel.recv_exit_status() != 0:
                raise NotReady(
                    f"{source} could not be copied to the server", details=(_text(err).strip(),)
                )

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
            raise NotYet(f"the server was silent for {timeout:.0f} s during: {command}") from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise NotYet(f"the SSH connection was lost: {words_of(error)}") from None


class _Counting:
    """A file object that writes to the channel and tells how much went."""

    def __init__(self, channel: paramiko.Channel, tell: Callable[[int], None]) -> None:
        self._channel, self._tell, self._sent = channel, tell, 0

    def write(self, data: bytes) -> int:
        self._channel.sendall(data)
        self._sent += len(data)
        self._tell(self._sent)
        return len(data)


def _add(tar: tarfile.TarFile, source: Path) -> None:
    try:
        tar.add(source, arcname=".", filter=_without_owner)
    except OSError as error:
        if error.filename is None:
            raise  # of the connection
        raise NotReady(f"{error.filename} can't be read: {error.strerror}") from None


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode &= ~(stat.S_ISUID | stat.S_ISGID)
    return member


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


def words_of(error: BaseException) -> str:
    words = str(error).strip() or type(error).__name__
    # paramiko's words for a port that takes the connection and then says nothing: QEMU's forward
    # listens before the machine behind it does.
    return "nothing speaks SSH there yet" if words == "No existing session" else words
