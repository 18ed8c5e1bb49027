from __future__ import annotations

from typing import Any

from codesessions_kube.store import Key, ObjectStore, key_of
from hypothesis import given
from hypothesis import strategies as st


def item(name: str, version: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "demo", "name": name, "resourceVersion": str(version)}, **more}


def test_it_keeps_and_forgets() -> None:
    changed: list[Key] = []
    store = ObjectStore(changed=changed.append)
    assert store.put(item("a", 1, x=1))
    assert store.get("demo", "a") == item("a", 1, x=1)
    assert store.get("other", "a") is None
    store.remove(("demo", "a"), 2)
    assert store.get("demo", "a") is None
    assert changed == [("demo", "a"), ("demo", "a")]


def test_what_is_older_changes_nothing() -> None:
    changed: list[Key] = []
    store = ObjectStore(changed=changed.append)
    store.put(item("a", 5))
    assert not store.put(item("a", 4))
    store.remove(("demo", "a"), 4)
    assert store.get("demo", "a") == item("a", 5)
    assert len(changed) == 1


def test_what_was_removed_does_not_come_back_from_the_past() -> None:
    store = ObjectStore()
    store.put(item("a", 5))
    store.remove(("demo", "a"), 7)
    assert not store.put(item("a", 6))
    assert store.get("demo", "a") is None
    assert store.put(item("a", 8))


def test_it_finds_by_index_and_forgets_old_words() -> None:
    store = ObjectStore(index=lambda each: [each["word"]])
    store.put(item("a", 1, word="x"))
    store.put(item("b", 1, word="x"))
    assert {key_of(each) for each in store.find("x")} == {("demo", "a"), ("demo", "b")}
    store.put(item("a", 2, word="y"))
    assert [key_of(each) for each in store.find("x")] == [("demo", "b")]
    assert [key_of(each) for each in store.find("y")] == [("demo", "a")]
    store.remove(("demo", "b"), 3)
    assert store.find("x") == []


def test_objects_of_one_namespace() -> None:
    store = ObjectStore()
    store.put(item("a", 1))
    store.put({"metadata": {"namespace": "other", "name": "a", "resourceVersion": "1"}})
    assert [key_of(each) for each in store.items("other")] == [("other", "a")]
    assert len(store.items()) == 2


def test_managed_fields_are_not_kept() -> None:
    store = ObjectStore()
    found = item("a", 1)
    found["metadata"]["managedFields"] = [{}]
    store.put(found)
    assert "managedFields" not in (store.get("demo", "a") or {})["metadata"]


EVENTS = st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(1, 30)), max_size=30)


@given(EVENTS, st.randoms(use_true_random=False))
def test_in_any_order_the_newest_word_wins(events: list[tuple[bool, str, int]], random: Any) -> None:
    """As on the API server, a version belongs to one write of one object."""
    unique = list({version: event for event in events for version in [event[2]]}.values())
    newest: dict[str, tuple[int, bool]] = {}
    for there, name, version in unique:
        newest[name] = max(newest.get(name, (0, False)), (version, there))
    random.shuffle(unique)
    store = ObjectStore()
    for there, name, version in unique:
        if there:
            store.put(item(name, version))
        else:
            store.remove(("demo", name), version)
    for name in "ab":
        version, there = newest.get(name, (0, False))
        assert store.get("demo", name) == (item(name, version) if there else None)
