"""What the tests of the rules must not do fails: open a socket, start a thread."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _pure(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule opens a connection or starts a thread; threads of other tests of this process go on as they do."""
    main = threading.main_thread()
    for kind, name in ((socket.socket, "connect"), (socket.socket, "bind"), (threading.Thread, "start")):
        original = getattr(kind, name)

        def refuse(self: Any, *args: Any, original: Any = original, name: str = name) -> Any:
            assert threading.current_thread() is not main, f"{name}() in a test of the rules"
            return original(self, *args)

        monkeypatch.setattr(kind, name, refuse)
