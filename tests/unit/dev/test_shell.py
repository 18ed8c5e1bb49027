import pytest
from codesessions_dev.say import DevError, elapsed
from codesessions_dev.shell import output, run, wait_until


def test_a_failure_carries_the_programs_own_words() -> None:
    with pytest.raises(DevError, match="exit code 3") as caught:
        run(["sh", "-c", "echo what went wrong >&2; exit 3"])
    assert "what went wrong" in str(caught.value)


def test_a_program_that_is_missing_is_named() -> None:
    with pytest.raises(DevError, match="no-such-program is not installed"):
        run(["no-such-program"])


def test_environment_is_added_to() -> None:
    assert output(["sh", "-c", 'echo "$A ${PATH:+kept}"'], env={"A": "x"}) == "x kept"


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(DevError, match=r"the moon is full\. Look up"):
        wait_until("the moon is full", lambda: False, seconds=0, hint="Look up")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.26, "0.3 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (600, "10 min 00 s")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text
