"""A headless Chromium, driven through chromedriver by the WebDriver protocol."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The name that the WebDriver standard gives to an element's handle."""
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--window-size=1000,800", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


def is_installed() -> bool:
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


class Page:
    """An open page."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, path: Path) -> None:
        _call("POST", f"{self._session}/url", {"url": path.resolve().as_uri()})

    def reload(self) -> None:
        _call("POST", f"{self._session}/refresh", {})

    def run(self, script: str) -> Any:
        """Run a script and return its result."""
        return _call("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        """Click like a mouse: fail if something else is in the way."""
        where = {"using": "css selector", "value": selector}
        element = _call("POST", f"{self._session}/element", where)[ELEMENT]
        _call("POST", f"{self._session}/element/{element}/click", {})

    def press(self, key: str) -> None:
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keyboard = {"type": "key", "id": "keyboard", "actions": strokes}
        _call("POST", f"{self._session}/actions", {"actions": [keyboard]})

    def text(self, selector: str) -> str:
        return self.run(f"return document.querySelector('{selector}').innerText")


@contextlib.contextmanager
def opened(folder: Path, port: int) -> Iterator[Page]:
    """Open a browser that keeps its profile and its downloads in `folder`."""
    log = open(folder / "chromedriver.log", "wb")  # noqa: SIM115
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=log, stderr=log)
    address, session = f"http://127.0.0.1:{port}", None
    try:
        _wait_for(f"{address}/status")
        options = {
            "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"],
            "prefs": {"download.default_directory": str(folder)},
        }
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        made = _call("POST", f"{address}/session", {"capabilities": wanted})
        session = f"{address}/session/{made['sessionId']}"
        yield Page(session)
    finally:
        if session is not None:
            _call("DELETE", session)
        driver.terminate()
        driver.wait(20)
        log.close()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            if _call("GET", address)["ready"]:
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _call(method: str, address: str, content: dict[str, Any] | None = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(address, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=600) as answer:
        return json.load(answer)["value"]
