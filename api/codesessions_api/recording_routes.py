"""A session's terminal as a recording, or as plain text: made, as it is sent, from the transcript.

Of a session that runs, the sidecar's; of one that has ended, the one that is kept. Nothing is held in memory but the
record that is being turned. When the transcript breaks off, so does the answer: it has no last chunk then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from codesessions_crds.apikey import Scope
from codesessions_kube.store import Object
from codesessions_transcript import asciicast, plaintext
from codesessions_transcript.archive import Archive
from codesessions_transcript.records import End, Header, Reader, Record
from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from codesessions_api import archived, parameters, views
from codesessions_api.auth import Caller
from codesessions_api.context import BASE, Context
from codesessions_api.problems import Problem
from codesessions_api.service import check_running

_PART = 64 << 10
"""Bytes of one part of an answer, about."""
FORMATS = ("asciicast", "text")
Batches = AsyncIterator[list[Record]]


def add(router: APIRouter, context: Context) -> None:
    """Add the call to a router."""

    async def batches(caller: Caller, resource: Object) -> Batches:
        """The transcript's records. Raises Problem before the first."""
        if views.status_of(resource) not in views.FINISHED:
            check_running(resource)
        elif archived.is_archived(resource):
            return _of_archive(await context.transcripts.open(resource))
        try:
            return _of_answer(await context.sidecars.transcript(resource, caller.user_id))
        except Problem:
            identity = views.session_view(resource, "")["id"]
            resource = await context.service.get(caller, identity)  # it may have ended meanwhile
            if views.status_of(resource) not in views.FINISHED:
                raise
            if archived.is_archived(resource):
                return _of_archive(await context.transcripts.open(resource))
            ended = archived.without_pod(resource)["exit"]
            return _of_nothing(identity, ended)

    @router.get(BASE + "/{id}/recording")
    async def recording(request: Request) -> Response:
        caller = context.caller(request, Scope.READ)
        wanted = parameters.one_of(request, "format", FORMATS) or "asciicast"
        session_id = request.path_params["id"]
        resource = await context.service.get(caller, session_id)
        found = await batches(caller, resource)
        name = f"{session_id}.{'cast' if wanted == 'asciicast' else 'txt'}"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
        if wanted == "text":
            return StreamingResponse(_turned(found, plaintext.PlainText()), 200, headers, plaintext.MEDIA_TYPE)
        return StreamingResponse(_turned(found, asciicast.Asciicast()), 200, headers, asciicast.MEDIA_TYPE)


async def _turned(batches: Batches, maker: asciicast.Asciicast | plaintext.PlainText) -> AsyncIterator[bytes]:
    async for records in batches:
        if part := maker.feed(records):
            yield part


async def _of_answer(answer: aiohttp.ClientResponse) -> Batches:
    """From a sidecar. Raises TranscriptError, and what aiohttp raises, when it breaks off."""
    reader = Reader()
    async with answer:
        async for part in answer.content.iter_chunked(_PART):
            yield reader.feed(part)
        reader.finish()


async def _of_archive(archive: Archive) -> Batches:
    batch: list[Record] = []
    size = 0
    for record in archive.records():
        batch.append(record)
        size += len(getattr(record, "data", b""))
        if size >= _PART:
            yield batch
            batch, size = [], 0
    yield batch


async def _of_nothing(session_id: str, ended: dict[str, int | None]) -> Batches:
    """A shell that never ran."""
    yield [Header(session_id, 0, 1, 0, 24, 80), End(0, ended["code"], ended["signal"])]
