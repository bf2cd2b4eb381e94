import socket

import pytest

from support import browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("browser")
    with browser.opened(folder, port) as opened:
        yield opened, folder
