"""What cells show: pictures drawn alike on every page, at half their pixels and never without alt text; solutions folded."""

import os
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
STYLE = Path(__file__).with_name("matplotlibrc")
KERNEL = """
c.InlineBackend.figure_formats = {"retina"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "pad_inches": 0.15}
c.HistoryManager.enabled = False
"""  # two pixels for one: sharp on every screen


def check_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of a picture without alt text, and give those that cells drew their width (they have two pixels for one)."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            logger.warning("a picture without alt text: %s", image["uri"], location=image)
        path = Path(app.srcdir, image["uri"].lstrip("/"))
        if "jupyter_execute" in path.parts and path.suffix == ".png" and not image.get("width"):
            with Image.open(path) as picture:
                image["width"] = f"{picture.width // 2}px"
            image["classes"].append("cell-picture")


def fold_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Make an admonition of class "dropdown" one that the reader opens, without script."""
    for admonition in doctree.findall(nodes.admonition):
        if "dropdown" in admonition["classes"]:
            admonition["collapsible"] = "closed"


def setup(app: Sphinx) -> dict[str, bool]:
    """Hand the style to the kernels that run the cells."""
    profile = app.outdir.parent / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL)
    os.environ["MATPLOTLIBRC"] = str(STYLE)
    os.environ["IPYTHONDIR"] = str(profile.parent)
    app.connect("doctree-read", check_pictures)
    app.connect("doctree-read", fold_solutions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
