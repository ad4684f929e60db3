"""Pictures to touch: ``{widget} NAME`` puts the widget of ``_static/widgets/NAME.js``, and its scripts, on a page.

The body of the directive is what readers without script get in its place: say what they would see.
"""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.parsers.rst.directives import unchanged_required
from sphinx.application import Sphinx

FOLDER = Path(__file__).parents[1] / "_static" / "widgets"


class widget(nodes.General, nodes.Element):  # noqa: N801 (docutils spells the names of nodes so)
    """A widget; its children are the text for readers without script."""


class Widget(Directive):
    """``{widget} NAME`` with a caption, the text in its place as body."""

    required_arguments = 1
    option_spec = {"caption": unchanged_required}  # noqa: RUF012 (docutils' own way)
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The node, with its fallback text read as markup."""
        name = self.arguments[0]
        self.assert_has_content()
        if not (FOLDER / f"{name}.js").is_file():
            raise self.error(f"there is no widget {name!r}: _static/widgets/{name}.js is missing")
        figure = widget(name=name, caption=self.options.get("caption", ""))
        self.state.nested_parse(self.content, self.content_offset, figure)
        return [figure]


def open_figure(self, node: widget) -> None:
    """The container that the script fills, emptying it first."""
    self.body.append(f'<figure class="widget-figure"><div class="widget" data-widget="{node["name"]}">\n')


def close_figure(self, node: widget) -> None:
    """The caption."""
    caption = f"<figcaption>{self.encode(node['caption'])}</figcaption>" if node["caption"] else ""
    self.body.append(f"</div>{caption}</figure>\n")


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Load a widget's scripts on its page: what it needs (NAME-*.js, in order of name), then itself."""
    for name in sorted({node["name"] for node in doctree.findall(widget)}) if doctree else ():
        for path in [*sorted(FOLDER.glob(f"{name}-*.js")), FOLDER / f"{name}.js"]:
            app.add_js_file(f"widgets/{path.name}", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_node(widget, html=(open_figure, close_figure))
    app.add_directive("widget", Widget)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
