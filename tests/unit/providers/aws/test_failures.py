"""What AWS says, and what a person makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from provisioner.errors import NotYet, ProvisionError, Refused, UsageError
from provisioner.providers.aws.failures import (
    SignIn,
    Verdict,
    answered,
    classify,
    going_on,
    unanswered,
)

RUN = "ec2:RunInstances"


def response(code: str, message: str = "words", status: int = 400) -> dict[str, Any]:
    return {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }


@pytest.mark.parametrize(
    ("code", "status", "verdict"),
    [
        ("InsufficientInstanceCapacity", 500, Verdict.NEXT_ZONE),
        ("Unsupported", 400, Verdict.NEXT_ZONE),
        ("InsufficientFreeAddressesInSubnet", 400, Verdict.NEXT_ZONE),
        ("VcpuLimitExceeded", 400, Verdict.STOP),
        ("InvalidAMIID.NotFound", 400, Verdict.STOP),
        ("InvalidParameterValue", 400, Verdict.STOP),
        ("UnauthorizedOperation", 403, Verdict.STOP),
        ("PendingVerification", 400, Verdict.STOP),
        ("RequestLimitExceeded", 503, Verdict.BACK_OFF),
        ("InternalError", 500, Verdict.BACK_OFF),
        ("SomethingNobodyHasHeardOf", 500, Verdict.BACK_OFF),
        ("SomethingNobodyHasHeardOf", 400, Verdict.STOP),
        ("ExpiredToken", 403, Verdict.SIGN_IN),
        ("RequestExpired", 400, Verdict.SIGN_IN),
    ],
)
def test_each_code_has_one_consequence(code: str, status: int, verdict: Verdict) -> None:
    assert classify(code, status) is verdict
    assert answered(response(code, status=status), RUN).verdict is verdict


@pytest.mark.parametrize(
    ("code", "status", "unclear"),
    [
        ("InternalError", 500, True),
        ("Unavailable", 503, True),
        ("IdempotentParameterMismatch", 400, True),
        ("RequestLimitExceeded", 503, False),
        ("InsufficientInstanceCapacity", 500, False),
        ("UnauthorizedOperation", 403, False),
    ],
)
def test_only_some_refusals_leave_open_what_happened(code: str, status: int, unclear: bool) -> None:
    assert answered(response(code, status=status), RUN).unclear is unclear


def test_access_denied_names_the_permission_and_spares_the_cipher() -> None:
    words = (
        "User: arn:aws:iam::1:user/a is not authorized. Encoded authorization failure message: X9"
    )
    error = answered(response("UnauthorizedOperation", words, 403), RUN)
    assert isinstance(error, Refused)
    assert RUN in error.message
    assert RUN in error.hint
    assert "X9" not in error.message


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (botocore.NoCredentialsError(), UsageError, "sign in"),
        (botocore.SSOTokenLoadError(error_msg="expired"), UsageError, "aws sso login"),
        (botocore.UnauthorizedSSOTokenError(), UsageError, "aws sso login"),
        (botocore.TokenRetrievalError(provider="sso", error_msg="gone"), UsageError, "sso login"),
        (botocore.LoginRefreshRequired(), UsageError, "aws login"),
        (botocore.ProfileNotFound(profile="labs"), UsageError, "list-profiles"),
        (botocore.NoRegionError(), Refused, "--region"),
        (botocore.EndpointConnectionError(endpoint_url="https://ec2"), NotYet, "online"),
        (botocore.ReadTimeoutError(endpoint_url="https://ec2"), NotYet, "online"),
        (botocore.ConnectionClosedError(endpoint_url="https://ec2"), NotYet, "online"),
        (ResponseParserError("invalid XML received:\n<html>"), NotYet, "login page"),
        (botocore.SSLError(endpoint_url="https://ec2", error="self-signed"), Refused, "CA_BUNDLE"),
    ],
)
def test_no_answer_at_all(error: Exception, kind: type[ProvisionError], word: str) -> None:
    made = unanswered(error, RUN)
    assert isinstance(made, kind)
    assert word in made.hint
    assert made.unclear == isinstance(made, NotYet)


def test_who_has_to_sign_in_is_told_how_to_go_on() -> None:
    with pytest.raises(SignIn) as caught, going_on("provision launch tessera"):
        raise answered(response("ExpiredToken", status=403), RUN)
    assert "sign in again" in caught.value.hint
    assert caught.value.hint.endswith("provision launch tessera")
