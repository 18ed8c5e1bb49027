"""Objects by key, newest wins. What a cache holds, whoever fills it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty if there is none) and name."""

_TOMBSTONES = 4096


def key_of(item: Object) -> Key:
    """The key of an object."""
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def version_of(item: Object) -> int:
    """The resource version as a number (KEP-5504 makes it comparable); 0 if there is none."""
    text = item["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


class ObjectStore:
    """Objects of one kind.

    `index` names, for an object, the words under which `find` finds it; `changed` is called with the key of whatever
    was stored or removed; `transform` takes out what nobody reads, to save memory, and must not change `metadata.name`,
    `namespace` or `resourceVersion`.
    """

    def __init__(
        self,
        *,
        index: Callable[[Object], Iterable[str]] = lambda _: (),
        changed: Callable[[Key], None] = lambda _: None,
        transform: Callable[[Object], Object] = lambda item: item,
    ) -> None:
        self._index = index
        self._changed = changed
        self._transform = transform
        self._items: dict[Key, Object] = {}
        self._found: dict[str, set[Key]] = {}
        self._removed: dict[Key, int] = {}

    def get(self, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._items.get((namespace, name))

    def items(self, namespace: str | None = None) -> list[Object]:
        """All objects, or those of a namespace."""
        return [item for key, item in self._items.items() if namespace is None or key[0] == namespace]

    def find(self, word: str) -> list[Object]:
        """Objects whose index has `word`."""
        return [self._items[key] for key in self._found.get(word, ())]

    def put(self, item: Object) -> bool:
        """Store an object unless it, a newer one, or its removal is known already; false if so."""
        key, version = key_of(item), version_of(item)
        known = self._items.get(key)
        if (known is not None and version_of(known) >= version > 0) or self._removed.get(key, -1) >= version:
            return False
        self._unindex(key)
        item["metadata"].pop("managedFields", None)
        item = self._items[key] = self._transform(item)
        for word in self._index(item):
            self._found.setdefault(word, set()).add(key)
        self._changed(key)
        return True

    def remove(self, key: Key, version: int) -> None:
        """Forget an object that was deleted at resource version `version`."""
        known = self._items.get(key)
        if known is not None and version_of(known) > version:
            return
        self._unindex(key)
        self._items.pop(key, None)
        self._removed[key] = max(version, self._removed.pop(key, -1))
        while len(self._removed) > _TOMBSTONES:
            del self._removed[next(iter(self._removed))]
        self._changed(key)

    def _unindex(self, key: Key) -> None:
        known = self._items.get(key)
        for word in self._index(known) if known is not None else ():
            keys = self._found.get(word, set())
            keys.discard(key)
            if not keys:
                self._found.pop(word, None)
