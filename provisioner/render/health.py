"""What the machine is asked about itself, its services and everybody on it: one command.

Its answer is text in sections that workflow/health.py reads. A plain shell does it, since nothing
else is certain to be on the machine; the numbers of all containers come from their control groups
at once, where `docker stats` takes seconds.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from provisioner.render.commands import BUNDLE, HOMES, compose

LOOK = "sh -s look"
"""Reads its script on stdin: sudo writes whole commands to the journal, and this one is asked
every few seconds. What can't be told is missing in the answer."""

SECTION = "@@ "
"""Begins the line that names what the following ones are."""

SILENT = "silent"
"""The line that stands for what Docker did not tell."""

FEW, MANY = 7, 20
"""Seconds for a question to Docker, and for one that takes its time: what hangs must not be called
the connection's silence, which ends everything."""

FILES = (
    *("memory.current", "memory.usage_in_bytes", "memory.stat", "memory.events"),
    *("memory.oom_control", "cpu.stat", "cpuacct.usage"),
)
"""Of a control group: what versions 2 and 1 call the same."""

CONTAINER = (
    '{"name":{{json .Name}},"state":{{json .State.Status}},"pid":{{.State.Pid}}'
    ',"service":{{json (index .Config.Labels "com.docker.compose.service")}}'
    ',"health":{{with .State.Health}}{{json .Status}}{{else}}""{{end}}'
    ',"restarts":{{.RestartCount}},"code":{{.State.ExitCode}},"oom":{{.State.OOMKilled}}'
    ',"started":{{json .State.StartedAt}},"memory":{{.HostConfig.Memory}}}'
)

PEOPLE = """\
import json
import sqlite3
import sys
from urllib.parse import quote

sys.path.insert(0, "/srv/jupyterhub")
from ask import ask

seen = json.loads(sys.stdin.read() or "{}")
users, logins, error = [], None, ""
while True:
    page = ask("GET", f"/users?limit=200&offset={len(users)}")
    if page["status"] != 200:
        said = page["body"].get("message") if isinstance(page["body"], dict) else page["body"]
        error = f"it answers {page['status']}: {str(said)[:200]}"  # 0: nobody is there
        break
    users += page["body"]
    if len(page["body"]) < 200:
        break
try:
    state = sqlite3.connect("file:/srv/jupyterhub/state/jupyterhub.sqlite?mode=ro", uri=True)
    found = state.execute(
        "SELECT users.name, MAX(api_tokens.created) FROM users"
        " JOIN api_tokens ON api_tokens.user_id = users.id"
        " WHERE api_tokens.session_id IS NOT NULL GROUP BY users.name"
    )
    logins = dict(found.fetchall())
except sqlite3.Error:
    pass


def why(user):
    if seen.get(user["name"]) == user["last_activity"]:
        return None
    path = f"/users/{quote(user['name'])}/server/progress"
    text = str(ask("GET", path)["body"] or "")
    events = [line[5:] for line in text.splitlines() if line.startswith("data:")]
    try:
        last = json.loads(events[-1])
        return str(last["message"]) if last.get("failed") else ""
    except (IndexError, KeyError, ValueError):
        return ""


def line(user):
    server = (user.get("servers") or {}).get("") or {}
    said = {"name": user["name"], "activity": user["last_activity"]}
    said |= {key: server.get(key) for key in ("ready", "pending", "started")}
    said["used"] = server.get("last_activity")
    return said if server else said | {"why": why(user)}


print(json.dumps({"error": error, "logins": logins, "users": [line(user) for user in users]}))
"""
"""Runs in the hub's container. It tells who has opened their Lab in a browser (the hub keeps a
token for each such session, and no way of asking for it but its database), and why a server did
not start. `seen`, from stdin, is whose reason is known already: user name → last activity. Each
question is a line in the hub's log."""

_SCRIPT = f"""\
{{
exec < /dev/null
section() {{ echo "{SECTION}$1"; }}
say() {{ printf '%s\\n' "$1"; }} # as it is, where `echo` reads backslashes
sample() {{
    section "$1"
    sed 's/ .*//; s/^/uptime /' /proc/uptime
    grep '^cpu ' /proc/stat
    say "$groups" | awk -v files="{" ".join(FILES)}" '
        BEGIN {{ count = split(files, file, " ") }}
        {{
            for (i = 1; i <= count; i++) {{
                at = $2 "/" file[i]
                while ((getline line < at) > 0)
                    if (line ~ /^([0-9]+|((total_)?inactive_file|usage_usec|oom_kill) [0-9]+)$/)
                        print $1, file[i], line
                close(at)
            }}
        }}'
}}
section containers
brief() {{ timeout -k 2 "$few" docker "$@"; }}
ids=$(brief ps --all --quiet --filter name=^jupyter- &&
    brief ps --all --quiet --filter label=com.docker.compose.project.working_dir={BUNDLE}) ||
    echo {SILENT}
containers=$([ -z "$ids" ] || brief inspect --type container --format '{CONTAINER}' $ids) ||
    [ $? -lt 124 ] || echo {SILENT} # less: one of them went in between
say "$containers"
groups=$(say "$containers" |
    sed -n 's/.*"name":"\\/jupyter-\\([^"]*\\)".*"pid":\\([1-9][0-9]*\\).*/\\1 \\2/p' |
    while read -r name pid; do
        [ ! -r /proc/$pid/cgroup ] || while IFS=: read -r _ kind path; do
            case ,$kind, in
                ,,) at=/sys/fs/cgroup ;;
                *,memory,*) at=/sys/fs/cgroup/memory ;;
                *,cpuacct,*) at=/sys/fs/cgroup/cpuacct ;;
                *) continue ;;
            esac
            echo "$name $at$path"
        done < /proc/$pid/cgroup
    done)
sample before
sleep 1 & pause=$!
section people
say SEEN | timeout -k 2 "$many" {compose("exec", "-T", "hub", "python", "-c", PEOPLE)}
section machine
date '+time %s'
sed 's/^/load /' /proc/loadavg
sed 's/^/uptime /' /proc/uptime
echo "cores $(grep -c ^processor /proc/cpuinfo)"
sed -n 's/^\\(MemTotal\\|MemAvailable\\):/\\1/p' /proc/meminfo
section disks
df --block-size=1 --output=source,target,size,used,avail / /var/lib/docker {HOMES}
section projects
cat {HOMES}/.projects
section quota
quota=$(xfs_quota -x -c 'report -p -n -N -b' {HOMES})
say "$quota"
section folders
[ -n "$quota" ] || (cd {HOMES} && timeout "$many" du --summarize --block-size=1 -- *)
wait $pause
sample after
section end
exit
}}
"""
"""Read as a whole before any of it runs, so that nothing in it can read on from the same stdin."""


def script(seen: Mapping[str, str], *, patience: float = 1.0) -> bytes:
    """What `LOOK` reads. `seen`: user name → last activity of those whose reason is known.

    `patience`: how many times longer anything may take, on an emulated machine.
    """
    limits = f"few={FEW * patience:.0f} many={MANY * patience:.0f}\n"
    asked = _SCRIPT.replace("SEEN", shlex.quote(json.dumps(dict(seen))), 1)
    return (limits + asked).encode()
