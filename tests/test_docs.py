"""The book: its reference names everything, its pages load nothing from elsewhere and fit a phone, in a real browser.

The browser's tests need the built book (``python -m sphinx -n -W docs docs/_build/html``), Playwright and a Chromium.
"""

import re
from html import unescape
from importlib import import_module
from inspect import ismodule
from os.path import normpath
from pathlib import Path
from urllib.parse import unquote

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BOOK = DOCS / "_build" / "html"
PAGES = sorted(path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.html")) if BOOK.is_dir() else []
PAGES = [page for page in PAGES if not page.startswith("_")]

UNBUILT = "the book is not built: python -m sphinx -n -W docs docs/_build/html"

MODULES = ["", ".nn", ".nn.init", ".optim", ".testing", ".testing.strategies", ".digits"]


@pytest.mark.parametrize("module", [f"tinygrad_digits{name}" for name in MODULES])
def test_every_public_name_is_in_the_reference(module):
    text = "\n".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    if f"automodule:: {module}\n" in text:
        return
    names = set()
    for part in text.split("currentmodule:: ")[1:]:
        if part.split(maxsplit=1)[0] == module:
            names |= set(re.findall(r"^\.\. auto(?!module)\w+:: (\w+)", part, re.MULTILINE))
    package = import_module(module)
    public = {name for name in package.__all__ if not ismodule(getattr(package, name))}
    assert names == public


@pytest.fixture
def open_page(request):
    """Open a page of the book from disk; afterwards, complain of what it should not have done."""
    if not PAGES:
        pytest.skip(UNBUILT)
    browser = request.getfixturevalue("browser")
    contexts, complaints = [], []

    def complain_of_request(asked):
        if not asked.url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"asked for {asked.url}")

    def open_page(page, *, width=1200, query=""):
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.set_default_timeout(10_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("request", complain_of_request)
        tab.on("requestfailed", lambda request: complaints.append(f"did not get {request.url}"))
        tab.on("pageerror", lambda error: complaints.append(f"raised {error}"))
        tab.on("console", lambda m: m.type in ("error", "warning") and complaints.append(f"said {m.text}"))
        tab.goto(f"{(BOOK / page).as_uri()}?{query}")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.mark.parametrize("page", PAGES or ["index.html"])
def test_page_is_whole_and_fits_a_phone(open_page, page):
    tab = open_page(page, width=360)
    assert tab.evaluate("[...document.images].filter(i => !i.alt || !i.naturalWidth).map(i => i.src)") == []
    assert tab.evaluate("document.querySelectorAll('h1').length") == 1
    for theme in "dark", "light":
        tab.emulate_media(color_scheme=theme)
        tab.wait_for_selector(f"html[data-theme={theme}]")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    tab.set_viewport_size({"width": 1200, "height": 900})
    code = "[...document.querySelectorAll('.cell_input pre')].filter(e => e.clientWidth)"
    assert tab.evaluate(f"{code}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)") == []


@pytest.mark.skipif(not PAGES, reason=UNBUILT)
def test_links_lead_somewhere():
    text = {page: (BOOK / page).read_text(encoding="utf-8") for page in PAGES}
    anchors = {page: set(re.findall(r'\bid="([^"]*)"', html)) for page, html in text.items()}
    for page, html in text.items():
        for link in set(re.findall(r'<a\b[^>]*\bhref="([^"]*)"', html)):
            target, _, anchor = unquote(unescape(link)).partition("#")
            if ":" in target:  # of another host
                continue
            target = normpath(Path(page).parent / target) if target else page
            assert (BOOK / target).is_file(), f"{page} links to {link}"
            assert not anchor or anchor in anchors[target], f"{page} links to {link}"


def test_search_works_from_disk(open_page):
    tab = open_page("search.html", query="q=perceptron")
    tab.wait_for_selector("#search-results li a")


def test_theme_is_switched_from_the_keyboard(open_page):
    tab = open_page("index.html")
    tab.locator("button.theme-switch-button:visible").focus()
    tab.keyboard.press("Enter")
    tab.locator("button[data-mode=dark]:visible").focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
