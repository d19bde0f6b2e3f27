"""What a cloud is asked for: how many calls, and how long, beside Terraform doing the same.

Both make one instance, one security group and one record, and delete them, at the same fake cloud.
The aim is a fifth of Terraform's time each way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.aws.conftest import HOSTNAME, World, quick_cloud, world  # noqa: F401 - fixtures

TERRAFORM = """\
provider "aws" {
  region                      = "eu-west-2"
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    ec2     = "%(url)s"
    route53 = "%(url)s"
    sts     = "%(url)s"
  }
}
data "aws_route53_zone" "zone" { name = "workshops.example.org." }
resource "aws_security_group" "workshop" {
  name = "terraform"
  dynamic "ingress" {
    for_each = [22, 80, 443]
    content {
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["0.0.0.0/0"]
    }
  }
}
resource "aws_instance" "workshop" {
  ami                    = "%(ami)s"
  instance_type          = "m7i.large"
  vpc_security_group_ids = [aws_security_group.workshop.id]
}
resource "aws_route53_record" "workshop" {
  zone_id = data.aws_route53_zone.zone.zone_id
  name    = "terraform.workshops.example.org"
  type    = "A"
  ttl     = 60
  records = [aws_instance.workshop.public_ip]
}
"""


def ours(world: World) -> tuple[dict[str, float], dict[str, int]]:  # noqa: F811
    """Seconds of the cloud's part of launch and teardown, and the number of calls of each."""
    start = len(world.cloud.calls())
    launched = world("launch", "--yes", "--json")
    assert launched.code == 0, launched.err
    middle = len(world.cloud.calls())
    timings = launched.json["timings"]
    up = sum(timings[step] for step in ("create", "machine", "point", "dns"))
    before = time.monotonic()
    assert world("teardown", "--discard-homes", "--yes").code == 0
    down = time.monotonic() - before  # Python's start is in it, too
    calls = {"launch": middle - start, "teardown": len(world.cloud.calls()) - middle}
    return {"launch": up, "teardown": down}, calls


def test_calls_and_seconds(world: World) -> None:  # noqa: F811
    seconds, calls = ours(world)
    print(
        f"\nAWS calls: {calls['launch']} in a launch, {calls['teardown']} in a teardown;"
        f" seconds of the cloud's part: {seconds['launch']:.1f} and {seconds['teardown']:.1f}"
    )
    world.empty()
    assert HOSTNAME not in str(world.records())


def test_against_terraform(world: World, tmp_path: Path) -> None:  # noqa: F811
    if shutil.which("terraform") is None:
        pytest.skip("there is no terraform here to compare with")
    ami = world.cloud.client("ec2").describe_images()["Images"][0]["ImageId"]
    (tmp_path / "main.tf").write_text(TERRAFORM % {"url": world.cloud.url, "ami": ami})
    environ = os.environ | world.cloud.environ
    ready = subprocess.run(
        ["terraform", "init", "-input=false"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        check=False,
    )
    if ready.returncode != 0:
        pytest.skip("terraform has no AWS provider here")
    theirs = {}
    for name, word in (("launch", "apply"), ("teardown", "destroy")):
        before = time.monotonic()
        subprocess.run(
            ["terraform", word, "-auto-approve", "-input=false"],
            cwd=tmp_path,
            env=environ,
            check=True,
        )
        theirs[name] = time.monotonic() - before
    seconds, _ = ours(world)
    for name, took in seconds.items():
        print(f"\n{name}: provision ÷ terraform = {took / theirs[name]:.2f} (aim 0.2)")
    assert seconds["launch"] < theirs["launch"]
