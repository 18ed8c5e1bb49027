"""Carries out what was decided, one call at a time, each safe to repeat."""

from __future__ import annotations

from typing import Any

from codesessions_crds.codesession import Workspace
from codesessions_crds.credentials import workspace_key
from codesessions_crds.names import OPERATOR_MANAGER
from codesessions_kube.client import KubeClient
from codesessions_kube.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from codesessions_kube.kinds import CLAIM, CODE_SESSION, POD, SECRET, Kind

from codesessions_operator.desired.archivepod import archive_pod
from codesessions_operator.desired.claim import claim
from codesessions_operator.desired.common import Session, is_owned
from codesessions_operator.desired.pod import MOST_OWN_USERS, has_own_users, pod
from codesessions_operator.desired.secret import secret
from codesessions_operator.errors import StalledError, WaitingError
from codesessions_operator.settings import Settings

Object = dict[str, Any]


class Applier:
    """Makes and deletes the children of sessions."""

    def __init__(self, client: KubeClient, settings: Settings, master_key: bytes) -> None:
        self._client, self._settings, self._master_key = client, settings, master_key

    async def create(self, session: Session) -> Object:
        """Secret, claim and pod, where they are not there yet; returns the pod.

        Raises WaitingError, StalledError, or KubeError if the API server does not answer.
        """
        workspace = session.spec.workspace or Workspace()
        user = workspace.run_as_user or 0
        if user >= MOST_OWN_USERS and has_own_users(workspace, self._settings):  # the kubelet would try without end
            message = (
                f"There is no user {user} in a user namespace (hostUsers: false). Create the session anew with"
                f" spec.workspace.runAsUser below {MOST_OWN_USERS}."
            )
            raise StalledError("WorkspaceInvalid", message)
        key = workspace_key(self._master_key, session.namespace, session.uid)
        await self._ensure(SECRET, session, secret(session, key))
        wanted = claim(session, self._settings)
        if wanted is not None:
            await self._ensure(CLAIM, session, wanted)
        return await self._ensure(POD, session, pod(session, self._settings))

    async def create_archive_pod(self, session: Session) -> Object:
        """The pod that serves a transcript from the volume; its secret and claim are there. Raises as `create`."""
        key = workspace_key(self._master_key, session.namespace, session.uid)
        await self._ensure(SECRET, session, secret(session, key))
        return await self._ensure(POD, session, archive_pod(session, self._settings))

    async def _ensure(self, kind: Kind, session: Session, body: Object) -> Object:
        """The child of this name: made now, or there already and ours."""
        try:
            return await self._client.create(kind, session.namespace, body, manager=OPERATOR_MANAGER)
        except ConflictError:
            pass
        except ForbiddenError as error:
            raise _refusal(kind, error) from error
        except InvalidError as error:
            message = (
                f"{kind.kind} {session.child} is not valid: {error.message}. Create the session anew with a valid spec."
            )
            raise StalledError("WorkspaceInvalid", message) from error
        except NotFoundError as error:  # the namespace is being deleted
            raise WaitingError("NamespaceTerminating", error.message) from error
        try:
            found = await self._client.get(kind, session.namespace, session.child)
        except NotFoundError as error:
            raise WaitingError("PodStarting", f"{kind.kind} {session.child} was just deleted.") from error
        if is_owned(found, session.uid):
            return found
        if found["metadata"].get("deletionTimestamp") or found["metadata"].get("ownerReferences"):
            message = (
                f"{kind.kind} {session.child} of an earlier session of this name is still there; it goes by itself."
            )
            raise WaitingError("WaitingForDeletion", message)
        message = (
            f"{kind.kind} {session.child} exists and was not made by this operator. Delete it, or use another name."
        )
        raise WaitingError("NameTaken", message)

    async def delete_pod(self, session: Session, uid: str) -> None:
        """Delete that very pod."""
        try:
            await self._client.delete(POD, session.namespace, session.child, uid=uid)
        except (NotFoundError, ConflictError):  # gone, or another one has its name by now
            return

    async def delete_session(self, session: Session) -> None:
        """Delete the record; its children follow (Kubernetes: garbage collection)."""
        try:
            await self._client.delete(CODE_SESSION, session.namespace, session.name, uid=session.uid)
        except (NotFoundError, ConflictError):
            return


def _refusal(kind: Kind, error: ForbiddenError) -> WaitingError:
    if error.is_quota:
        message = f"{kind.kind} refused by a ResourceQuota: {error.message}. End other sessions, or raise the quota."
        return WaitingError("QuotaExceeded", message)
    if "because it is being terminated" in error.message:
        return WaitingError("NamespaceTerminating", error.message)
    message = f"{kind.kind} refused: {error.message}. Ask whoever administers this namespace."
    return WaitingError("AdmissionRefused", message)
