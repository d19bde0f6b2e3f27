"""The bundle on its way to the server: one tar archive over SSH, once the machine is known.

It does not ride in user-data, of which clouds accept 16 KB: an own Dockerfile alone may be more.
"""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Iterable

from provisioner.models import Bundle
from provisioner.render.commands import BUNDLE, arrives
from provisioner.render.userdata import File, bundle_files

EXTRACT = "umask 022 && tar --extract --file - --directory / --touch --no-overwrite-dir"


def put_bundle(size: int) -> str:
    """From stdin, all `size` bytes at once; bootstrap.sh waits for it. One that is there stays."""
    archive = f"{BUNDLE}.tar"
    return (
        f"if [ -e {BUNDLE}/.env ]; then cat > /dev/null; else umask 022"
        f" && rm -rf {BUNDLE} {BUNDLE}.new && mkdir -p {BUNDLE}.new"
        f" && {arrives(archive, size)}"
        f" && tar --extract --file {archive} --directory {BUNDLE}.new --strip-components 3 --touch"
        f" && sync --file-system {BUNDLE}.new && mv {BUNDLE}.new {BUNDLE} && rm {archive}; fi"
    )


def bundle_archive(bundle: Bundle) -> bytes:
    return archive(bundle_files(bundle))


def archive(wanted: Iterable[File]) -> bytes:
    """A tar of regular files only, so that no folder of the machine gets another owner or mode."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in wanted:
            content = _content(file)
            member = tarfile.TarInfo(file.path.lstrip("/"))
            member.size, member.mode = len(content), int(file.mode, 8)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _content(file: File) -> bytes:
    return base64.b64decode(file.content) if file.encoding == "b64" else file.content.encode()
