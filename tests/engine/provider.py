"""The Provider seam over one `Engine`, as for a machine that was there before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from provisioner.errors import NotYet
from provisioner.models import Bundle, Findings, Resource, Server, ServerState, Spec
from provisioner.protocols import Reporter
from provisioner.providers.host import bootstrap
from provisioner.providers.host.upload import BOOTSTRAP, LOG
from provisioner.render.userdata import File, bundle_files, machine_files
from tests.engine import cache
from tests.engine.machine import Engine

NAME = "engine"

UNIT = f"""\
[Service]
Type=oneshot
RemainAfterExit=yes
Environment=HOME=/root
StandardOutput=append:{LOG}
ExecStart=/opt/provision/bootstrap.sh
"""

USER = """
id provision > /dev/null 2>&1 || useradd --create-home --shell /bin/bash provision
echo 'provision ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/90-cloud-init-users
chmod 440 /etc/sudoers.d/90-cloud-init-users
install -d -m 700 -o provision -g provision /home/provision/.ssh
cat > /home/provision/.ssh/authorized_keys
chown provision:provision /home/provision/.ssh/authorized_keys
chmod 600 /home/provision/.ssh/authorized_keys
"""


SYS_RESOURCE = 24


def placed(bundle: Bundle) -> list[File]:
    """The bundle, for a computer that may not let root's containers be spared by the OOM killer."""
    capabilities = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    if int(capabilities, 16) >> SYS_RESOURCE & 1:
        return bundle_files(bundle)
    files = dict(bundle.files)
    files[".env"] += b"PROVISION_OOM_SCORE_ADJ='0'\n"
    return bundle_files(replace(bundle, files=tuple(files.items())))


class EngineProvider:
    """One workshop, on the machine that it was given."""

    name = NAME

    def __init__(self, engine: Engine, reporter: Reporter) -> None:
        self.engine, self._reporter = engine, reporter
        self._spec: Spec | None = None

    def check(self, spec: Spec) -> Findings:
        return ()

    def create(self, spec: Spec) -> Server:
        engine = self.engine
        if self._spec is None:
            self._spec = spec
            engine.install(spec.bundle, spec.network, self._reporter)
            private = (spec.folder / "host_key").read_text()
            _, public = (spec.folder / "known_hosts").read_text().strip().split(" ", 1)
            key = "/etc/ssh/ssh_host_ed25519_key"
            engine.write(
                [
                    File(key, private, "0600"),
                    File(f"{key}.pub", f"{public}\n", "0644"),
                    *machine_files(public),
                    *placed(spec.bundle),
                    File(f"/etc/systemd/system/{BOOTSTRAP}", UNIT, "0644"),
                ]
            )
            engine.power_on()
            authorized = (spec.folder / "ssh_key.pub").read_bytes()
            engine.must(USER, stdin=authorized)
            engine.must(f"systemctl start --no-block {BOOTSTRAP}")
        engine.power_on()
        return self._server()

    def find(self, workshop_id: str) -> Server | None:
        return self._server() if self._spec and self._spec.id == workshop_id else None

    def delete(self, workshop_id: str) -> None:
        if self.find(workshop_id):
            self.engine.stop()

    def leftovers(self, workshop_id: str) -> list[Resource]:
        if not self._spec or self._spec.id != workshop_id:
            return []
        engine = self.engine
        found = [Resource("folder", str(engine.folder))] if engine.folder.exists() else []
        found += [Resource("cgroup", str(path)) for path in cache.groups(engine.folder.name)]
        return found + ([Resource("process", str(engine.first))] if engine.running else [])

    def bootstrapped(self, workshop_id: str) -> None:
        if self._spec is None or not self.engine.running:
            raise NotYet("the machine is off")
        state = bootstrap.parse_state(self.engine.run(bootstrap.STATE).out)
        state.must_be_done(self._spec.name)

    def _server(self) -> Server:
        assert self._spec is not None
        state = ServerState.RUNNING if self.engine.running else ServerState.STOPPED
        return Server(
            id=self._spec.id,
            state=state,
            address="127.0.0.1",
            ssh_host="127.0.0.1",
            ssh_port=self.engine.ssh_port,
            https_port=self.engine.https_port,
            about=(("folder", str(self.engine.folder)),),
        )
