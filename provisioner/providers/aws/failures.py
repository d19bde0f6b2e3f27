"""The border: what AWS and botocore say, as this program's errors. The tables are the knowledge.

A code means the same wherever it comes from; only asking for a machine (ladder.py) acts on more
than the error's class. Codes are those of the EC2 API reference, "Error codes for the Amazon EC2
API", and of the common errors of the other services.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from provisioner.errors import NotYet, ProvisionError, Refused, UsageError


class Verdict(StrEnum):
    """What to do about a refused call."""

    NEXT_ZONE = "next zone"  # no room here; the next zone may have some
    NEXT_TYPE = "next type"  # no zone will have it
    BACK_OFF = "back off"  # ask the same again in a while
    SIGN_IN = "sign in"  # nothing works until a person has signed in again
    STOP = "stop"  # asking anything else will not help


VERDICTS: Mapping[str, Verdict] = {
    code: verdict
    for verdict, codes in {
        Verdict.NEXT_ZONE: (
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "InsufficientCapacityOnHost",
            "InsufficientFreeAddressesInSubnet",
            "InsufficientAddressCapacity",
            "InsufficientVolumeCapacity",
            "UnfulfillableCapacity",
            "Unsupported",
            "SpotMaxPriceTooLow",
        ),
        Verdict.NEXT_TYPE: ("InvalidInstanceType", "UnsupportedOperation"),
        Verdict.BACK_OFF: (
            "RequestLimitExceeded",
            "EC2ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
            "InternalError",
            "InternalFailure",
            "Unavailable",
            "ServiceUnavailable",
            "IdempotentParameterMismatch",
            "InvalidGroup.NotFound",
            "IncorrectInstanceState",
        ),
        Verdict.SIGN_IN: (
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
            "InvalidClientTokenId",
            "InvalidToken",
            "UnrecognizedClientException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationToken",
            "AuthFailure",
        ),
    }.items()
    for code in codes
}

DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"})

DEFINITE = frozenset(
    {
        "RequestLimitExceeded",
        "EC2ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "InvalidGroup.NotFound",
        "IncorrectInstanceState",
    }
)
"""To be asked again, and yet it is sure that nothing was done. Of the other ones it is not."""

QUOTAS: Mapping[str, str] = {
    "VcpuLimitExceeded": "L-1216C47A",
    "InstanceLimitExceeded": "L-1216C47A",
    "MaxSpotInstanceCountExceeded": "L-34B43A08",
    "AddressLimitExceeded": "L-0263D0A3",
}
"""A code → the quota that it is about."""

FIXES: Mapping[str, str] = {
    "OptInRequired": "complete the account's registration, or enable the region, in the console",
    "PendingVerification": "AWS is verifying the account; launch again in a few hours",
    "Blocked": "AWS has blocked the account: ask https://aws.amazon.com/support",
    "VolumeLimitExceeded": "a smaller aws.disk, or ask AWS for more gp3 storage",
    "NetworkInterfaceLimitExceeded": "delete unused network interfaces in this region",
    "SecurityGroupLimitExceeded": "delete unused security groups, or: provision gc",
    "VPCIdNotSpecified": "aws ec2 create-default-vpc, or name a subnet in aws.subnet",
}
"""A code → the one thing that helps."""


class AwsError(ProvisionError):
    """What every error of this border knows beyond its words."""

    code = ""
    action = ""  # as IAM calls it: ec2:RunInstances
    verdict = Verdict.STOP
    unclear = False  # the call may have been carried out all the same


class SignIn(AwsError, UsageError):
    """AWS does not take the credentials, or there are none."""


class Denied(AwsError, Refused):
    """AWS knows who asks, and does not allow it."""


class Declined(AwsError, Refused):
    """AWS will not do it; the reason is in the code."""


class Unanswered(AwsError, NotYet):
    """No answer, or one that says to ask again."""


def classify(code: str, status: int = 400) -> Verdict:
    """What a code means. An unknown one of HTTP's 500s is worth another try."""
    if verdict := VERDICTS.get(code):
        return verdict
    return Verdict.BACK_OFF if status >= 500 else Verdict.STOP


def answered(response: Mapping[str, Any], action: str) -> AwsError:
    """The error for a refusal, `response` being botocore's ClientError.response."""
    said = response.get("Error", {})
    code = str(said.get("Code") or "Unknown")
    words = _plain(str(said.get("Message") or ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 400)
    verdict = classify(code, status)
    error: AwsError
    if code in DENIED:
        error = Denied(
            f"AWS does not allow you {action}: {words}",
            hint=f"ask the account's administrator for the permission {action}",
        )
    elif verdict is Verdict.SIGN_IN:
        error = SignIn(f"AWS does not take your credentials ({code}): {words}", hint=SIGN_IN)
    elif verdict is Verdict.BACK_OFF:
        error = Unanswered(f"AWS could not do {action} now ({code}): {words}")
    else:
        error = Declined(f"AWS refused {action} ({code}): {words}", hint=FIXES.get(code, ""))
    return _known(
        error, action, code, verdict, verdict is Verdict.BACK_OFF and code not in DEFINITE
    )


def unanswered(error: Exception, action: str) -> AwsError:
    """The error for a call that got no answer, `error` being a BotoCoreError."""
    kind = next((name for name in _lineage(error) if name in _WITHOUT_ANSWER), "")
    if not kind:
        # Wrong parameters and unknown operations: a bug here. The library's words say where.
        return _known(AwsError(f"{action} failed: {error}"), action, type(error).__name__)
    make, verdict, hint = _WITHOUT_ANSWER[kind]
    unclear = verdict is Verdict.BACK_OFF
    words = str(error).partition("\n")[0][:300]  # it may quote a whole page
    return _known(make(words, hint=hint), action, type(error).__name__, verdict, unclear)


SIGN_IN = "sign in again (aws sso login, aws login, or fresh AWS_* variables)"
SIGN_IN_FIRST = "sign in to AWS: aws configure sso, aws login, or the AWS_* variables"
_NO_REGION = "--region eu-west-2, or set AWS_DEFAULT_REGION, or: aws configure set region eu-west-2"

_WITHOUT_ANSWER: Mapping[str, tuple[type[AwsError], Verdict, str]] = {
    "NoCredentialsError": (SignIn, Verdict.SIGN_IN, SIGN_IN_FIRST),
    "PartialCredentialsError": (SignIn, Verdict.SIGN_IN, SIGN_IN),
    "CredentialRetrievalError": (SignIn, Verdict.SIGN_IN, SIGN_IN),
    "TokenRetrievalError": (SignIn, Verdict.SIGN_IN, "aws sso login"),
    "SSOError": (SignIn, Verdict.SIGN_IN, "aws sso login"),
    "LoginError": (SignIn, Verdict.SIGN_IN, "aws login"),
    "ConfigParseError": (SignIn, Verdict.SIGN_IN, "correct that file"),
    "ProfileNotFound": (SignIn, Verdict.SIGN_IN, "aws configure list-profiles names them"),
    "NoRegionError": (Declined, Verdict.STOP, _NO_REGION),
    "InvalidRegionError": (Declined, Verdict.STOP, _NO_REGION),
    "SSLError": (
        Declined,
        Verdict.STOP,
        "if your network has a certificate authority of its own, name its file in AWS_CA_BUNDLE",
    ),
    "ResponseParserError": (
        Unanswered,
        Verdict.BACK_OFF,
        "is something between this computer and AWS answering instead, such as a login page?",
    ),
    "HTTPClientError": (Unanswered, Verdict.BACK_OFF, "is this computer online?"),
    "ConnectionError": (Unanswered, Verdict.BACK_OFF, "is this computer online?"),
}
"""Class of botocore's exceptions, or one of its bases → ours. The nearest base counts."""


@contextmanager
def going_on(command: str) -> Iterator[None]:
    """Whoever has to sign in, or to wait, is also told how the work goes on."""
    try:
        yield
    except (SignIn, Unanswered) as error:
        if command not in error.hint:
            error.hint = f"{error.hint}, then: {command}" if error.hint else command
        raise


@contextmanager
def suppressed(*codes: str) -> Iterator[None]:
    """Refusals with one of these codes are as good as success."""
    try:
        yield
    except AwsError as error:
        if error.code not in codes:
            raise


def _known(
    error: AwsError,
    action: str,
    code: str,
    verdict: Verdict = Verdict.STOP,
    unclear: bool = False,
) -> AwsError:
    error.action, error.code, error.verdict, error.unclear = action, code, verdict, unclear
    return error


def _lineage(error: Exception) -> Iterator[str]:
    for kind in type(error).__mro__:
        yield kind.__name__


def _plain(words: str) -> str:
    """Without the part that only the account's administrator could decode."""
    return re.sub(r"\s*Encoded authorization failure message: \S+", "", words).strip()
