"""What README says that can be checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

from provisioner.cli.app import VERBS
from provisioner.providers.aws.actions import policy
from provisioner.settings import known_keys

README = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")


def test_the_policy_is_the_one_that_the_calls_need() -> None:
    (shown,) = re.findall(r"```json\n(.*?)\n```", README, re.DOTALL)
    assert json.loads(shown) == policy()


def test_every_section_of_workshop_toml_is_in_the_table() -> None:
    for section in {key.split(".")[0] for key in known_keys()}:
        assert re.search(rf"`(\[\[)?{section}[.`\]]", README), section


def test_every_verb_is_named() -> None:
    for functions in VERBS.values():
        for function in functions:
            assert f"`{function.__name__.rstrip('_')}" in README, function.__name__


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not re.findall(r"@[A-Z]+@", README)
