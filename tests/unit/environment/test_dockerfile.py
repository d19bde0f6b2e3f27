from __future__ import annotations

import pytest

from provisioner.environment.dockerfile import instructions, preamble, prepared
from provisioner.models import Network

SEED = r"""FROM jupyter/datascience-notebook:latest
RUN pip install --no-cache-dir \
    jupyterhub \
    # FROM is a word here
    ipyleaflet
USER root
CMD ["jupyterhub", "-f", "/srv/jupyterhub/jupyterhub_config.py"]
"""


def made(text: str, **files: bytes) -> list[str]:
    network = Network(pip_index="https://pip.example.org/simple")
    return (
        prepared({"Dockerfile": text.encode(), **files}, network)["Dockerfile"].decode().split("\n")
    )


def test_each_stage_learns_whom_to_trust_and_nothing_else_changes() -> None:
    text = "ARG A=1\nfrom a AS one\nRUN x\n  FROM --platform=b \\\n  b\nCOPY --from=one / /\n"
    lines = made(text)
    trust, mirror = preamble(Network(pip_index="https://pip.example.org/simple"))
    assert "PIP_INDEX_URL=https://pip.example.org/simple" in mirror
    assert lines.count(trust) == lines.count(mirror) == 2
    assert [line for line in lines if line not in (trust, mirror)] == text.split("\n")
    assert lines[lines.index("  b") + 1] == trust  # behind the whole instruction


def test_the_seeds_dockerfile_is_one() -> None:
    assert made(SEED)[0] == "FROM jupyter/datascience-notebook:latest"
    assert len(made(SEED)) == len(SEED.split("\n")) + 2


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN <<END\nFROM here\nEND\nRUN y\n",
        "FROM a\nCOPY <<-'EOF' /x\n\tFROM here\n\tEOF\nRUN y\n",
        "FROM a\nRUN x \\\n\n# FROM a comment\n  FROM words\nRUN y\n",
        "# escape=`\nFROM a\nRUN x `\n FROM words\nRUN y\n",
        "FROM a\nRUN python -c 'print(1<<n)' <<A <<B\nFROM 1\nA\nFROM 2\nB\nRUN y\n",
    ],
)
def test_from_inside_another_instruction_begins_no_stage(text: str) -> None:
    begun = [whole for whole in instructions(text) if whole[0].lstrip().startswith("FROM")]
    assert begun == [["FROM a"]]
    assert [line for whole in instructions(text) for line in whole] == text.splitlines()


def test_a_shift_is_no_here_document() -> None:
    lines = made("FROM a\nRUN python -c 'print(1 <<n)'\nFROM b\n")
    assert sum(line.startswith("COPY --from=") for line in lines) == 2


@pytest.mark.parametrize("text", ["", "RUN x\n", "# FROM a\n"])
def test_what_has_no_base_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no FROM"):
        made(text)


def test_the_rest_of_the_folder_is_taken_as_it_is() -> None:
    files = {"Dockerfile": b"FROM a\n", "x/data.bin": b"\xff\x00"}
    assert prepared(files).keys() == files.keys()
    assert prepared(files)["x/data.bin"] == b"\xff\x00"
