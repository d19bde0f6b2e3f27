"""What is typed on the server to fill a data folder.

A folder TARGET is filled by way of two beside it, on the same file system: TARGET.part has what is
not complete, under names of ours; TARGET.new has what is complete, under its own name. Names of the
operator's never stand in a command: they travel on stdin, each ended by a zero byte.
"""

from __future__ import annotations

import shlex


def staging(target: str) -> str:
    return f"{target}.new"


def parts(target: str) -> str:
    return f"{target}.part"


def part(target: str, name: str) -> str:
    return f"{parts(target)}/{name}"


def look(target: str) -> str:
    """Seven words for each thing in the three folders, which are made where they are missing:
    folder, path in it, kind, mode, size, time in seconds, where a link leads. Each ends with a
    zero."""
    folders = _words(target, staging(target), parts(target))
    return (
        f"umask 022 && mkdir -p {folders}"
        f" && find {folders} -mindepth 1 -printf '%H\\0%P\\0%y\\0%m\\0%s\\0%T@\\0%l\\0'"
    )


def free_bytes(target: str) -> str:
    return f"df --output=avail --block-size=1 {_words(target)} | tail -n 1"


REMOVE = "xargs -0 -r rm -rf --"
"""Paths come on stdin."""


def digest(path: str) -> str:
    return f"sha256sum < {_words(path)} | cut -d ' ' -f 1"


def unpack(target: str, name: str) -> str:
    """A pack becomes the files that are in it, with their times to the nanosecond."""
    pack = _words(part(target, name))
    return (
        f"tar --extract --file {pack} --directory {_words(staging(target))} --no-same-owner"
        f" --preserve-permissions --warning=no-unknown-keyword && rm {pack}"
    )


_PLACE = """\
set -e
parts=$1
shift
while [ $# -ge 4 ]; do
    file=$parts/$1
    case $3 in x) chmod 755 "$file";; esac
    touch --date "@$2" "$file"
    case $4 in */*) [ -d "${4%/*}" ] || mkdir -p "./${4%/*}";; esac
    mv -f -T "$file" "./$4"
    shift 4
done
"""


def place(target: str) -> str:
    """Give complete parts their names: for each, part, time, x or -, and path come on stdin."""
    return (
        f"umask 022 && cd {_words(staging(target))}"
        f" && xargs -0 -r -x -n 40 sh -c {_words(_PLACE)} place {_words(parts(target))}"
    )


_MOVE = """\
set -e
target=$0
for folder; do
    mkdir -p "$target/$folder"
    find "$folder" -maxdepth 1 ! -type d -exec mv -f -t "$target/$folder" {} +
done
"""


def settle(target: str) -> str:
    """What is complete takes its place, file by file and each at once, and is on the disk before.

    The folder itself stays: containers that have it mounted must see what is new in it.
    """
    new = _words(staging(target))
    return (
        f"umask 022 && cd {new} && sync --file-system . && chmod 755 {_words(target)}"
        f" && find . -type d -print0 | xargs -0 -r sh -c {_words(_MOVE, target)}"
        f" && cd / && rm -rf {new} {_words(parts(target))}"
    )


_WATCHED = """\
set -u
umask 022
exec 3<&0 9> {lock}
flock -w 30 9 || {{ echo 'an earlier download is still at work' >&2; exit 75; }}
{job} <&3 &
job=$!
trap 'kill $job 2> /dev/null' EXIT
trap 'exit 1' HUP INT TERM
trap '' PIPE
pause=0.1
while kill -0 $job 2> /dev/null; do
    find {parts} -type f -printf '%s\\n' |
        awk '{{ size += $1 }} END {{ printf "size %.0f\\n", size }}' || exit 1
    sleep $pause
    pause=1
done
wait $job
code=$?
trap - EXIT
exit $code
"""


def watched(job: str, target: str) -> str:
    """Run a command that takes long, and say each second how many bytes the parts have.

    It ends when nobody listens any more, and never runs twice at the same time.
    """
    folder = parts(target)
    return _WATCHED.format(job=job, lock=_words(f"{folder}/.lock"), parts=_words(folder))


def fetch(target: str) -> str:
    """curl, told on stdin alone: addresses are no arguments, and root's .curlrc does not count."""
    return watched("curl --disable --config -", target)


LENGTH = "curl --disable --config -"
"""What a keeper says of the file that `length_config`, on stdin, names: headers of each answer."""


def length_config(address: str, header: str) -> bytes:
    scheme = address.partition("://")[0]
    lines = ["silent", "head", "fail", "location", "globoff", f"proto = {_quote(f'={scheme}')}"]
    lines += ["connect-timeout = 15", "max-time = 30", f"url = {_quote(address)}"]
    lines += [f"header = {_quote(header)}"] if header else []
    return ("\n".join(lines) + "\n").encode()


def curl_config(
    wanted: list[tuple[str, str, str]], target: str, *, silence: int, at_once: int = 4
) -> bytes:
    """`wanted`: part, address, and a header to send or "". Goes on where a part ends.

    `silence`: after so many seconds without a byte a transfer is given up.
    """
    blocks = []
    for name, address, header in wanted:
        scheme = address.partition("://")[0]
        lines = [
            "silent",
            "show-error",
            "fail",
            "location",
            "globoff",
            f"proto = {_quote(f'={scheme}')}",
            "connect-timeout = 30",
            "speed-limit = 1",
            f"speed-time = {silence}",
            f"url = {_quote(address)}",
            f"output = {_quote(part(target, name))}",
            'continue-at = "-"',
            f'write-out = "code {name} %{{http_code}} %{{exitcode}}\\n"',
        ]
        lines += [f"header = {_quote(header)}"] if header else []
        blocks.append("\n".join(lines))
    together = f"parallel\nparallel-max = {at_once}\n" if len(wanted) > 1 else ""
    return (together + "\nnext\n".join(blocks) + "\n").encode()


def checksum(target: str, name: str) -> str:
    return watched(f"sha256sum {_words(part(target, name))}", target)


def make_empty(target: str) -> str:
    """Files of no bytes, which are nothing to fetch: their parts' names come on stdin."""
    return f"cd {_words(parts(target))} && xargs -0 -r touch --"


def _words(*words: str) -> str:
    return shlex.join(words)


def _quote(text: str) -> str:
    """As curl's configuration wants it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
