"""Runs on the server, under its own Python, and sees one home as /home: how much is there?

Its answer is one line of JSON: `user`, `entries`, `bytes` (as they lie on the disk), how many more
are `free` within the home's limit, and `state`, which is another one as soon as anything in it has
been touched; "" if that can't be told.
"""

# Names are bytes, which Path can not hold.
# ruff: noqa: PTH118, PTH208

import hashlib
import json
import os
import stat
import sys

HOME = b"/home"
LEFT_OUT = (".cache", ".local/share/Trash", ".provision-restore")
"""Below the home: what can be had again, was thrown away, or is half restored."""

LEFT_OUT_ANYWHERE = ("__pycache__",)
""".ipynb_checkpoints stay: they are small, and at times the only copy."""


def main(user: str) -> None:
    digest, entries, size, whole, linked = hashlib.sha256(), 0, 0, True, set[int]()
    folders = [b""]
    while folders:
        folder = folders.pop()
        try:
            names = sorted(os.listdir(os.path.join(HOME, folder)))
        except OSError:  # gone by now, or so deep that no path leads there
            whole = False
            continue
        for name in names:
            path = os.path.join(folder, name)
            if os.fsdecode(path) in LEFT_OUT or os.fsdecode(name) in LEFT_OUT_ANYWHERE:
                continue
            try:
                seen = os.lstat(os.path.join(HOME, path))
            except OSError:
                whole = False
                continue
            entries += 1
            if seen.st_ino not in linked:
                size += seen.st_blocks * 512
            if seen.st_nlink > 1:
                linked.add(seen.st_ino)
            facts = (seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)
            digest.update(path + b"\0" + repr(facts).encode())
            if stat.S_ISDIR(seen.st_mode):
                folders.append(path)
    state = digest.hexdigest() if whole else ""
    disk = os.statvfs(HOME)
    free = disk.f_bavail * disk.f_frsize
    found = {"user": user, "entries": entries, "bytes": size, "free": free, "state": state}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
