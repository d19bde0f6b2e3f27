"""Files over the connection that is open, written as root wherever root may write."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import BinaryIO

import paramiko

from provisioner.errors import NotReady, NotYet
from provisioner.remote.words import words_of

SERVERS = ("/usr/lib/openssh", "/usr/lib/ssh", "/usr/libexec/openssh", "/usr/libexec")
"""Where systems keep sftp-server, which sudo makes root's."""

SILENCE = 120
CHUNK = 1024**2
LAST = 32 * 1024
"""paramiko tells of a failed write at the next one that it waits for; so it waits for the last."""

_ZEROS = bytes(CHUNK)


def open_sftp(transport: paramiko.Transport, as_root: str) -> paramiko.SFTPClient:
    """A session of its own beside the commands'. Raises NotYet, NotReady."""
    look = "".join(
        f"[ ! -x {folder}/sftp-server ] || exec {folder}/sftp-server\n" for folder in SERVERS
    )
    try:
        channel = transport.open_session(timeout=SILENCE)
        channel.settimeout(SILENCE)
        channel.exec_command(f"{as_root} sh -c {shlex.quote(look)}".lstrip())
        return paramiko.SFTPClient(channel)
    except (OSError, EOFError, paramiko.SSHException) as error:
        if transport.is_active() and not isinstance(error, TimeoutError):
            raise NotReady(
                "The server does not take files over SFTP",
                hint="there: sudo apt-get install openssh-sftp-server",
            ) from None
        raise NotYet(f"the SSH connection was lost: {words_of(error)}") from None


def put(
    sftp: paramiko.SFTPClient,
    source: BinaryIO,
    target: str,
    *,
    at: int,
    size: int,
    progress: Callable[[int], None],
) -> None:
    """See tree.Line. Zeros by the megabyte are not sent: they are holes in the file there.

    Raises NotYet when the connection is lost, NotReady when the server can't write.
    """
    try:
        with sftp.open(target, "r+b" if at else "wb") as file:
            source.seek(at)
            while at < size:
                left = size - at
                file.set_pipelined(left > LAST)
                chunk = _read(source, min(CHUNK, left - LAST if left > LAST else left))
                if chunk != _ZEROS:
                    file.seek(at)
                    file.write(chunk)
                at += len(chunk)
                progress(at)
        arrived = sftp.stat(target).st_size
    except (EOFError, TimeoutError, paramiko.SSHException) as error:
        raise NotYet(f"the SSH connection was lost: {words_of(error)}") from None
    except OSError as error:
        channel = sftp.get_channel()
        if channel is None or channel.closed:
            raise NotYet(f"the SSH connection was lost: {words_of(error)}") from None
        raise NotReady(
            f"{target} could not be written on the server: {words_of(error)}",
            hint="its disk may be full: df -h",
        ) from None
    if arrived != size:
        raise NotReady(f"Of {size} bytes {arrived} are in {target} on the server")


def _read(source: BinaryIO, size: int) -> bytes:
    try:
        chunk = source.read(size)
    except OSError as error:
        raise NotReady(f"{getattr(source, 'name', 'a file')} can't be read: {error}") from None
    if not chunk:
        raise NotReady(f"{getattr(source, 'name', 'a file')} became shorter while it was copied")
    return chunk
