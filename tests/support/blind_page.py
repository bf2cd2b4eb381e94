"""Shared helpers for tests of the blind page: pictures, a browser, and the pace of a person."""

import time

import pytest
from PIL import Image

from support import browser

GREY, RED = (128, 128, 128), (200, 0, 0)


def plain(colour, count):
    return [Image.new("RGB", (16, 16), colour) for _ in range(count)]


NEEDS_BROWSER = pytest.mark.skipif(
    not browser.is_installed(), reason="needs chromium and chromedriver"
)


def look():
    """Look at the page for a while; a choice that follows too soon counts as a slip."""
    time.sleep(0.25)
