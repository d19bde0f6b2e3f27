"""The hub of one workshop. Every value comes from the environment (docker-compose.yml)."""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor

from authenticator import WorkshopAuthenticator
from dockerspawner import DockerSpawner

c = get_config()

STATE = "/srv/jupyterhub/state"
HOME = "/home/jovyan"
memory = int(os.environ["PROVISION_MEMORY"])
cpu = float(os.environ["PROVISION_CPU"])
threads = str(max(1, math.ceil(cpu)))

c.JupyterHub.authenticator_class = WorkshopAuthenticator
c.WorkshopAuthenticator.users_file = "/srv/jupyterhub/secrets/users.json"
c.Authenticator.allow_all = True  # whoever authenticates: unknown names can't

# The proxy is a service of its own and outlives the hub, and so do people's servers.
c.JupyterHub.bind_url = "http://:8000"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "http://proxy:8001"
c.ConfigurableHTTPProxy.auth_token = os.environ["CONFIGPROXY_AUTH_TOKEN"]
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.last_activity_interval = 60  # a restarted proxy has its routes back in a minute

c.JupyterHub.hub_ip = "0.0.0.0"
c.JupyterHub.hub_connect_ip = "hub"
c.JupyterHub.db_url = f"sqlite:///{STATE}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{STATE}/cookie_secret"
c.JupyterHub.concurrent_spawn_limit = 100
c.JupyterHub.shutdown_on_logout = False

c.JupyterHub.spawner_class = DockerSpawner
DockerSpawner._executor = ThreadPoolExecutor(8)  # its own has one thread for everybody's requests
c.DockerSpawner.image = f"provision-notebook:{os.environ['PROVISION_TAG']}"
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.allowed_images = []
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
c.DockerSpawner.network_name = "provision-participants"
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.notebook_dir = HOME
c.DockerSpawner.volumes = {"provision-home-{username}": HOME}
c.DockerSpawner.read_only_volumes = json.loads(os.environ.get("PROVISION_DATA") or "{}")
c.DockerSpawner.mem_limit = memory
c.DockerSpawner.cpu_limit = cpu
c.DockerSpawner.extra_host_config = {
    "memswap_limit": memory,  # Docker would allow as much swap again
    "pids_limit": 512,
    "security_opt": ["no-new-privileges:true"],
    "cap_drop": ["ALL"],
    "init": False,
}
c.Spawner.environment = {
    "OMP_NUM_THREADS": threads,
    "OPENBLAS_NUM_THREADS": threads,
    "MKL_NUM_THREADS": threads,
    "NUMEXPR_NUM_THREADS": threads,
    **json.loads(os.environ.get("PROVISION_VARIABLES") or "{}"),
}
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 300
c.Spawner.http_timeout = 120
