"""The hub of one workshop. Every value comes from the environment (docker-compose.yml)."""

import json
import math
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from authenticator import INSTRUCTORS, WorkshopAuthenticator
from spawner import WorkshopSpawner
from syscalls import profile

try:
    from check import HANDLERS
except ImportError:  # the page for trying out a browser is a file of its own
    HANDLERS = []

c = get_config()

STATE = "/srv/jupyterhub/state"
ROOT = "/opt/provision"  # on the machine
HOME = "/home/jovyan"
START = """
import sys
sys.path.remove("")
sys.modules["rfc3987_syntax"] = None
from jupyterhub.singleuser import main
main()
"""
memory = int(os.environ["PROVISION_MEMORY"])
cpu = float(os.environ["PROVISION_CPU"])
threads = str(max(1, math.ceil(cpu)))

c.JupyterHub.authenticator_class = WorkshopAuthenticator
c.WorkshopAuthenticator.users_file = "/srv/jupyterhub/secrets/users.json"
c.Authenticator.allow_all = True  # whoever authenticates: unknown names can't
c.Authenticator.username_pattern = "[a-z][a-z0-9_-]*"  # names of folders and containers, as it is
c.Authenticator.manage_groups = True
c.Authenticator.auth_refresh_age = 5  # seconds until who was taken out of users.json is out
c.Authenticator.auth_refresh_strict = True  # tokens, too

# The proxy is a service of its own and outlives the hub, and so do people's servers.
c.JupyterHub.bind_url = "http://:8000"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://proxy-api:8001"  # its name on the network `control`
c.ConfigurableHTTPProxy.auth_token = os.environ["CONFIGPROXY_AUTH_TOKEN"]
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.last_activity_interval = 5  # also how soon a restarted proxy has its routes back

c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
c.JupyterHub.db_url = f"sqlite:///{STATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{STATE}/cookie_secret"
c.JupyterHub.concurrent_spawn_limit = 100
c.JupyterHub.shutdown_on_logout = False
c.JupyterHub.extra_handlers = HANDLERS
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 1}  # then people watch the progress

# Who may do what. Nobody is an admin: that would be root on the machine, by way of the spawner.
c.JupyterHub.load_roles = [
    {
        "name": "instructor",
        "description": "See who is there, start, stop and open everybody's server",
        "scopes": ["admin-ui", "list:users", "read:users", "servers", "access:servers", "read:hub"],
        "groups": [INSTRUCTORS],
    },
    {
        "name": "operator",
        "description": "What is asked from the machine itself: ask.py, prewarm.py",
        "scopes": ["admin:users", "servers", "read:hub"],
        "services": ["provision"],
    },
]
c.JupyterHub.services = [{"name": "provision", "api_token": os.environ["PROVISION_HUB_TOKEN"]}]

if notices := os.environ.get("PROVISION_NOTICES"):
    speaker = [sys.executable, "/srv/jupyterhub/notices.py"]
    c.JupyterHub.services.append(
        {"name": "notices", "command": speaker, "environment": {"PROVISION_NOTICES": notices}}
    )
    c.JupyterHub.load_roles.append(
        {
            "name": "notices",
            "description": "Tell open Labs that the end is near",
            "scopes": ["list:users", "read:servers", "tokens"],
            "services": ["notices"],
        }
    )

idle = int(float(os.environ.get("PROVISION_CULL_IDLE") or 0))
max_age = int(float(os.environ.get("PROVISION_CULL_MAX_AGE") or 0))
if idle or max_age:
    shortest = min(seconds for seconds in (idle, max_age) if seconds)
    culler = [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={idle or max_age}"]
    culler += [f"--max-age={max_age}", f"--cull-every={max(5, min(60, shortest // 2))}"]
    c.JupyterHub.services.append({"name": "culler", "command": culler})
    c.JupyterHub.load_roles.append(
        {
            "name": "culler",
            "description": "Stop servers that nobody uses",
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
            "services": ["culler"],
        }
    )

c.JupyterHub.spawner_class = WorkshopSpawner
WorkshopSpawner._executor = ThreadPoolExecutor(8)  # its own has one thread for everybody's requests
c.DockerSpawner.image = f"provision-notebook:{os.environ['PROVISION_TAG']}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.allowed_images = []
c.DockerSpawner.escape = lambda name: name  # username_pattern is stricter than Docker
# jupyterhub-singleuser in less than half of its time: to know whether a text is an IRI, which no
# schema of Jupyter's asks, jsonschema imports a package that builds a grammar for a second.
# And nobody breaks their own server: it sees neither files of the home nor what pip put there (-s).
c.DockerSpawner.cmd = ["python3", "-s", "-c", START]
c.DockerSpawner.network_name = "provision-participants"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.notebook_dir = HOME
# Mounts, since Docker makes no folder for them: who has no home yet has no quota either.
c.DockerSpawner.mounts = [
    {"type": "bind", "source": f"{ROOT}/homes/{{username}}/home", "target": HOME},
    {"type": "bind", "source": f"{ROOT}/homes/{{username}}/tmp", "target": "/tmp"},  # noqa: S108
]
c.DockerSpawner.read_only_volumes = json.loads(os.environ.get("PROVISION_DATA") or "{}")
# Mounted whether or not there are any yet: `provision push` may bring some (render/materials.py).
c.DockerSpawner.read_only_volumes[f"{ROOT}/materials"] = "/opt/materials"
materials = json.loads(os.environ.get("PROVISION_MATERIALS") or "{}")
c.DockerSpawner.mem_limit = memory
c.DockerSpawner.cpu_limit = cpu
c.DockerSpawner.extra_create_kwargs = {"user": "1000:100"}  # whatever the image says
c.DockerSpawner.extra_host_config = {
    "memswap_limit": memory,  # Docker would allow as much swap again
    "pids_limit": 512,
    "security_opt": ["no-new-privileges:true", f"seccomp={profile()}"],
    "cap_drop": ["ALL"],
    "read_only": True,
    # In memory, and counted as the person's. Jupyter's own files work with a full home, too.
    "tmpfs": {
        "/run": "size=16m,mode=0755,uid=1000,gid=100",
        "/var/tmp": "size=64m,mode=1777",  # noqa: S108
    },
    "log_config": {"type": "json-file", "config": {"max-size": "2m", "max-file": "2"}},
    "init": False,
}
c.Spawner.hub_connect_url = "http://gate:8082"  # lets through what a server needs, and no more
c.Spawner.environment = {
    "JUPYTER_RUNTIME_DIR": "/run/jupyter",
    "OMP_NUM_THREADS": threads,
    "OPENBLAS_NUM_THREADS": threads,
    "MKL_NUM_THREADS": threads,
    "NUMEXPR_NUM_THREADS": threads,
    "GIT_CONFIG_SYSTEM": "/opt/materials/current/gitconfig",
    **json.loads(os.environ.get("PROVISION_VARIABLES") or "{}"),
}
c.Spawner.default_url = "/lab"
if materials:
    c.Spawner.default_url = f"/lab/tree/{quote(materials['folder'])}"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 120
