from __future__ import annotations

from pathlib import Path

from provisioner.providers.local import cgroups


def test_empty_groups_of_bakes_go_on_either_version(tmp_path: Path) -> None:
    for folder in ("provision-bake-1/buildkit/x", "memory/provision-bake-2/y", "memory/docker"):
        (tmp_path / folder).mkdir(parents=True)
    busy = tmp_path / "cpu/provision-bake-3/z"
    busy.mkdir(parents=True)
    (busy / "task").touch()
    cgroups.remove_empty(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        *("cpu", "docker", "memory", "provision-bake-3", "task", "z"),
    ]
