"""What is typed on the server to read people's homes and to put files back into them.

A home is what somebody else may be writing to at this moment: a folder that was looked at a moment
ago may be a link to the machine's own files now. So whatever reads or writes a home sees nothing
else: its own file system has that home and /usr, read-only, and it is the participant by number,
without the network's or the machine's means. All it may more than they is to pass over their own
permissions, since people lock themselves out of files, too.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from provisioner.render import merging, surveying
from provisioner.render.assets import source_of
from provisioner.render.bundle import ROOT
from provisioner.render.commands import compose, home_folder

LEFT_OUT = surveying.LEFT_OUT
LEFT_OUT_ANYWHERE = surveying.LEFT_OUT_ANYWHERE

STAGED = "/home/.provision-restore"  # as seen by who sees one home alone
RESTORING = f"{ROOT}/restoring"
"""Archives on their way back, below a folder that root alone may read."""

_SEES_ONE_HOME = f"""\
set -eu
umask 022
home=$1 access=$2 powers=$3
shift 3
at={ROOT}/one-home
mkdir -p $at
mount -t tmpfs -o mode=755,size=1m one-home $at
cd $at
mkdir home proc usr
for name in bin sbin lib lib64; do if [ -L /$name ]; then ln -s usr/$name $name; fi; done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount --bind "$home" home
mount -o remount,bind,$access,nosuid,nodev home
mount -t proc -o subset=pid proc proc
mount -o remount,ro $at
exec chroot . setpriv --reuid=1000 --regid=100 --clear-groups --no-new-privs \
--bounding-set=$powers --inh-caps=$powers --ambient-caps=$powers "$@"
"""

READING = ("ro", "-all,+dac_read_search")
WRITING = ("rw", "-all")
MOVING = ("rw", "-all,+dac_override")


_LAST = (
    "last='nice -n 19'; scope='systemd-run --quiet --scope --slice=system.slice"
    " -p CPUWeight=1 -p IOWeight=1'; if $scope true < /dev/null > /dev/null 2>&1;"
    ' then last="$scope $last"; fi'
)
"""What `$last` runs comes after everybody: people's containers are in system.slice, and a session
of SSH would have as much as all of them together. Without systemd it is nice, at least."""


def seeing_home(username: str, access: tuple[str, str], *command: str) -> str:
    """`command`, to which the home is /home; it ends with whoever asked for it."""
    words = [
        *("env", "LC_ALL=C.UTF-8", "unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("sh", "-c", _SEES_ONE_HOME, "one-home", home_folder(username), *access, *command),
    ]
    return shlex.join(words)


def survey(usernames: Iterable[str]) -> str:
    """A line of JSON for each home that could be read: see surveying.py."""
    look = seeing_home("PERSON", READING, "python3", "-I", "-c", source_of(surveying), "PERSON")
    look = look.replace("PERSON", '"$name"')  # once for all: an argument has a limit
    return f"for name in {shlex.join(usernames)}; do {look} || true; done"


def archive(username: str) -> str:
    """One home on stdout, as a tar packed with zstd, and what there is to say of it on stderr.

    Its last lines there are `code N`, how tar ended (1: something changed while it was read, as
    people are at work), and `sha256 HEX` of what went out.
    """
    tar = seeing_home(
        username,
        READING,
        *("tar", "--create", "--format=posix", "--pax-option=delete=atime,delete=ctime"),
        *("--sparse", "--xattrs", "--acls", "--numeric-owner", "--one-file-system"),
        *("--anchored", *(f"--exclude=./{path}" for path in LEFT_OUT)),
        *("--no-anchored", *(f"--exclude={name}" for name in LEFT_OUT_ANYWHERE)),
        *("--directory=/home", "."),
    )
    tar = f"$last {tar}"
    # 3 is where the archive goes, 5 where tar's goes; of tar's words no more than a screenful
    # of screens is kept, since a home may give occasion to millions.
    return (
        f"{_LAST}; exec 3>&1; "
        f'{{ {{ {tar} 2>&1 >&5 5>&-; echo "code $?"; }} | tail -c 100000 >&2; }} 5>&1'
        " | $last zstd -q -3 -c"
        " | { tee /dev/fd/5 5>&1 >&3 3>&-; }"
        " | { sha256sum | sed 's/^\\([0-9a-f]*\\).*/sha256 \\1/' >&2; }"
    )


STOP_WRITING = (
    f"code=0; {compose('stop', 'proxy', 'hub')} || code=$?; "
    "running=$(docker ps --quiet --filter name=^jupyter-) || exit; "
    'test -z "$running" || docker stop -t 10 $running > /dev/null || code=$?; exit $code'
)
"""Nobody's server runs afterwards, and none can be started: the hub goes first. What starts the
bundle again lets people in again."""


def receiving(username: str) -> str:
    """The folder that this person's archive is sent to."""
    return f"{RESTORING}/{username}"


MAKE_RECEIVING = f"install -d -m 0700 {RESTORING}"
DROP_RECEIVED = f"rm -rf {RESTORING}"

PATIENCE = 30
"""Seconds for what an earlier connection began in a home."""

AT_WORK = 75
"""The code of `may_restore` and `restore` when an earlier one has not come to its end."""


def may_restore(username: str) -> str:
    """Waits for what an earlier connection began, which takes its archive away at its end."""
    return _alone(username)


def _alone(username: str) -> str:
    lock = f"{RESTORING}/{username}.lock"
    return f"exec 9> {lock} && flock -w {PATIENCE} 9 || exit {AT_WORK}"


def restore(username: str, archive: str, aside: str, *, replace: bool) -> str:
    """Put what is in `archive` into the home; see merging.py for its answer, and its input.

    First all of it goes into a folder of its own in the home, under its limit: what does not fit
    changes nothing. What clashes goes to ~/`aside`. May be repeated after any interruption, and
    never runs twice in one home at the same time.
    """
    clean = seeing_home(username, MOVING, "rm", "-rf", "--", STAGED)
    make = seeing_home(username, WRITING, "mkdir", "-m", "0700", STAGED)
    extract = seeing_home(
        username,
        WRITING,
        *("tar", "--extract", "--preserve-permissions", "--no-same-owner", "--xattrs", "--acls"),
        *("--delay-directory-restore", "--sparse", f"--directory={STAGED}"),
    )
    merge = seeing_home(
        username, MOVING, "python3", "-I", "-", aside, "replace" if replace else "keep"
    )
    packed = shlex.quote(f"{receiving(username)}/{archive}")
    return (
        f"{_alone(username)}; {clean} && {make} && zstd -q -d -c {packed} | {extract} > /dev/null"
        f" && {merge} && rm -rf {receiving(username)}; code=$?; {clean}; exit $code"
    )


MERGING = source_of(merging).encode()
"""What `restore` reads from its standard input."""
