"""Events on transitions, for `kubectl describe` (Kubernetes API: Event)."""

from __future__ import annotations

import logging

from codesessions_crds.conditions import readable
from codesessions_crds.names import API_VERSION, OPERATOR_MANAGER, random_text
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import KubeError
from codesessions_kube.kinds import EVENT

from codesessions_operator.clock import now, render
from codesessions_operator.desired.common import Session

_log = logging.getLogger(__name__)


async def record(client: KubeClient, session: Session, *, warning: bool, reason: str, message: str) -> None:
    """Write an event about a session."""
    about = (session.namespace, session.name, session.uid)
    await record_about(client, "CodeSession", about, warning=warning, reason=reason, message=message)


async def record_about(
    client: KubeClient, kind: str, about: tuple[str, str, str], *, warning: bool, reason: str, message: str
) -> None:
    """Write an event about namespace, name and uid. A failure is logged and no more: an event is news, not state."""
    namespace, name, uid = about
    moment = render(now())
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{random_text(12)}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": kind,
            "namespace": namespace,
            "name": name,
            "uid": uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": readable(message)[:1024],
        "source": {"component": OPERATOR_MANAGER},
        "reportingComponent": OPERATOR_MANAGER,
        "reportingInstance": OPERATOR_MANAGER,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
    try:
        await client.create(EVENT, namespace, body, manager=OPERATOR_MANAGER)
    except KubeError as error:
        _log.warning("an event about %s/%s was not written: %s", namespace, name, error.message)
