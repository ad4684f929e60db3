"""What cells show: pictures, drawn alike and never without alt text; of errors, what they say."""

import os
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)
STYLE = Path(__file__).with_name("matplotlibrc")
KERNEL = """
c.InlineBackend.figure_formats = {"retina"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "pad_inches": 0.15}
c.InteractiveShell.xmode = "Minimal"
c.HistoryManager.enabled = False
c.IPKernelApp.exec_files = ["%s"]
c.IPKernelApp.exec_lines = ["__import__('sys').stdout.flush_interval = 3600"]
"""
# Two pixels for one: sharp on every screen. Of an error, what it says. What a cell prints comes in one piece: between
# pieces, which a busy machine makes of a line, myst-nb would begin a new line.


def check_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of a picture without alt text."""
    for image in doctree.findall(nodes.image):
        if not image.get("alt"):
            logger.warning("a picture without alt text: %s", image["uri"], location=image)


def setup(app: Sphinx) -> dict[str, bool]:
    """Hand the style to the kernels that run the cells."""
    profile = app.outdir.parent / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL % Path(__file__).with_name("bash.py").as_posix())
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for cells of bash
    os.environ["CI"] = "true"  # Hypothesis: the same draws each time, however slowly
    os.environ["MATPLOTLIBRC"] = str(STYLE)
    os.environ["IPYTHONDIR"] = str(profile.parent)
    app.connect("doctree-read", check_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
