"""The one place that talks to AWS: sessions, clients, calls. Every error leaves here translated.

A call is named as IAM names it ("ec2:RunInstances"), so that what the code does can be compared
with what the policy allows (actions.py). Profiles, SSO, endpoints, proxies and certificates are
boto3's own business and come from where its users keep them.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioner import __version__
from provisioner.errors import UsageError
from provisioner.providers.aws.failures import SIGN_IN_FIRST, SignIn, answered, unanswered

FALLBACK_REGION = "us-east-1"
"""Where to ask which regions there are, when none is chosen."""

SERVICES = {"servicequotas": "service-quotas"}
"""IAM's name of a service, where boto3 has another one."""

ATTEMPTS = 5
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60  # seconds


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom AWS takes us for."""

    account: str
    arn: str


class Clients:
    """AWS in one region, with one set of credentials."""

    def __init__(self, *, profile: str = "", region: str = "") -> None:
        self._profile, self._region = profile, region
        self._shared = _Shared()

    @property
    def region(self) -> str:
        """As asked for, else the environment's or the profile's. Raises UsageError."""
        region = self._region or os.environ.get("AWS_REGION") or self.session.region_name
        if not region:
            raise UsageError(
                "It is not said in which AWS region to work",
                hint="--region eu-west-2, or set AWS_DEFAULT_REGION, or: "
                "aws configure set region eu-west-2",
            )
        return str(region)

    @property
    def chosen(self) -> bool:
        """Whether there is a region to work in."""
        return bool(self._region or os.environ.get("AWS_REGION") or self.session.region_name)

    def elsewhere(self, region: str) -> Clients:
        """The same credentials in another region; "" is where we are."""
        if not region or region == self._region:
            return self
        other = Clients(profile=self._profile, region=region)
        other._shared = self._shared
        return other

    @property
    def session(self) -> Any:
        """boto3's. Raises SignIn for a profile that does not exist."""
        with self._shared.lock:
            if self._shared.session is None:
                self._shared.session = _session(self._profile)
            return self._shared.session

    def call(self, action: str, /, *, once: bool = False, **parameters: Any) -> dict[str, Any]:
        """One API call, such as call("ec2:DescribeVpcs", VpcIds=[…]).

        Throttled and unanswered calls are repeated by botocore, unless `once`: then whoever calls
        decides, because only it knows what a repetition means.

        Raises SignIn, Denied, Declined, Unanswered (failures.py).
        """
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        service, operation = action.split(":")
        try:
            answer = getattr(self._client(service, once), _snake(operation))(**parameters)
        except ClientError as error:
            raise answered(error.response, action) from None
        except (BotoCoreError, ResponseParserError) as error:
            raise unanswered(error, action) from None
        return dict(answer)

    def pages(self, action: str, key: str, /, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The items below `key` of every page of the answer."""
        token: dict[str, Any] = {}
        while True:
            answer = self.call(action, **parameters, **token)
            yield from answer.get(key, ())
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def caller(self) -> Caller:
        """Asked once a process."""
        with self._shared.lock:
            if self._shared.caller is None:
                here = self if self.chosen else self.elsewhere(FALLBACK_REGION)
                said = here.call("sts:GetCallerIdentity")
                self._shared.caller = Caller(str(said["Account"]), str(said["Arn"]))
            return self._shared.caller

    def credentials_end(self) -> datetime | None:
        """When the credentials stop working, where they know it themselves.

        Those that can be renewed without a person are, so that what is left is final.
        Raises SignIn.
        """
        from botocore.exceptions import BotoCoreError

        try:
            credentials = self.session.get_credentials()
            if credentials is not None:
                credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise unanswered(error, "sts:GetCallerIdentity") from None
        if credentials is None:
            raise SignIn("There are no AWS credentials on this computer", hint=SIGN_IN_FIRST)
        end = getattr(credentials, "_expiry_time", None)  # botocore tells it nowhere else
        return end if isinstance(end, datetime) else None

    def _client(self, service: str, once: bool) -> Any:
        key = (service, self.region, once)
        with self._shared.lock:
            if key not in self._shared.clients:
                self._shared.clients[key] = self._make(service, once)
            return self._shared.clients[key]

    def _make(self, service: str, once: bool) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1 if once else ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            user_agent_extra=f"provision/{__version__}",
        )
        name = SERVICES.get(service, service)
        return self.session.client(name, region_name=self.region, config=config)


class _Shared:
    """What all regions have in common. boto3's sessions are not made for threads: one at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.session: Any = None
        self.clients: dict[tuple[str, str, bool], Any] = {}
        self.caller: Caller | None = None


def _session(profile: str) -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.session.Session(profile_name=profile or None)
    except BotoCoreError as error:
        raise unanswered(error, "sts:GetCallerIdentity") from None


def _snake(operation: str) -> str:
    """GetConsoleOutput → get_console_output, as boto3 names its methods."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()
