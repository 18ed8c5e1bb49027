"""Fifty sessions at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.session import Session, Sessions

COUNT = 50


@pytest.mark.timeout(900)
def test_fifty_sessions_at_once_all_run_and_keep_to_themselves(sessions: Sessions) -> None:
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda number: sessions.create(f"many {number}", wait=False), range(COUNT)))

        def talk(pair: tuple[int, Session]) -> str:
            number, session = pair
            session.until_phase("running", seconds=400)
            return session.run(f"echo session {number} $CODESESSIONS_SESSION_ID")

        said = list(pool.map(talk, enumerate(made)))
    assert said == [f"session {number} {session.id}" for number, session in enumerate(made)]
