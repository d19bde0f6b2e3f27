"""`bake`: golden images, made, listed and deleted."""

from __future__ import annotations

from typing import Any

from provisioner.cli.output import print_json, stdout, table
from provisioner.errors import Refused
from provisioner.models import Image, Spec
from provisioner.protocols import Bakes, Provider
from provisioner.sizing import format_size
from provisioner.workflow.tools import Tools


def _baker(provider: Provider) -> Bakes:
    if not isinstance(provider, Bakes):
        raise Refused(f"The provider {provider.name} needs no images of ours")
    return provider


def bake(tools: Tools, spec: Spec) -> Image:
    baker = _baker(tools.provider)
    there = baker.baked(spec)
    image = baker.bake(spec, tools.reporter)
    verb = "is there already" if there else "is made"
    tools.reporter.note(f"image {image.key} {verb}: {format_size(image.size)} at {image.path}")
    return image


def show(tools: Tools, *, prune: bool, as_json: bool) -> None:
    baker = _baker(tools.provider)
    if prune:
        gone = list(baker.prune(lambda image: bool(image.in_use_by)))
        for image in gone:
            tools.reporter.note(f"deleted {image.key}, {format_size(image.size)}")
        if not gone:
            tools.reporter.note("every image is in use")
    left = baker.images()
    if as_json:
        print_json([as_json_of(image) for image in left])
        return
    rows = [
        (
            image.key,
            format_size(image.size),
            image.created_at.astimezone().strftime("%Y-%m-%d %H:%M"),
            ", ".join(image.in_use_by),
        )
        for image in left
    ]
    stdout.print(table("Image", "On disk", "Made", "Used by", rows=[*rows]))


def as_json_of(image: Image) -> dict[str, Any]:
    return {
        "key": image.key,
        "path": str(image.path),
        "size": image.size,
        "created_at": image.created_at.isoformat(),
        "in_use_by": list(image.in_use_by),
    }
