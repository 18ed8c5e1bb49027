"""Promise 4: what is typed is typed once, in order, whole, or refused whole."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable

import pytest
from support.conformance import Start
from support.viewer import DIALECTS, Viewer

Attach = Callable[..., Viewer]
CAT = "stty raw -echo; printf 'on<>'; exec cat"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_viewer_types_is_typed(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(CAT)
    viewer = attach(terminal, dialect, after=terminal.begin)
    viewer.until(b"on<>")
    viewer.type("é€😀 \x00\x1b[A<end>")
    assert viewer.until(b"<end>") == "on<>é€😀 \x00\x1b[A<end>".encode()


@pytest.mark.parametrize("dialect", ["raw", "ttyd", "channel", "codesessions.v1"])
def test_bytes_that_are_no_text_can_be_typed(start: Start, attach: Attach, dialect: str) -> None:
    terminal = start(CAT)
    viewer = attach(terminal, "raw", after=terminal.begin)
    viewer.until(b"on<>")
    attach(terminal, dialect, after=terminal.begin).type(bytes(range(256)) + b"<end>")
    assert viewer.until(b"<end>") == b"on<>" + bytes(range(256)) + b"<end>"


def test_every_request_retried_at_random_types_nothing_twice(start: Start) -> None:
    terminal, dice = start(CAT), random.Random(5)
    terminal.read_until("on<>")
    for number in range(1, 301):
        for _ in range(dice.choice((1, 1, 2, 3))):
            terminal.type(f"<{number}>", number)
        if dice.random() < 0.2:  # a request that was given up long ago comes at last
            terminal.type(f"<{dice.randint(1, number)}>", dice.randint(1, number))
    terminal.type("<end>")
    assert terminal.read_until("<end>") == "".join(f"<{number}>" for number in range(1, 301)) + "<end>"


def test_retries_over_rest_and_websocket_share_the_numbers(start: Start, attach: Attach) -> None:
    terminal, dice = start(CAT), random.Random(6)
    terminal.read_until("on<>")
    viewer = attach(terminal, "codesessions.v1", after=terminal.seen)
    number = 0
    while number < 200:
        number += 1
        for way in dice.choices(("rest", "socket", "again"), k=dice.randint(1, 3)):
            if way == "rest":
                terminal.type(f"<{number}>", number)
                continue
            if way == "again":
                viewer.cut()
                viewer = attach(terminal, "codesessions.v1", after=terminal.seen)
            viewer.type(f"<{number}>", inputSeq=number)
            while not any(each.get("inputSeq") == number for each in viewer.told if each["type"] == "typed"):
                assert viewer.next()
    assert attach(terminal, "codesessions.v1").until_told("hello")["inputSeq"] == 200
    terminal.type("<end>")
    assert terminal.read_until("<end>") == "".join(f"<{each}>" for each in range(1, 201)) + "<end>"


def test_typists_at_once_do_not_tear_each_others_messages(start: Start, attach: Attach) -> None:
    terminal = start(CAT)
    terminal.read_until("on<>")

    def typist(name: str) -> None:
        for number in range(100):
            terminal.type(f"[{name * 40}{number:02}]")

    threads = [threading.Thread(target=typist, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    terminal.type("<end>")
    text = terminal.read_until("<end>").removesuffix("<end>")
    pieces = text.removeprefix("[").removesuffix("]").split("][")
    for name in "abc":
        assert [each for each in pieces if each[0] == name] == [f"{name * 40}{number:02}" for number in range(100)]
    assert len(pieces) == 300


def test_a_megabyte_is_typed_whole(start: Start, attach: Attach) -> None:
    terminal = start("stty raw -echo; printf 'on<>'; head -c 1000000 | sha256sum; exec sleep 1000")
    viewer = attach(terminal, "raw", after=terminal.begin)
    viewer.until(b"on<>")
    data = "".join(f"{number:09}\n" for number in range(100_000))
    terminal.type(data)
    assert viewer.until(b"-").split(b"<>")[1].split()[0].decode() == hashlib.sha256(data.encode()).hexdigest()


def test_a_full_queue_refuses_with_429_and_types_none_of_what_it_refused(start: Start) -> None:
    terminal = start("stty raw -echo; printf 'on<>'; exec sleep 1000")
    terminal.read_until("on<>")
    accepted, block, refused = 0, "0" * 200_000, False
    for number in range(1, 20):
        status, answer = terminal.rest.input(f"<{number}>{block}", number)
        if status == 429:
            assert answer["code"] == "input_queue_full"
            refused = True
            break
        assert status == 200
        accepted = number
    assert refused
    assert 1 <= accepted <= 12
