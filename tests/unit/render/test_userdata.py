from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from provisioner.errors import Refused
from provisioner.render import userdata
from provisioner.render.assets import asset
from provisioner.render.commands import calendar

SCHEMA = "cloudinit/config/schemas/schema-cloud-config-v1.json"
AWKWARD = (
    " tab\there\n\r\n'single' \"double\" {{ jinja }} $HOME \\n : - # ü—😀\x7f\u2028\ufeff\x00 "
)


def render(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "name": "demo",
        "id": "an-id",
        "expires_at": datetime(2030, 1, 31, 19, tzinfo=timezone(timedelta(hours=2))),
        "ssh_public_key": "ssh-ed25519 AAAAoperator",
        "host_key_private": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END\n",
        "host_key_public": "ssh-ed25519 AAAAhost",
    }
    return userdata.render_user_data(**values | changes)


def text(data: bytes) -> str:
    return gzip.decompress(data).decode()


def parsed(data: bytes) -> dict[str, Any]:
    document = yaml.safe_load(text(data))
    assert isinstance(document, dict)
    return document


def files(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {entry["path"]: entry for entry in document["write_files"]}


def test_it_is_a_cloud_config_and_always_the_same() -> None:
    assert text(render()).startswith("#cloud-config\n")
    assert render() == render()


def test_the_deadline_comes_first_once_and_in_utc() -> None:
    document = parsed(render())
    assert next(iter(document)) == "bootcmd"
    (command,) = document["bootcmd"]
    assert command[:5] == ["cloud-init-per", "instance", "provision-deadline", "sh", "-c"]
    assert "OnCalendar=2030-01-31 17:00:00 UTC\n" in command[5]
    assert "OnBootSec=10min" in command[5], "one that was off meanwhile ends, too, but not at once"
    assert "Persistent" not in command[5]
    assert "poweroff" in command[5]


def test_nobody_but_the_operator_comes_in() -> None:
    document = parsed(render())
    (user,) = document["users"]
    assert user["name"] == "provision"
    assert user["lock_passwd"] is True
    assert user["ssh_authorized_keys"] == ["ssh-ed25519 AAAAoperator"]
    assert document["ssh_pwauth"] is False
    assert document["disable_root"] is True
    sshd = files(document)["/etc/ssh/sshd_config.d/10-provision.conf"]["content"]
    assert "PermitRootLogin no" in sshd
    assert "AllowUsers provision" in sshd


def test_the_host_key_is_the_known_one_and_the_only_one() -> None:
    document = parsed(render())
    assert document["ssh_keys"] == {
        "ed25519_private": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END\n",
        "ed25519_public": "ssh-ed25519 AAAAhost",
    }
    assert document["ssh_deletekeys"] is True


def test_awkward_text_arrives_as_it_is() -> None:
    assert parsed(render(name=AWKWARD))["hostname"] == AWKWARD


def test_only_scripts_are_executable() -> None:
    found = files(parsed(render()))
    for script in ("bootstrap.sh", "isolate", "make-homes", "rotate-host-key"):
        assert found[f"/opt/provision/{script}"]["permissions"] == "0755"
    assert found["/opt/provision/injected-host-key.pub"]["permissions"] == "0644"


def test_its_size_leaves_room_and_does_not_depend_on_the_workshop() -> None:
    assert len(render()) < userdata.LIMIT / 2
    assert "bundle/" not in "".join(files(parsed(render())))


def test_the_bundle_starts_neither_unisolated_nor_without_homes() -> None:
    unit = files(parsed(render()))["/etc/systemd/system/provision-stack.service"]["content"]
    before, _, _ = unit.partition("ExecStart=")
    assert before.index("=/opt/provision/make-homes\n") < before.index("=/opt/provision/isolate\n")
    assert "ConditionPathExists=/opt/provision/secrets/users.json\n" in unit


def test_the_bootstrap_survives_cloud_init_and_a_power_cut() -> None:
    """cloud-init begins it and does not wait; a boot goes on with it until it has left its mark."""
    document = parsed(render())
    unit = files(document)["/etc/systemd/system/provision-bootstrap.service"]["content"]
    script = files(document)["/opt/provision/bootstrap.sh"]["content"]
    assert "ConditionPathExists=!/opt/provision/bootstrapped\n" in unit
    assert "ExecStart=/opt/provision/bootstrap.sh\n" in unit
    assert "WantedBy=multi-user.target" in unit
    assert script.index("\nensure_images\n") < script.index("\n: > $root/bootstrapped\n")
    (command,) = document["runcmd"]
    assert command[:2] == ["sh", "-c"]
    assert "systemctl enable provision-bootstrap.service" in command[2]
    assert "start --no-block provision-bootstrap.service" in command[2]


def test_too_large_is_refused_with_numbers() -> None:
    noise = random.Random(1).randbytes(20_000).hex()
    with pytest.raises(Refused, match=r"\d\d,\d{3} bytes compressed; clouds accept 16,384"):
        render(name=noise)


@pytest.mark.parametrize("script", ["bootstrap.sh", "isolate", "make-homes", "rotate-host-key"])
def test_scripts_are_plain_shell(script: str) -> None:
    path = asset(f"cloud-init/{script}")
    subprocess.run(["sh", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", path], check=True)


def test_the_deadline_in_words_that_systemd_reads() -> None:
    assert calendar(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05 UTC"


def cloud_inits_schema() -> Path:
    """From an installed cloud-init, or one unpacked to where PROVISION_CACHE points.

    `apt-get download cloud-init && dpkg-deb -x cloud-init_*.deb "$PROVISION_CACHE/cloud-init"`
    """
    import os

    roots = [Path("/"), Path(os.environ.get("PROVISION_CACHE", "/nonexistent")) / "cloud-init"]
    for root in roots:
        path = root / "usr/lib/python3/dist-packages" / SCHEMA
        if path.exists():
            return path
    pytest.skip(f"cloud-init's schema is in none of {[str(root) for root in roots]}")


def test_cloud_init_itself_has_nothing_against_it() -> None:
    schema = json.loads(cloud_inits_schema().read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of jsonschema, about drafts
        errors = list(jsonschema.Draft4Validator(schema).iter_errors(parsed(render())))
    assert not errors, [f"{list(error.path)}: {error.message}" for error in errors]
