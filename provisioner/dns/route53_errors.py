"""boto3's errors in our words. The codes are those of the Route 53 API reference and of STS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import botocore.exceptions as boto

from provisioner.errors import NotYet, ProvisionError, Refused

AGAIN = frozenset(
    {
        "PriorRequestNotComplete",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "InternalError",
        "InternalFailure",
    }
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
UNKNOWN_KEY = frozenset(
    {"InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure"}
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
CHANGED = frozenset({"InvalidChangeBatch", "InvalidInput"})

EXPIRED_LOGIN = (
    boto.TokenRetrievalError,
    boto.SSOTokenLoadError,
    boto.UnauthorizedSSOTokenError,
)
NO_LOGIN = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.NoAuthTokenError,
)
UNREACHABLE = (boto.HTTPClientError, boto.ConnectionError)


@contextmanager
def translated(profile: str) -> Iterator[None]:
    """Raises Refused for what a person must change, NotYet for what another try may mend."""
    try:
        yield
    except boto.ClientError as error:
        raise _of_the_service(error, profile) from None
    except EXPIRED_LOGIN as error:
        raise _expired(profile, str(error)) from None
    except NO_LOGIN as error:
        raise Refused(f"There are no AWS credentials: {error}", hint=_login(profile)) from None
    except UNREACHABLE as error:
        raise NotYet(f"Route 53 can't be reached: {error}") from None
    except boto.BotoCoreError as error:
        raise Refused(f"Route 53 was not asked: {error}") from None


def _of_the_service(error: Any, profile: str) -> ProvisionError:
    code = error.response.get("Error", {}).get("Code", "")
    words = error.response.get("Error", {}).get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in EXPIRED:
        return _expired(profile, words)
    if code in UNKNOWN_KEY:
        return Refused(f"AWS does not know these credentials: {words}", hint=_login(profile))
    if code in DENIED:
        return Refused(
            f"These AWS credentials may not {error.operation_name}: {words}",
            hint=f"have route53:{error.operation_name} allowed, or take another [aws] profile",
        )
    if code in CHANGED:
        return NotYet(f"The zone changed while we were changing it: {words}")
    if code in AGAIN or status >= 500:
        return NotYet(f"Route 53 asks to be asked later: {code}")
    return Refused(f"Route 53 refused {error.operation_name}: {code}: {words}")


def _expired(profile: str, words: str) -> Refused:
    return Refused(f"The AWS credentials have expired: {words}", hint=_login(profile))


def _login(profile: str) -> str:
    return f"aws sso login --profile {profile}" if profile else "aws sso login, or aws configure"
