"""Hypothesis profiles, and a guard against tests that leave something changed."""

import os
import shutil

import pytest
from hypothesis import settings

import tinygrad_digits as tg
from tinygrad_digits import autodiff

settings.register_profile("quick", max_examples=25, deadline=None)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)
settings.register_profile("deep", max_examples=250, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(autouse=True)
def leave_no_trace():
    """Fail a test that leaves recording off, or a table changed; put the table right for the next."""
    tables = autodiff.rules, autodiff.composites, autodiff.nondifferentiable
    before = [table.copy() for table in tables]
    yield
    changed = [table != copy for table, copy in zip(tables, before, strict=True)]
    for table, copy in zip(tables, before, strict=True):
        table.clear()
        table.update(copy)
    assert tg.is_recording(), "the test left recording off"
    assert not any(changed), "the test left the table of rules changed: use the fixture `own_rules`"


@pytest.fixture
def own_rules(leave_no_trace):
    """Let a test enter rules of its own."""
    before = autodiff.rules.copy()
    yield
    autodiff.rules.clear()
    autodiff.rules.update(before)


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, driven by Playwright, which has an event loop run in this thread until it is stopped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: python -m pip install playwright")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not chromium:
        pytest.skip("needs the system's Chromium: apt-get install chromium, or Google Chrome")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield browser
        browser.close()
