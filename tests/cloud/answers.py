"""What the cloud says, in the form each of its protocols has for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import uuid4
from xml.sax.saxutils import escape

from tests.cloud.call import Call

# HTTP status of a refusal; 400 where nothing is said here.
STATUS = {
    "InsufficientInstanceCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InsufficientCapacityOnHost": 500,
    "InsufficientAddressCapacity": 500,
    "InsufficientVolumeCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "Unavailable": 503,
    "ServiceUnavailable": 503,
    "RequestLimitExceeded": 503,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "AuthFailure": 401,
    "OptInRequired": 401,
    "DryRunOperation": 412,
    "NoSuchChange": 404,
    "NoSuchHostedZone": 404,
}
MESSAGE = {
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {InstanceType} capacity in the Availability Zone "
        "you requested ({zone}). Our system will be working on provisioning additional capacity."
    ),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of {vcpus} allows "
        "for the instance bucket that the specified instance type belongs to."
    ),
    "Unsupported": (
        "Your requested instance type ({InstanceType}) is not supported in your requested "
        "Availability Zone ({zone})."
    ),
    "RequestLimitExceeded": "Request limit exceeded.",
    "Throttling": "Rate exceeded",
    "InternalError": "An internal error has occurred",
    "UnauthorizedOperation": "You are not authorized to perform this operation.",
    "AccessDenied": "User: {arn} is not authorized to perform: {service}:{action}",
    "ExpiredToken": "The security token included in the request is expired",
    "RequestExpired": "Request has expired.",
    "DryRunOperation": "Request would have succeeded, but DryRun flag is set.",
    "PriorRequestNotComplete": (
        "The request was rejected because Route 53 was still processing a prior request."
    ),
    "AddressLimitExceeded": "The maximum number of addresses has been reached.",
}


class Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return {"arn": "arn:aws:iam::123456789012:user/organiser"}.get(key, "unknown")


@dataclass
class Answer:
    status: int
    body: bytes
    kind: str = "text/xml"


@dataclass
class Refusal(Exception):
    code: str
    message: str | None = None
    status: int | None = None

    def answer(self, call: Call) -> Answer:
        status = self.status or STATUS.get(self.code, 400)
        known = Blank(
            {k: v for k, v in call.params.items() if isinstance(v, str)}
            | call.facts
            | {"service": call.service, "action": call.action}
        )
        message = self.message or MESSAGE.get(self.code, self.code).format_map(known)
        if call.service in ("ssm", "servicequotas", "pricing", "scheduler"):
            said = {"__type": self.code, "message": message, "Message": message}
            return Answer(status, json.dumps(said).encode(), "application/x-amz-json-1.1")
        error = f"<Code>{escape(self.code)}</Code><Message>{escape(message)}</Message>"
        if call.service == "ec2":
            inside = f"<Errors><Error>{error}</Error></Errors><RequestID>{uuid4()}</RequestID>"
            return Answer(status, f"<Response>{inside}</Response>".encode())
        inside = f"<Error><Type>Sender</Type>{error}</Error><RequestId>{uuid4()}</RequestId>"
        return Answer(status, f"<ErrorResponse>{inside}</ErrorResponse>".encode())


def document(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode(), "application/x-amz-json-1.1")


def ec2(action: str, inside: str) -> Answer:
    space = "http://ec2.amazonaws.com/doc/2016-11-15/"
    name = f"{action}Response"
    text = f'<{name} xmlns="{space}"><requestId>{uuid4()}</requestId>{inside}</{name}>'
    return Answer(200, text.encode())


def route53(name: str, inside: str) -> Answer:
    space = "https://route53.amazonaws.com/doc/2013-04-01/"
    return Answer(200, f'<{name} xmlns="{space}">{inside}</{name}>'.encode())
