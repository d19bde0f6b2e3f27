"""The small Internet on loopback, BIND and the AWS account that the contract tests use too."""

from __future__ import annotations

from tests.contract.dns_fixtures import account, bind, world

__all__ = ["account", "bind", "world"]
