"""One object for all calls with one Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

No memory is shared: the key makes the object's name, and the API server lets one object of a name be made. Keys are
good for 24 hours. Time is cut into days, at a moment of each key's own, and the day is part of the name: a call looks
for the day before's object, which may still be young enough, and otherwise makes, or finds, that of the day.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections.abc import Awaitable, Callable
from datetime import datetime

import orjson
from codesessions_crds.names import BODY_ANNOTATION, KEY_LABEL, KEY_LIFE
from codesessions_kube.errors import ConflictError, ForbiddenError, KubeError
from codesessions_kube.store import Object
from fastapi import Request

from codesessions_api.bodies import Body
from codesessions_api.problems import Problem, bad_parameter, of_kube, try_again

LONGEST_KEY = 255
REPLAYED = {"Idempotency-Replayed": "true"}
"""A header that says: this is what an earlier call with the key has made."""
CREATE_TRIES = 5
"""A quota's counter can be written by two at once, and a random name can be taken: conflicts that pass."""
SETTLE_SECONDS = 2.0
"""Clocks of replicas differ, and what one began before the day's end another cannot see: nobody is sure till then."""
_DAY = KEY_LIFE.total_seconds()
_STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-\[\]-~][ !#-\[\]-~]*")


def idempotency_key(request: Request) -> str | None:
    """The header Idempotency-Key: a string (RFC 9651, section 3.3.3), or it without quotes. Raises Problem 422."""
    found = request.headers.getlist("idempotency-key")
    if not found:
        return None
    text = found[0].strip()
    quoted = _STRING.fullmatch(text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if len(found) > 1 or not 1 <= len(key) <= LONGEST_KEY or not (quoted or _BARE.fullmatch(text)):
        detail = f"must be given once, with 1 to {LONGEST_KEY} printable ASCII characters, a UUID for instance"
        raise bad_parameter("Idempotency-Key", detail)
    return key


def digest(*parts: str) -> bytes:
    """SHA-256 of texts, of which no two lists have the same."""
    return hashlib.sha256(b"".join(len(each.encode()).to_bytes(4) + each.encode() for each in parts)).digest()


def fingerprint(body: Body) -> str:
    """What tells bodies apart: members that say no more than their absence do not count."""
    told = body.model_dump(by_alias=True, exclude_defaults=True, mode="json")
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def day_of(parts: tuple[str, ...], moment: datetime) -> tuple[int, float]:
    """The day of a key, and the seconds since it began."""
    offset = int.from_bytes(digest(*parts)[:4]) % _DAY
    day, since = divmod(moment.timestamp() + offset, _DAY)
    return int(day), since


Create = Callable[[str, Object], Awaitable[Object]]
Read = Callable[[str], Awaitable[Object | None]]


class Maker:
    """Makes objects of a kind: `create` writes one of a name with more metadata, `read` finds one, None without it."""

    def __init__(self, create: Create, read: Read, now: Callable[[], datetime]) -> None:
        self._create, self._read, self._now = create, read, now

    async def fresh(self, new_name: Callable[[], str]) -> Object:
        """A new one, of a random name. Raises Problem."""
        for _ in range(CREATE_TRIES):
            try:
                return await self._create(new_name(), {})
            except ConflictError:
                await _pause()
            except KubeError as error:
                raise of_kube(error) from error
        raise _busy()

    async def once(
        self, parts: tuple[str, ...], name_of: Callable[[bytes], str], body: str = ""
    ) -> tuple[Object, bool]:
        """The one of a key, and whether it was there already. `parts` are whose key it is, and the key.

        `name_of` makes a name of 32 bytes; `body` is the fingerprint of what was asked for. Raises Problem: 422 if the
        key was used for something else.
        """
        moment = self._now()
        day, since = day_of(parts, moment)
        if since < SETTLE_SECONDS:
            await asyncio.sleep(SETTLE_SECONDS - since)
        earlier = await self._look(name_of(digest(*parts, str(day - 1))))
        if earlier is not None and moment - _made(earlier) < KEY_LIFE:
            return _same(earlier, body), True
        name = name_of(digest(*parts, str(day)))
        metadata: Object = {"labels": {KEY_LABEL: "true"}, "annotations": {BODY_ANNOTATION: body} if body else {}}
        for _ in range(CREATE_TRIES):
            try:
                return await self._create(name, metadata), False
            except (ConflictError, ForbiddenError) as error:  # a quota that is used up refuses what is there already
                known = await self._look(name)
                if known is not None:
                    return _same(known, body), True
                if isinstance(error, ForbiddenError):
                    raise of_kube(error) from error
                await _pause()
            except KubeError as error:
                raise of_kube(error) from error
        raise _busy()

    async def _look(self, name: str) -> Object | None:
        try:
            return await self._read(name)
        except KubeError as error:
            raise of_kube(error) from error


def _same(known: Object, body: str) -> Object:
    if body and (known["metadata"].get("annotations") or {}).get(BODY_ANNOTATION) != body:
        detail = "This Idempotency-Key was used with another body in the last 24 hours: take a new key for a new call."
        raise Problem(422, "idempotency_key_reused", detail)
    return known


def _made(item: Object) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


async def _pause() -> None:
    await asyncio.sleep(random.uniform(0.01, 0.1))  # noqa: S311 - jitter


def _busy() -> Problem:
    return try_again(503, "kubernetes_unavailable", "The cluster is busy with others of the kind.")
