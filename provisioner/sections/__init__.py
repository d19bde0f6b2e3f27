"""The sections of workshop.toml: every key stands here once, with its default and its limits."""

from provisioner.sections.places import (
    AwsSection,
    DnsSection,
    HostSection,
    LocalSection,
    NetworkSection,
    TlsSection,
)
from provisioner.sections.workshop import (
    CullingSection,
    DataSection,
    EnvironmentSection,
    LoginSection,
    MaterialsSection,
    NoticeSection,
    ParticipantSection,
    SheetSection,
)

__all__ = [
    "AwsSection",
    "CullingSection",
    "DataSection",
    "DnsSection",
    "EnvironmentSection",
    "HostSection",
    "LocalSection",
    "LoginSection",
    "MaterialsSection",
    "NetworkSection",
    "NoticeSection",
    "ParticipantSection",
    "SheetSection",
    "TlsSection",
]
