"""The transcript of a real shell, taken by HTTP."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable

from codesessions_transcript.archive import Archive
from codesessions_transcript.records import Output, Size
from support.sidecar import Rig, ticket


def test_the_transcript_of_a_shell_that_has_ended(shell: Callable[..., Rig]) -> None:
    rig = shell(
        "/bin/sh",
        "-c",
        "echo ready; read line; until [ \"$(stty size)\" = '33 111' ]; do sleep 0.01; done; stty size; exit 7",
    )
    rig.read_until("ready")
    assert rig.call("POST", "/v1/resize", b'{"rows":33,"cols":111}')[0] == 204
    rig.type("go\n")
    page = rig.until_exit()
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=60)
    connection.request("GET", "/v1/transcript", headers={"Authorization": f"Bearer {ticket()}"})
    response = connection.getresponse()
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/vnd.codesessions.transcript.v1"
    archive = Archive(io.BytesIO(response.read()))
    connection.close()
    assert archive.output(0) == page
    assert (archive.end.code, archive.header.session_id) == (7, "cs_test")
    records = list(archive.records())
    assert b"33 111" in b"".join(record.data for record in records if isinstance(record, Output))
    sizes = [(record.rows, record.columns) for record in records if isinstance(record, Size)]
    assert [(archive.header.rows, archive.header.columns), *sizes] == [(24, 80), (33, 111)]
