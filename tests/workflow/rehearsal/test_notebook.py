from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import UsageError
from provisioner.models import MaterialsSource
from provisioner.workflow.rehearsal.notebook import default_notebook, home_folder, read_notebook


def written(*cells: dict[str, Any], **metadata: Any) -> Path:
    path = Path("mine.ipynb")
    path.write_text(json.dumps({"nbformat": 4, "metadata": metadata, "cells": list(cells)}))
    return path


def code(source: str | list[str], *tags: str) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}


def test_code_cells_run_in_order_under_the_numbers_that_people_count() -> None:
    words = {"cell_type": "markdown", "source": "# Hello"}
    path = written(words, code(["a = 1\n", "a"]), code("  \n"), code("1/0", "raises-exception"))
    found = read_notebook(path)
    assert [(cell.number, cell.code, cell.may_fail) for cell in found.cells] == [
        (2, "a = 1\na", False),
        (4, "1/0", True),
    ]


@pytest.mark.parametrize(
    ("kernelspec", "runs"),
    [
        ({}, "python3"),
        ({"name": "conda-env-geo-py", "language": "python"}, "python3"),
        ({"name": "ir", "language": "R"}, "ir"),
    ],
)
def test_the_kernel_is_the_images_own(kernelspec: dict[str, str], runs: str) -> None:
    assert read_notebook(written(code("1"), kernelspec=kernelspec)).kernel == runs


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "is not a notebook"),
        ("[]", "format 4"),
        ('{"worksheets": [], "nbformat": 3}', "format 4"),
        ('{"cells": [{"source": "1"}]}', "is not a notebook"),
        ('{"cells": []}', "no code cell"),
    ],
)
def test_what_is_no_notebook_is_said(text: str, said: str) -> None:
    Path("x.ipynb").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_notebook(Path("x.ipynb"))


def test_one_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"none\.ipynb can't be read"):
        read_notebook(Path("none.ipynb"))


def test_the_usual_things_read_all_shared_data_and_are_valid_python() -> None:
    found = default_notebook(("/tessera", "/it's"))
    for cell in found.cells:
        compile(cell.code, "cell", "exec")
    assert any("/tessera" in cell.code for cell in found.cells)


def test_a_notebook_of_the_materials_runs_where_participants_have_it() -> None:
    Path("course/day1").mkdir(parents=True)
    notebook = Path("course/day1/a.ipynb")
    assert home_folder(notebook, MaterialsSource("course")) == "course/day1"
    assert home_folder(notebook, MaterialsSource("course", folder="geo")) == "geo/day1"
    assert home_folder(Path("course/b.ipynb"), MaterialsSource("course")) == "course"
    assert home_folder(Path("other.ipynb"), MaterialsSource("course")) == ""
    assert home_folder(notebook, MaterialsSource("https://example.org/x.git")) == ""
    assert home_folder(notebook, None) == ""
