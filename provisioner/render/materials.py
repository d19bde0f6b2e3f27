"""Materials on the server: where they lie, and what is typed to give them out.

/opt/provision/materials.incoming   what is being sent; participants don't see it
/opt/provision/materials            mounted read-only at /opt/materials in every container
    tree-KEY/                       one state of the materials, whole
        files/  repo.git/  manifest.json  gitconfig  sync.py
    current → tree-KEY              switched at once
"""

from __future__ import annotations

import re
import shlex
import string
from pathlib import PurePosixPath
from urllib.parse import quote, urlencode, urlsplit

from provisioner.models import MaterialsSource
from provisioner.render.assets import asset
from provisioner.render.bundle import ROOT

SHARED = f"{ROOT}/materials"
INCOMING = f"{ROOT}/materials.incoming"
MANIFEST = f"{SHARED}/current/manifest.json"
SEEN_AT = "/opt/materials/current"
"""Where participants' containers have it."""

SYNC = f"{SEEN_AT}/sync.py"
AT_ONCE = 4
LONGEST = 90
"""Seconds that one person's copy may take."""

_SCP = re.compile(r"(?:[\w.+-]+@)?([\w.-]+):(?!//)(.+)")


def is_repository(source: str) -> bool:
    """Whether git has to fetch it: an address of git's, not a path of this computer."""
    return "://" in source or bool(_SCP.fullmatch(source))


def public_url(source: str) -> str:
    """The address that participants would use for it: https, nobody's name. "" if it has none."""
    if scp := _SCP.fullmatch(source):
        return f"https://{scp[1]}/{scp[2].strip('/')}"
    place = urlsplit(source)
    if place.scheme not in {"https", "ssh"} or not place.hostname:
        return ""
    port = f":{place.port}" if place.port and place.scheme == "https" else ""
    return f"https://{place.hostname}{port}/{place.path.strip('/')}"


def folder_of(source: MaterialsSource) -> str:
    """The folder in everybody's home."""
    if source.folder:
        return source.folder
    name = PurePosixPath(re.split(r"[/:]", source.source.rstrip("/"))[-1]).name
    name = re.sub(r"[^A-Za-z0-9._ -]", "-", name.removesuffix(".git")).strip(" .-_")
    return name[:100] or "materials"


def about(source: MaterialsSource | None) -> dict[str, str] | None:
    """What the hub is told: which folder Lab opens in."""
    return {"folder": folder_of(source)} if source else None


def git_config(url: str) -> str:
    """Git's system file in the containers: links of nbgitpuller's are answered by this machine.

    git replaces beginnings of addresses, the longest that fits. So every other repository whose
    name begins like ours is named, too, and stays what it is.
    """
    lines = ["[include]", "\tpath = /etc/gitconfig", "[safe]"]
    local = f"{SEEN_AT}/repo.git"
    lines += [f"\tdirectory = {local}", f"\tdirectory = {local}/"]
    if url:
        plain = url.removesuffix(".git")
        lines += [f'[url "file://{local}"]']
        lines += [f"\tinsteadOf = {_value(mine)}" for mine in (plain, f"{plain}.git")]
        for character in string.ascii_letters + string.digits + "-_.~+%":
            other = _value(plain + character)
            lines += [f"[url {other}]", f"\tinsteadOf = {other}"]
    return "".join(f"{line}\n" for line in lines)


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def sync_program() -> bytes:
    return asset("stack/materials.py").read_bytes()


def switch(key: str) -> str:
    """What has arrived becomes what everybody sees. Idempotent.

    The copy is of names only: nothing that has arrived is ever written to. The state before stays,
    for whoever is reading it.
    """
    tree = shlex.quote(f"tree-{key}")
    return (
        f"set -e; umask 022; mkdir -p {SHARED}; cd {SHARED}\n"
        f"if [ ! -d {tree} ]; then\n"
        f"    rm -rf {tree}.new; cp -al {INCOMING} {tree}.new ||"
        f" {{ rm -rf {tree}.new; cp -a {INCOMING} {tree}.new; }}\n"
        f"    sync --file-system .; mv -T {tree}.new {tree}\n"
        "fi\n"
        'before=$(readlink current || true); [ -n "$before" ] || before=none\n'
        f"ln -sfn {tree} current.new; mv -T current.new current\n"
        f"find . -mindepth 1 -maxdepth 1 -name 'tree-*' ! -name {tree} ! -name \"$before\""
        " -exec rm -rf {} +"
    )


_ONE = f"""\
name=$0
{{
    timeout -k 5 {LONGEST} docker exec --user 1000:100 --workdir / "$name" \\
        timeout -k 5 {LONGEST - 10} python3 -I {SYNC} push < /dev/null 2> "$work/$name.err"
    echo $? > "$work/$name.code"
}} | head -c 1000000 > "$work/$name.out"
said=$(tail -n 1 "$work/$name.out" | base64 -w 0)
words=$(tail -c 400 "$work/$name.err" | base64 -w 0)
{{
    flock 9
    printf '%s %s %s %s\\n' "$name" "$(cat "$work/$name.code")" "${{said:--}}" "${{words:--}}"
}} 9> "$work/lock"
rm -f "$work/$name".*
"""

DELIVER = f"""\
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export work
docker ps --filter name=^jupyter- --format '{{{{.Names}}}}' > "$work/names" || exit 1
echo "total $(wc -l < "$work/names")"
xargs -r -n 1 -P {AT_ONCE} sh -c {shlex.quote(_ONE)} < "$work/names"
"""
"""Gives everybody whose server runs what is new: "total N", then for each a line of the container's
name, the exit code, and what was said on stdout (its last line) and stderr, each as base64 or -."""


def open_link(site: str, folder: str) -> str:
    """Leads whoever follows it to the materials in their own Lab."""
    return f"{site}/hub/user-redirect/lab/tree/{quote(folder)}"


def pull_link(site: str, url: str, branch: str, folder: str) -> str:
    """nbgitpuller's: a git clone of their own, beside their copy."""
    target = f"{folder}-git"
    words = {"repo": url, "branch": branch, "targetpath": target, "urlpath": f"lab/tree/{target}"}
    return f"{site}/hub/user-redirect/git-pull?{urlencode(words)}"
