"""The book of tinygrad_digits, for Sphinx.

    python -m pip install -e ".[docs]" && python -m sphinx -n -W docs docs/_build/html

* A page is a MyST Markdown file. One with cells begins with the header that all in tutorial/ begin with; its cells are
  run when it is built, in a folder of their own, and one that raises fails the build. What the prose claims is asserted
  in cells: ``assert accuracy > 0.94``, with the cell's tag ``remove-cell`` where it would distract.
* Lines of cells have 79 characters at most, so that none is scrolled.
* tutorial/NN-slug.md are found by themselves, in the order of their names.
* A picture is what a cell draws with matplotlib; the style is ``_ext/matplotlibrc``. It must have alt text, in the
  cell's header: ``mystnb: {image: {alt: "The sigmoid rises from 0 to 1."}}``.
* Formulas are ``$...$`` and ``$$...$$``, made MathML here; nothing is loaded from another host.
* A widget is ``_static/widgets/NAME.js`` and, on its page, the directive ``{widget} NAME`` with option ``:caption:``
  and, as body, the text for readers without script. The script fills ``<div class="widget" data-widget="NAME">``.
* A solution, in words and cells, is folded by raw HTML, each with an empty line before and after it:
  ``<details class="admonition dropdown">`` with ``<summary class="admonition-title">Solution</summary>`` on its next
  line, what it says, and ``</details>``.
* Cells are run again when they or the package have changed; what they gave is kept in _build/ otherwise.
"""

import hashlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small nets are fastest so

import tinygrad_digits  # noqa: E402 - only now is the number of threads said

project = "tinygrad_digits"
copyright = "The tinygrad_digits developers"
version = release = tinygrad_digits.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "command_line",
    "figures",
    "mathml",
    "names",
    "operations",
    "widgets",
]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
sources = [*Path(tinygrad_digits.__file__).parent.rglob("*.py"), HERE / "_ext" / "matplotlibrc"]
state_of_package = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(sources))).hexdigest()[:12]
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / f"cells-{state_of_package}")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # seconds a cell, on a machine that is busy with other things
nb_merge_streams = True
smartquotes_action = "qe"  # quotes and ellipses, but "--option" as it is
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say them, in words
toc_object_entries_show_parents = "hide"  # long names would not fit beside the page
nitpick_ignore_regex = [("py:.*", "numpy[.].*")]  # of another book
default_role = "py:obj"  # names in docstrings: see _ext/names.py
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "tinygrad_digits"
html_static_path = ["_static"]
html_css_files = ["docs.css", "widgets/widgets.css"]
html_sidebars = {page: [] for page in ("index", "design", "comparison", "glossary", "changelog", "search", "genindex")}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system
html_copy_source = False
html_show_search_summary = False  # it would have to fetch pages, which a browser does not do from disk
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
