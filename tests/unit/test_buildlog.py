"""What people are told of a failed build: the tool's own words."""

from __future__ import annotations

import pytest

from provisioner.buildlog import failure

OTHERS = """#7 [hub hub 2/5] RUN pip install -r /tmp/hub.txt
#7 0.2 Requirement already satisfied: six
#9 [notebook notebook  9/12] RUN python3 -m pip install  -r /tmp/environment/requirements.txt
#7 1.1 ERROR: a warning that stopped nothing
#7 DONE 1.2s
"""
END = """#9 ERROR: process "/bin/sh -c {command}" did not complete successfully: exit code: 1
------
 > [notebook notebook  9/12] RUN python3 -m pip install:
0.5 noise
------
failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 1
"""


def build(*said: str) -> list[str]:
    lines = "".join(f"#9 {number}.25 {line}\n" for number, line in enumerate(said))
    return (OTHERS + lines + END).splitlines()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            [
                "Collecting nump",
                "\x1b[31mERROR: Could not find a version that satisfies nump\x1b[0m",
                "ERROR: No matching distribution found for nump",
            ],
            "No matching distribution found for nump",
        ),
        (["Reading package lists...", "E: Unable to locate package gdal-bim"], "Unable to locate"),
        (
            [
                "  error: subprocess-exited-with-error",
                "      ../meson.build:1:0: ERROR: Unknown compiler(s): [['cc']]",
                "error: metadata-generation-failed",
                "hint: See above for details.",
            ],
            "Unknown compiler(s)",
        ),
        (["make: *** [all] Killed"], "make: *** [all] Killed"),
    ],
)
def test_the_line_that_says_most_is_the_reason(said: list[str], reason: str) -> None:
    found = failure(build(*said))
    assert found is not None
    assert reason in found.reason
    assert found.words[0].startswith("[notebook notebook 9/12] RUN")
    told = "\n".join(found.words)
    assert reason in told
    for noise in (
        "Collecting",
        "Requirement already",
        "did not complete",
        "stopped nothing",
        "\x1b",
    ):
        assert noise not in told


def test_a_long_build_is_told_in_few_lines() -> None:
    said = [*(f"line {n}" for n in range(500)), "E: it broke", *(f"after {n}" for n in range(50))]
    found = failure(build(*said))
    assert found is not None
    assert found.reason == "it broke"
    assert 3 < len(found.words) < 20


def test_the_last_of_two_attempts_counts() -> None:
    first, second = build("E: no network"), build("E: no such package")
    found = failure([*first, *second])
    assert found is not None
    assert found.reason == "no such package"


def test_a_base_that_no_registry_has_is_told() -> None:
    line = "failed to solve: quay.io/x/y:1: failed to resolve source metadata: not found"
    found = failure([*OTHERS.splitlines(), line])
    assert found is not None
    assert found.reason.startswith("quay.io/x/y:1: ")


def test_a_build_that_went_well_has_no_failure() -> None:
    assert failure(OTHERS.splitlines()) is None
