"""The figures of a terminal, as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from support.sidecar import ticket
from unit.sidecar.doubles import Place, eventually


async def figures(here: Place) -> dict[str, float]:
    """Every sample by its name and label."""
    _, headers, body = await (await here.client()).call("GET", "/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4"
    families = list(text_string_to_metric_families(body.decode()))
    assert all(family.documentation for family in families)
    samples = (sample for family in families for sample in family.samples)
    return {
        sample.name.removeprefix("codesessions_pty_") + "".join(f"[{value}]" for value in sample.labels.values()): (
            sample.value
        )
        for sample in samples
    }


async def test_they_tell_of_the_shell_and_of_viewers(here: Place) -> None:
    found = await figures(here)
    assert (found["launcher_connected"], found["viewers"], found["lag_bytes"]) == (0, 0, 0)
    await here.shell()
    await here.print(b"abc")
    raw = await here.websocket()
    assert await raw.bytes_until(b"abc") == b"abc"
    raw.send(b"ls\n")
    assert await here.typed(3) == b"ls\n"
    looker = await here.websocket("?role=viewer", "codesessions.v1")
    await looker.message()
    found = await figures(here)
    assert found["output_bytes_total"] == 3
    assert found["chunks_total"] == 1
    assert found["input_bytes_total"] == 3
    assert found["launcher_connected"] == 1
    assert (found["viewers"], found["writers"]) == (2, 1)
    assert (found["viewers_by_dialect[raw]"], found["viewers_by_dialect[codesessions.v1]"]) == (1, 1)
    assert found["viewer_in_bytes_total[raw]"] == 3
    assert found["viewer_out_bytes_total[raw]"] == 3
    raw.raw(b"\x82\x01x")  # unmasked
    assert (await raw.closed())[0] == 1002
    await eventually("it is gone", lambda: len(here.terminal.viewers) == 1)
    found = await figures(here)
    assert found["viewers_by_dialect[raw]"] == 0
    assert found["viewers_attached_total[raw]"] == 1
    assert found["viewers_dropped_total[refused]"] == 1


async def test_they_tell_of_lag_and_refused_input(here: Place) -> None:
    client = await here.client()
    for status in (200, 429):
        assert (await client.call("POST", "/v1/input", b"x" * 600_000))[0] == status
    await here.shell()
    await here.print(b"y" * 30_000)
    await here.websocket("?window=4096", "codesessions.v1", token=ticket())
    await here.print(b"z" * 30_000)
    found = await figures(here)
    assert found["input_refused_total"] == 1
    assert found["lag_bytes"] >= 30_000
