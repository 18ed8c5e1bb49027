"""The web terminal in a real browser, at a real gateway, sidecar and shell."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from codesessions_api.tickets import ticket_for
from playwright.sync_api import Browser, Route, expect
from support.browser import PHONE, WebTerminal, with_webgl
from support.faultyproxy import FaultyProxy
from support.sidecar import SESSION_ID, SESSION_UID, Rig
from support.webgateway import MASTER, NAMESPACE, WebGateway

Open = Callable[..., WebTerminal]
UNAUTHORIZED = "error: Failed to load resource: the server responded with a status of 401 (Unauthorized)"

pytestmark = pytest.mark.usefixtures("rig")


@pytest.fixture
def running(gateway: WebGateway) -> WebGateway:
    gateway.set_session("Running")
    return gateway


def test_it_is_small(files: Path) -> None:
    assert sum(each.stat().st_size for each in files.rglob("*.js")) < 600_000


def size_of(terminal: WebTerminal, mark: str) -> tuple[int, int]:
    """Rows and columns, as the shell sees them."""
    mark = f"{mark}-{time.monotonic_ns()}"
    terminal.type(f"echo {mark}=$(stty size)=")
    found = terminal.until(mark, lambda: re.search(rf"{mark}=(\d+) (\d+)=", "\n".join(terminal.lines())))
    return int(found[1]), int(found[2])


def test_a_key_opens_it_and_what_is_typed_is_answered(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("echo $((6 * 7))-ä日")
    found.shown("42-ä日")
    expect(found.page.locator("#title")).to_have_text("hello")
    found.type("printf '\\033]0;a title\\007'")
    expect(found.page.locator("#title")).to_have_text("a title")
    assert found.page.title() == "a title · hello"
    assert found.complaints == []  # no violation of the Content-Security-Policy among them


def test_neither_key_nor_ticket_is_in_an_address_or_left_behind(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    kept = found.page.evaluate("() => JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
    ticket = found.page.evaluate("() => JSON.parse(Object.values(sessionStorage)[0])[0]")
    assert running.key.text not in kept
    assert running.key.text not in found.page.content()
    assert any(url.startswith("ws:") for url in found.asked)
    assert not [url for url in found.asked if running.key.text in url or ticket in url]


def test_a_wrong_key_is_told_and_another_may_be_tried(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock("csk_wrong")
    expect(found.page.get_by_role("alert")).to_have_text("This API key is not known.")
    expect(found.page.get_by_label("API key")).to_be_focused()
    found.unlock(running.key.text)
    found.state("Connected")
    assert found.complaints == [UNAUTHORIZED]


def test_the_shell_has_the_size_of_the_window(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    rows, columns = size_of(found, "before")
    found.page.set_viewport_size({"width": 700, "height": 400})
    found.until("lines are drawn anew", lambda: len(found.lines()) < rows)
    smaller = lambda: (size := size_of(found, "after"))[0] < rows and size[1] < columns  # noqa: E731
    found.until("the shell has heard of it", smaller)
    found.page.set_viewport_size({"width": 900, "height": 560})
    found.until("lines are drawn anew", lambda: len(found.lines()) == rows)
    found.until("the shell has heard of it again", lambda: size_of(found, "again") == (rows, columns))


def test_a_reload_shows_the_screen_again_without_a_key_and_types_nothing(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("printf 'asked \\033[c\\033[6n'; read -r -s -t 60 -d R; echo; echo the-$((1 + 1))-end")
    found.shown("the-2-end")
    before = [line for line in found.lines() if line]
    found.page.reload()
    found.state("Connected")
    found.shown("the-2-end")
    found.type("echo still-$((1 + 2))")
    found.shown("still-3")
    after = [line for line in found.lines() if line]
    assert after[: len(before) - 1] == before[:-1]
    assert after[-3:] == ["$ echo still-$((1 + 2))", "still-3", "$"]


@pytest.mark.parametrize("kind", ["reset", "silence"])
def test_after_a_cut_it_comes_back_and_misses_and_doubles_nothing(
    running: WebGateway, terminal: Open, kind: str
) -> None:
    with FaultyProxy(running.port) as network:
        found = terminal(network.port).unlock(running.key.text)
        found.state("Connected")
        found.type("for i in $(seq 1 12); do echo line-$i; sleep 0.1; done")
        found.shown("line-2")
        if kind == "reset":
            network.refuse()
            found.state("Reconnecting")
        else:
            network.swallow()
            found.context.set_offline(True)
            found.state("Offline")
            found.context.set_offline(False)
            network.drop()
        found.page.keyboard.type("lost")
        expect(found.page.locator("#toast")).to_contain_text("not typed")
        network.forward()
        found.state("Connected")
        found.shown("line-12")
        shown = [line for line in found.lines() if line.startswith("line-")]
        assert shown == [f"line-{number}" for number in range(1, 13)]
        found.type("echo back")
        found.shown("back")
        assert "lost" not in "\n".join(found.lines())


def test_what_was_typed_into_a_dying_connection_is_typed_once(running: WebGateway, terminal: Open) -> None:
    with FaultyProxy(running.port) as network:
        found = terminal(network.port).unlock(running.key.text)
        found.state("Connected")
        found.type("stty -echo")
        for number in range(1, 9):
            if number % 2 == 0:
                network.swallow()  # what is typed now is on its way, and does not arrive
            found.type(f"echo got-$(( {number} ))")
            if number % 2 == 0:
                network.drop()
                network.forward()
                found.state("Connected")
            found.shown(f"got-{number}")
        assert [line for line in found.lines() if line.startswith("got-")] == [f"got-{n}" for n in range(1, 9)]


def test_a_killed_sidecar_is_not_noticed_in_what_is_shown(
    running: WebGateway, terminal: Open, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("for i in $(seq 1 12); do echo line-$i; sleep 0.1; done")
    found.shown("line-3")
    rig.kill_sidecar()
    rig.start_sidecar()
    monkeypatch.setattr("codesessions_api.tickets.PTY_PORT", rig.port)
    found.shown("line-12")
    assert [line for line in found.lines() if line.startswith("line-")] == [f"line-{n}" for n in range(1, 13)]


def test_a_long_paste_arrives_whole(running: WebGateway, terminal: Open) -> None:
    found = terminal(permissions=["clipboard-read", "clipboard-write"]).unlock(running.key.text)
    found.state("Connected")
    text = "".join(f"{number} 日本語 €\n" for number in range(15_000))  # beyond one message; characters to tear apart
    size = len(text.encode())
    found.type(f"stty -echo; bind 'set enable-bracketed-paste off'; clear; head -c {size} | sha256sum")
    found.until("sha256sum runs", lambda: not any(found.lines()))
    found.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
    found.page.locator("#open-menu").click()
    found.page.get_by_role("button", name="Paste").click()
    found.shown(hashlib.sha256(text.encode()).hexdigest(), seconds=120)


def test_ctrl_c_stops_a_flood_at_once(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("yes 'a line of a flood that does not end by itself, and fills the window'")
    found.shown("flood that does not end")
    found.page.wait_for_timeout(500)
    found.page.keyboard.press("Control+c")
    found.type("echo stopped-$((1 + 1))")
    found.shown("stopped-2")


def test_who_may_only_read_only_looks_on(running: WebGateway, terminal: Open, rig: Rig) -> None:
    found = terminal().unlock(running.reader.text)
    found.state("Connected")
    expect(found.page.locator("#read-only")).to_be_visible()
    found.page.keyboard.type("not-typed")
    rig.token = _ticket()
    rig.type("echo from-elsewhere\n")
    found.shown("from-elsewhere")
    assert "not-typed" not in "\n".join(found.lines())


def test_a_revoked_key_ends_it_and_the_page_asks_for_another(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    running.set_key(disabled=True)
    found.state("Locked")
    running.set_key()
    found.unlock(running.key.text)
    found.state("Connected")


def test_it_waits_for_a_session_that_is_being_created(gateway: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(gateway.key.text)
    found.state("Creating")
    expect(found.page.locator("#panel-text")).to_have_text("The image is being pulled.")
    gateway.set_session("Suspended")
    found.state("Suspended")
    gateway.set_session("Running")
    found.state("Connected")


def test_the_end_is_told_with_its_exit_code_now_and_later(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("echo last words; exit 7")
    found.state("Completed")
    expect(found.page.locator("#banner")).to_contain_text("exit code 7")
    assert "last words" in found.lines()
    running.set_session("Completed", exitCode=7)
    found.page.reload()
    found.state("Completed")
    expect(found.page.locator("#panel-heading")).to_have_text("The session has ended with exit code 7")
    found.page.get_by_role("button", name="Show its output").click()  # by the REST API, which is not at this gateway
    found.unlock(running.key.text)
    expect(found.page.locator("#panel-text")).to_contain_text("not kept here")


def test_what_is_kept_of_the_output_of_a_session_that_has_ended_can_be_read(
    running: WebGateway, terminal: Open
) -> None:
    running.set_session("Completed", exitCode=0)
    found = terminal()

    def kept(route: Route) -> None:
        after = int(route.request.url.partition("afterSeq=")[2])
        assert route.request.headers["x-api-key"] == running.key.text
        chunks = [{"seq": after + 1, "text": f"chunk {after + 1}\r\n"}] if after < 3 else []
        route.fulfill(json={"sessionId": SESSION_ID, "chunks": chunks, "lastSeq": 3})

    found.page.route("**/api/v1/code-sessions/*/output*", kept)
    found.unlock(running.key.text)
    found.page.get_by_role("button", name="Show its output").click()
    found.shown("chunk 3")
    assert [line for line in found.lines() if line] == ["chunk 1", "chunk 2", "chunk 3"]
    expect(found.page.locator("#banner")).to_contain_text("exit code 0")
    assert found.complaints == []


def test_the_last_line_of_a_session_that_has_ended_stands_above_what_is_said_of_it(
    running: WebGateway, terminal: Open
) -> None:
    running.set_session("Completed", exitCode=0)
    found = terminal(**PHONE)
    text = "".join(f"line {number}\r\n" for number in range(100)) + "the last"
    answer = {"sessionId": SESSION_ID, "chunks": [{"seq": 1, "text": text}], "lastSeq": 1}
    found.page.route("**/api/v1/code-sessions/*/output*", lambda route: route.fulfill(json=answer))
    found.unlock(running.key.text)
    found.page.get_by_role("button", name="Show its output").click()
    found.shown("the last")

    def above() -> bool:
        line, banner = found.page.get_by_text("the last", exact=True).first.bounding_box(), banner_of(found)
        return line is not None and line["y"] + line["height"] <= banner + 1

    found.until("the last line is above the banner", above)


def banner_of(found: WebTerminal) -> float:
    """Where it begins, in pixels from the top."""
    box = found.page.locator("#banner").bounding_box()
    return box["y"] if box else 0.0


def test_a_failed_session_says_why(gateway: WebGateway, terminal: Open) -> None:
    gateway.set_session("Failed", message="The image cannot be pulled.")
    found = terminal().unlock(gateway.key.text)
    found.state("Failed")
    expect(found.page.locator("#panel-text")).to_contain_text("The image cannot be pulled.")


def test_text_is_found(running: WebGateway, terminal: Open) -> None:
    found = terminal().unlock(running.key.text)
    found.state("Connected")
    found.type("for i in $(seq 1 200); do echo needle-$((i % 2)); done; echo done-$((2 + 2))")
    found.shown("done-4")
    found.page.keyboard.press("Control+Shift+F")
    found.page.keyboard.type("needle-1")
    expect(found.page.locator("#find-count")).to_have_text("100 of 100")
    found.page.keyboard.press("Shift+Enter")
    expect(found.page.locator("#find-count")).to_have_text("99 of 100")
    found.page.keyboard.press("Escape")
    found.type("echo focus-$((3 + 3))")
    found.shown("focus-6")


def test_text_is_copied_and_pasted(running: WebGateway, terminal: Open) -> None:
    found = terminal(permissions=["clipboard-read", "clipboard-write"]).unlock(running.key.text)
    found.state("Connected")
    found.type("printf '\\033]52;c;%s\\007' $(printf 'echo from-a-program' | base64)")
    found.until("the clipboard", lambda: found.page.evaluate("navigator.clipboard.readText()") == "echo from-a-program")
    found.page.locator("#open-menu").click()
    found.page.get_by_role("button", name="Paste").click()
    found.shown("$ echo from-a-program")
    found.page.keyboard.press("Enter")
    found.until("its answer", lambda: "from-a-program" in found.lines())
    found.type("clear; echo unique-word")
    found.until("a clear screen", lambda: found.lines()[:1] == ["unique-word"])
    found.page.locator(".xterm-screen").dblclick(position={"x": 20, "y": 8})
    found.page.keyboard.press("Control+Shift+C")
    found.until("the selection", lambda: found.page.evaluate("navigator.clipboard.readText()").startswith("unique"))


def test_settings_are_kept_and_the_screen_is_read_out(running: WebGateway, terminal: Open) -> None:
    found = terminal(color_scheme="light").unlock(running.key.text)
    found.state("Connected")
    root = found.page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")
    found.page.locator("#open-menu").click()
    found.page.get_by_label("Colours").select_option("dark")
    found.page.get_by_label("Screen reader support").check()
    rows = len(found.lines())
    for _ in range(6):
        found.page.get_by_label("Larger text").click()
    found.until("larger lines", lambda: len(found.lines()) < rows)
    found.page.reload()
    found.state("Connected")
    expect(root).to_have_attribute("data-theme", "dark")
    assert len(found.lines()) < rows
    found.type("echo read-$((4 + 4))")
    expect(found.page.locator(".xterm-accessibility-tree")).to_contain_text("read-8")
    assert found.complaints == []


def test_a_telephone_has_what_it_needs(running: WebGateway, terminal: Open) -> None:
    found = terminal(**PHONE).unlock(running.key.text)
    found.state("Connected")
    assert found.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert 30 < size_of(found, "size")[1] < 60
    keys = found.page.get_by_role("toolbar", name="Keys")
    found.page.keyboard.type("echo up-$((5 + 5))")
    found.page.keyboard.press("Enter")
    found.shown("up-10")
    found.page.keyboard.type("clear")
    found.page.keyboard.press("Enter")
    keys.get_by_role("button", name="Up", exact=True).tap()
    keys.get_by_role("button", name="Up", exact=True).tap()
    found.page.keyboard.press("Enter")
    found.shown("up-10")
    found.type("sleep 100")
    keys.get_by_role("button", name="Control, for the next key").tap()
    found.page.keyboard.type("c")
    found.shown("^C")
    assert found.complaints == []


def test_a_page_of_another_origin_gets_no_terminal(running: WebGateway, terminal: Open) -> None:
    found = terminal(bypass_csp=True).unlock(running.key.text)  # our own policy would block it first
    found.state("Connected")
    ticket = found.page.evaluate("() => JSON.parse(Object.values(sessionStorage)[0])[0]")
    other = found.context.new_page()
    other.goto(f"http://localhost:{running.port}/{SESSION_ID}")  # another origin than 127.0.0.1
    script = """([url, ticket]) => new Promise((resolve) => {
        const socket = new WebSocket(url, ["codesessions.v1", "ticket.codesessions.dev." + ticket]);
        socket.onclose = (event) => resolve(event.code);
        socket.onmessage = () => resolve("open");
    })"""
    address = f"ws://127.0.0.1:{running.port}/{SESSION_ID}"
    assert other.evaluate(script, [address, ticket]) == 4403


def test_it_draws_by_webgl_where_there_is_any(running: WebGateway, opened: Browser) -> None:
    with with_webgl(opened) as other:
        found = WebTerminal(other, f"http://127.0.0.1:{running.port}/{SESSION_ID}").open().unlock(running.key.text)
        found.state("Connected")
        found.type("printf '\\033]0;drawn\\007'")
        expect(found.page.locator("#title")).to_have_text("drawn")
        assert found.page.locator("#screen canvas").count() > 0
        assert [each for each in found.complaints if "GL Driver Message" not in each] == []
        found.close()


def _ticket() -> str:
    """A ticket by which a test itself may type."""
    session = {"metadata": {"name": SESSION_ID.replace("_", "-"), "namespace": NAMESPACE, "uid": SESSION_UID}}
    return ticket_for(MASTER, session, ("read", "write"), "u", now=time.time())
