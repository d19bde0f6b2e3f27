"""The right keeper for each setting, at no cost to commands that keep no name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from provisioner import dns
from provisioner.errors import UsageError
from provisioner.models import DnsOptions


@pytest.mark.parametrize("provider", dns.KEEPERS)
def test_every_setting_has_its_keeper(provider: str) -> None:
    options = DnsOptions(provider=provider, server="127.0.0.1")
    assert dns.make(options, profile="teaching").name == provider


def test_an_unknown_keeper_is_a_usage_error_that_names_the_known() -> None:
    with pytest.raises(UsageError) as raised:
        dns.make(DnsOptions(provider="hosts"))
    assert "manual" in raised.value.hint


def test_keeping_no_name_loads_no_library() -> None:
    code = (
        "import sys; from provisioner import dns; from provisioner.models import DnsOptions;"
        "dns.make(DnsOptions()); print({'dns', 'boto3', 'botocore'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
