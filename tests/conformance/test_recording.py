"""A recording of a real shell, played by the real asciinema-player."""

from __future__ import annotations

import http.client
import json
import subprocess

import pytest
from codesessions_transcript.asciicast import Asciicast
from codesessions_transcript.plaintext import PlainText
from codesessions_transcript.records import Reader, Record
from conformance.test_clients import CLIENTS, NODE
from support.conformance import Start
from support.sidecar import ROOT, Rig, ticket


@pytest.fixture(autouse=True, scope="module")
def peers() -> None:
    subprocess.run([ROOT / "dev" / "peers"], check=True, timeout=300)


def records_of(rig: Rig) -> list[Record]:
    connection = http.client.HTTPConnection("127.0.0.1", rig.port, timeout=60)
    try:
        connection.request("GET", "/v1/transcript", headers={"Authorization": f"Bearer {ticket()}"})
        reader = Reader()
        found = reader.feed(connection.getresponse().read())
        reader.finish()
        return found
    finally:
        connection.close()


def test_asciinema_player_plays_it_to_the_end(start: Start) -> None:
    terminal = start(
        "printf '\\033[1mbold\\033[0m r\\303\\251d\\n'; read -r line; printf '\\033[2J\\033[Hat the end\\n'; exit 7"
    )
    if terminal.rig is None:
        pytest.skip("through the ingress a recording comes from the API, of the same transcript")
    terminal.read_until("réd")
    terminal.rest.resize(12, 50)
    terminal.type("go\n")
    assert terminal.rig.until_exit()["exit"]["code"] == 7
    records = records_of(terminal.rig)
    recording = Asciicast().feed(records)
    played = subprocess.run(
        [NODE, CLIENTS / "player.mjs"], input=recording, capture_output=True, timeout=120, check=False
    )
    assert played.returncode == 0, played.stderr.decode()
    shown = json.loads(played.stdout.splitlines()[-1])
    assert shown["size"] == [50, 12]
    assert shown["lines"][0] == "at the end"
    seconds = sum(json.loads(line)[0] for line in recording.splitlines()[1:])
    assert shown["time"] == pytest.approx(seconds, abs=0.01)
    assert json.loads(recording.splitlines()[-1])[1:] == ["x", "7"]
    assert "bold réd\n" in PlainText().feed(records).decode()
