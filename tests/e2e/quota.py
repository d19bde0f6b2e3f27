"""The kernel's own quota, on a machine that has it: what one person fills up is theirs alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

Run = Callable[[str], str]
"""A command as root on the machine → what it printed; its exit code does not matter."""

FILL = """
cd {folder}
fallocate -l {most} reserved || echo not-reserved
dd if=/dev/zero of=rest bs=1M count={more} 2>&1
echo written $(($(stat -c %s reserved) + $(stat -c %s rest)))
df --output=size --block-size=1 . | tail -n 1 | sed 's/^/size /'
"""


def fill(run: Run, username: str, neighbour: str, limit: int) -> None:
    """`username` fills home and /tmp up to `limit` bytes for both, and not a block more, while
    `neighbour` writes on. Both have running servers; the files are removed again."""
    in_container = f"docker exec jupyter-{username} sh -c "
    try:
        most, more = limit * 9 // 10, limit // 2**20
        said = run(in_container + shlex.quote(FILL.format(folder="~", most=most, more=more)))
        assert "No space left on device" in said or "quota exceeded" in said, said
        (written,) = map(int, re.findall(r"written (\d+)", said))
        assert most < written <= limit, said
        (size,) = map(int, re.findall(r"size (\d+)", said))
        assert size == limit, "`df` shows a person their own share"
        full = run(in_container + shlex.quote("head -c 8000000 /dev/zero > /tmp/more || echo full"))
        assert "full" in full, "/tmp counts, too"
        note = f"docker exec jupyter-{neighbour} sh -c "
        assert (
            run(note + shlex.quote("head -c 8000000 /dev/zero > ~/mine && echo fine")) == "fine\n"
        )
        used = run("xfs_quota -x -c 'report -p -b -N' /opt/provision/homes")
        assert re.search(r"^#?10\d\d ", used, re.MULTILINE), used
    finally:
        for name in (username, neighbour):
            run(
                f"docker exec jupyter-{name} sh -c"
                " 'rm -f ~/reserved ~/rest ~/mine /tmp/more' 2> /dev/null || true"
            )
