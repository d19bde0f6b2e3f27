"""Objects of S3, or of what speaks like it. Credentials stay here: the server gets links.

Buckets that are open to everybody are read without credentials where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from provisioner.errors import Refused
from provisioner.models import Download, Link, Secret

VALID = 12 * 3600
"""Seconds that a link is good for. One that its credentials end earlier is made anew."""

SIGN_IN = "aws sso login, or: aws configure; then again"

REASONS = {
    "NoSuchBucket": "there is no such bucket",
    "404": "there is no such bucket",
    "AccessDenied": "these credentials may not list it",
    "403": "these credentials may not list it",
    "ExpiredToken": "the credentials have ended",
    "InvalidAccessKeyId": "AWS does not know these credentials",
    "SignatureDoesNotMatch": "AWS does not accept these credentials",
}


def listing(address: str, *, profile: str = "") -> tuple[Download, ...]:
    """Every object below s3://bucket/prefix, or the one of that name.

    Raises Refused: no such bucket, nothing in it, no credentials, names that are no file names.
    """
    bucket, prefix = _split(address)
    with _translated(address):
        client = _client(bucket, profile)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = {item["Key"]: item for page in pages for item in page.get("Contents", ())}
    if prefix in found and not prefix.endswith("/"):
        chosen = {PurePosixPath(prefix).name: found[prefix]}
    else:
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        chosen = {
            key.removeprefix(folder): item
            for key, item in found.items()
            if key.startswith(folder) and not key.endswith("/")
        }
    if not chosen:
        raise Refused(
            f"There is nothing at {address}", hint=f"aws s3 ls {address}   shows what there is"
        )
    _refuse_odd_names(address, chosen)
    return tuple(_download(path, item) for path, item in sorted(chosen.items()))


def links(address: str, wanted: Sequence[Download], *, profile: str = "") -> tuple[Link, ...]:
    """A link for each, which gives that state of the object or nothing. Raises Refused."""
    bucket, _ = _split(address)
    with _translated(address):
        client = _client(bucket, profile)
        return tuple(_link(client, bucket, item) for item in wanted)


def _link(client: Any, bucket: str, item: Download) -> Link:
    address = client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": item.key}, ExpiresIn=VALID
    )
    return Link(Secret(address), f"If-Match: {item.version}")


def _download(path: str, item: dict[str, Any]) -> Download:
    modified = int(item["LastModified"].timestamp()) * 10**9
    version, key = str(item["ETag"]), str(item["Key"])
    return Download(path, int(item["Size"]), modified, version=version, key=key)


def _split(address: str) -> tuple[str, str]:
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    return bucket, prefix


def _refuse_odd_names(address: str, chosen: dict[str, Any]) -> None:
    """S3's names are any strings; a folder's are not, and none may lead out of it."""
    folders = {str(folder) for path in chosen for folder in PurePosixPath(path).parents}
    for path in chosen:
        odd = any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path
        if odd or path in folders:
            raise Refused(
                f"{path!r} at {address} can't be a file in a folder",
                hint="choose a source below it, or rename it there",
            )


def _client(bucket: str, profile: str) -> Any:
    """For the region that the bucket is in: a link must be signed for it."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ClientError

    session = boto3.session.Session(profile_name=profile or None)
    anonymous = session.get_credentials() is None
    style = {"signature_version": UNSIGNED if anonymous else "s3v4"}
    config = Config(retries={"mode": "standard", "total_max_attempts": 5}, **style)
    region = session.region_name or "us-east-1"
    client = session.client("s3", region_name=region, config=config)
    try:
        answer = client.head_bucket(Bucket=bucket)
    except ClientError as error:
        answer = error.response
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    home = headers.get("x-amz-bucket-region", region)
    if home == region:
        return client
    return session.client("s3", region_name=home, config=config)


@contextmanager
def _translated(address: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        why = REASONS.get(code) or error.response.get("Error", {}).get("Message") or code
        raise Refused(f"{address} can't be read: {why}", hint=SIGN_IN) from None
    except BotoCoreError as error:
        raise Refused(f"{address} can't be read: {error}", hint=SIGN_IN) from None
