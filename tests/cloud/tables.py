"""Answers moto has not got: image parameters, quotas, the console."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from tests.cloud import answers, state
from tests.cloud.answers import Answer, Refusal
from tests.cloud.call import Call
from tests.cloud.settings import IMAGES, Settings

DEBIAN = "/aws/service/debian/release/{release}/latest/{arch}"
BOOT = """\
[    0.000000] Linux version 6.12.43+deb13-cloud-amd64 (debian-kernel@lists.debian.org)
[    1.204310] systemd[1]: Hostname set to <localhost>.
[    4.711236] cloud-init[512]: Cloud-init v. 25.1.4 running 'init' at {now}. Up 4.66 seconds.
[   11.402117] cloud-init[701]: Cloud-init v. 25.1.4 running 'modules:final'. Up 11.35 seconds.

Debian GNU/Linux 13 {name} ttyS0

{name} login: """


def parameters() -> dict[str, str]:
    """What Debian publishes in SSM: name → image."""
    found = {}
    for image in json.loads(IMAGES.read_text()):
        arch = {"x86_64": "amd64"}.get(image["architecture"], image["architecture"])
        for release in ("13", "trixie"):
            found[DEBIAN.format(release=release, arch=arch)] = image["ami_id"]
    return found


def parameter(call: Call) -> Answer | None:
    """GetParameter or GetParameters of a public name; None where moto knows."""
    known = parameters()
    if call.action == "GetParameter" and call.params["Name"] in known:
        return answers.document({"Parameter": _parameter(call, call.params["Name"])})
    if call.action == "GetParameters" and any(name in known for name in call.params["Names"]):
        asked = call.params["Names"]
        there = [_parameter(call, name) for name in asked if name in known]
        missing = [name for name in asked if name not in known]
        return answers.document({"Parameters": there, "InvalidParameters": missing})
    return None


def _parameter(call: Call, name: str) -> dict[str, object]:
    return {
        "Name": name,
        "Type": "String",
        "Value": parameters()[name],
        "Version": 27,
        "LastModifiedDate": 1785542400.0,
        "ARN": f"arn:aws:ssm:{call.region}::parameter{name}",
        "DataType": "aws:ec2:image",
    }


def quota(call: Call, settings: Settings) -> Answer | None:
    if call.params.get("ServiceCode") != "ec2":
        return None
    quotas = {
        "L-1216C47A": (
            "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
            settings.vcpus,
        ),
        "L-34B43A08": (
            "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
            settings.vcpus,
        ),
        "L-0263D0A3": ("EC2-VPC Elastic IPs", settings.addresses),
    }
    code = str(call.params.get("QuotaCode"))
    if code not in quotas:
        words = f"The request failed because the specified service quota {code} does not exist."
        raise Refusal("NoSuchResourceException", words)
    name, value = quotas[code]
    said = {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{call.region}:123456789012:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }
    return answers.document({"Quota": said})


def console(call: Call, said: dict[str, str]) -> Answer:
    """What the console printed; nothing while the instance is still pending."""
    instance_id = call.params.get("InstanceId", "")
    instance = state.instance(instance_id)
    if instance is None:
        words = f"The instance ID '{instance_id}' does not exist"
        raise Refusal("InvalidInstanceID.NotFound", words)
    now = datetime.now(UTC)
    name = (instance.private_dns_name or "ip-172-31-0-1").partition(".")[0]
    text = said.get(instance_id, BOOT.format(now=f"{now:%a, %d %b %Y %H:%M:%S +0000}", name=name))
    output = "" if instance.state == "pending" else base64.b64encode(text.encode()).decode()
    inside = f"<instanceId>{instance_id}</instanceId>"
    inside += f"<timestamp>{now:%Y-%m-%dT%H:%M:%S.000Z}</timestamp><output>{output}</output>"
    return answers.ec2("GetConsoleOutput", inside)
