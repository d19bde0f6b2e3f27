"""A person's own Dockerfile, told what the institution's network needs, and otherwise as it is.

Behind a private authority nothing in a build can fetch anything, and a Dockerfile written at home
knows nothing of it. So each stage begins with a few lines of ours: they last for the build only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from provisioner.models import Network

TRUST = "provision-trust"
"""A named build context: the folder of the builder's own list of authorities."""

BUNDLE = "/usr/local/share/provision/ca.crt"
NAMES = (
    *("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    *("NODE_EXTRA_CA_CERTS", "CONDA_SSL_VERIFY", "CARGO_HTTP_CAINFO"),
)
"""Where programs look for the authorities to believe."""

_FROM = re.compile(r"\s*FROM\s+\S", re.IGNORECASE)
_HERE_DOCUMENT = re.compile(r"\s\d*<<-?([\"']?)([A-Za-z_]\w*)\1(?=\s|$)")
_TAKES_DOCUMENTS = re.compile(r"\s*(RUN|COPY|ADD)\s", re.IGNORECASE)
_ESCAPE = re.compile(r"#\s*escape\s*=\s*`\s*$", re.IGNORECASE)


def prepared(files: Mapping[str, bytes], network: Network | None = None) -> dict[str, bytes]:
    """`files`, a Dockerfile and what lies beside it, fit to be built on the server.

    Raises ValueError when the Dockerfile is not one.
    """
    try:
        text = files["Dockerfile"].decode()
    except KeyError:
        raise ValueError("there is no Dockerfile") from None
    except UnicodeDecodeError:
        raise ValueError("the Dockerfile is not text in UTF-8") from None
    lines, stages = [], 0
    for instruction in instructions(text):
        lines.extend(instruction)
        if _FROM.match(instruction[0]):
            stages += 1
            lines.extend(preamble(network or Network()))
    if not stages:
        raise ValueError("the Dockerfile has no FROM")
    return dict(files) | {"Dockerfile": ("\n".join(lines) + "\n").encode()}


def preamble(network: Network) -> list[str]:
    words = [f"{name}={BUNDLE}" for name in NAMES]
    if network.pip_index:
        words.append(f"PIP_INDEX_URL={network.pip_index}")
    if network.npm_registry:
        words.append(f"NPM_CONFIG_REGISTRY={network.npm_registry}")
    return [f"COPY --from={TRUST} ca-certificates.crt {BUNDLE}", "ARG " + " ".join(words)]


def instructions(text: str) -> Iterator[list[str]]:
    """The lines of each instruction: continued ones, here documents and comments in between."""
    escape = "`" if any(map(_ESCAPE.match, text.splitlines()[:2])) else "\\"
    rest = iter(text.removeprefix("\ufeff").splitlines())
    for line in rest:
        whole = [line]
        if not line.lstrip().startswith("#"):
            while _goes_on(whole, escape) and (following := next(rest, None)) is not None:
                whole.append(following)
            takes = _TAKES_DOCUMENTS.match(line)
            for _, end in _HERE_DOCUMENT.findall("\n".join(whole)) if takes else ():
                for following in rest:
                    whole.append(following)
                    if following.strip() == end:
                        break
        yield whole


def _goes_on(whole: list[str], escape: str) -> bool:
    """Comments and empty lines end no instruction that a line before them continues."""
    last = whole[-1].strip()
    between = len(whole) > 1 and (not last or last.startswith("#"))
    return between or last.endswith(escape)
