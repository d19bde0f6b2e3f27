"""Imports go down the floors only, and edges never import edges."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "provisioner"

WORDS = {"errors", "models", "protocols", "visits"}
MAKING = {
    "keys",
    "sizing",
    "sections",
    "render",
    "sheet",
    "tls",
    "buildlog",
    "certificate",
    "environment",
    "roster",
    "survey",
    "seating",
    "workshop_file",
}
EDGES = {
    *("providers.local", "providers.aws", "providers.host", "providers.fake"),
    *("remote", "dns", "sources", "store", "settings"),
}
ORDER = {"workflow"}
HUMAN = {"cli"}
DATA_AT_HAND = {
    "store",
    "settings",
}  # plain files of the operator's: workflow reads and writes them


def floor_of(module: str) -> tuple[int, str]:
    """Number and name of the part that `module` (without "provisioner.") belongs to."""
    floors = (WORDS, MAKING, EDGES, ORDER, HUMAN)
    for number, parts in enumerate(floors):
        for part in parts:
            if module == part or module.startswith(part + "."):
                return number, part
    return 0, module


def imports() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        here = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                if name.startswith("provisioner."):
                    yield here, name.removeprefix("provisioner.")


def test_imports_go_down_only() -> None:
    wrong = []
    for here, there in imports():
        (from_floor, from_part), (to_floor, to_part) = floor_of(here), floor_of(there)
        if to_floor > from_floor:
            wrong.append(f"{here} imports {there}, which is above it")
        if from_floor == to_floor == 2 and from_part != to_part and to_part not in DATA_AT_HAND:
            wrong.append(f"{here} imports another edge, {there}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_workflow_knows_protocols_only() -> None:
    for here, there in imports():
        if here.startswith("workflow") and floor_of(there)[0] == 2:
            assert floor_of(there)[1] in DATA_AT_HAND, f"{here} imports {there}"


def test_only_the_wiring_joins_edges() -> None:
    edges = EDGES - DATA_AT_HAND
    for here, there in imports():
        if here.startswith("cli") and here != "cli.wiring":
            assert floor_of(there)[1] not in edges, f"{here} imports {there}"


def test_modules_stay_small() -> None:
    for path in PACKAGE.rglob("*.py"):
        lines = path.read_text().count("\n")
        assert lines <= 450, f"{path.name} has {lines} lines"


def test_nothing_that_hides_unsafe_work() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for word in ("verify=False", "AutoAddPolicy", "StrictHostKeyChecking=no", "shell=True"):
            assert word not in text, f"{path.name}: {word}"
