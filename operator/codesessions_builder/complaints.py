"""What is said of a step that failed: the lines that tell most, and what to do. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from codesessions_builder.errors import BuildError
from codesessions_builder.runner import KILLED

NOT_FOUND = 127
"""Exit code of a shell that knows no such command (POSIX)."""
_NOISE = re.compile(
    r"\s*$|\$ |==> |> |npm (error|ERR!)( A complete log| Run \"npm help|\s*$)"
    r"|.*(note: This error originates|See above for output|hint: See above)|[│╰─>^~\s]+$"
    r"|\s*at .*:\d+:\d+\)?$|\s*at .*<anonymous>\)?$|Node\.js v\d|WARNING: Retrying \(Retry\("
)
"""Lines that say nothing about why a step has failed."""
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_USAGE = re.compile(r"npm (error|ERR!) (Clean install|Usage:)")
_UNREACHED = (
    *("ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT", "ECONNREFUSED", "Could not resolve", "Temporary failure in name"),
    *("Failed to establish a new connection", "Network is unreachable", "ConnectTimeoutError", "dns error"),
    *("Name or service not known", "connection timed out", "No route to host", "ProxyError"),
)
_UNTRUSTED = (
    *("CERTIFICATE_VERIFY_FAILED", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UnknownIssuer"),
    *("UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "DEPTH_ZERO_SELF_SIGNED_CERT", "certificate signed by unknown authority"),
)


def complaint(code: int, lines: Sequence[str]) -> BuildError:
    """Of a step that ended with exit code `code`, whose last lines these are."""
    if code == KILLED:
        return BuildError("step_killed", "the build was killed, most likely for using too much memory (build.memory)")
    text = f"a build step ended with exit code {code}; its last lines: {telling(lines)}"
    if code == NOT_FOUND:
        text += ". A command was not found: add the package that has it to the project's (dev)dependencies"
    if _names(lines, _UNTRUSTED):
        text += (
            ". The build pod does not trust the certificate of what it asks: an authority of the platform's own is"
            " named by the chart's value build.caConfigMap, a ConfigMap with ca.crt in this namespace"
        )
    elif _names(lines, _UNREACHED):
        text += (
            ". The build pod reached no package index: the platform opens a way to one by the chart's values build.env"
            " (HTTPS_PROXY, PIP_INDEX_URL, npm_config_registry) and build.caConfigMap"
        )
        return BuildError("no_package_index", text)
    return BuildError("step_failed", text)


def _names(lines: Iterable[str], words: Iterable[str]) -> bool:
    return any(word in line for line in lines for word in words)


def telling(lines: Sequence[str]) -> str:
    """Of the last lines of a step those that tell most: npm begins with the cause, all others end with it."""
    plain = [_COLOURS.sub("", line) for line in lines]
    found = [line.strip() for line in plain if not _NOISE.match(line)]
    usage = next((at for at, line in enumerate(found) if _USAGE.match(line)), None)
    of_npm = [line for line in found[:usage] if line.startswith(("npm error", "npm ERR!"))]
    before = [line for line in found if not line.startswith(("npm error", "npm ERR!"))]
    chosen = before[-2:] + of_npm[:5] if of_npm else found[-5:]
    return " / ".join(line[:300] for line in chosen)[-900:]
