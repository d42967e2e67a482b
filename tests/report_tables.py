"""A report's page as a reader sees it: its tables by id, its problems, its text, its links."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """What an HTML parser makes of a page; no string of the data may change its elements.

    Attributes:
        tables: rows of cell texts by the table's id, headings first.
        keys: the same cells' sort values, None where the text serves.
        texts: all text outside scripts and styles.
        links: every href.
        elements: tags in their order.
    """

    def __init__(self, html: str):
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.keys: dict[str, list[list[str | None]]] = {}
        self.texts: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self._open = ""
        self._cell = False
        self._silent = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.elements.append(tag)
        self._silent = tag in ("script", "style")
        if "href" in given:
            self.links.append(given["href"])
        if tag == "table":
            self._open = given["id"]
            self.tables[self._open], self.keys[self._open] = [], []
        elif tag == "tr":
            self.tables[self._open].append([])
            self.keys[self._open].append([])
        elif tag in ("th", "td"):
            self.tables[self._open][-1].append("")
            self.keys[self._open][-1].append(given.get("data-value"))
            self._cell = True

    def handle_endtag(self, tag):
        self._silent = False
        if tag in ("th", "td"):
            self._cell = False

    def handle_data(self, data):
        if self._cell:
            self.tables[self._open][-1][-1] += data
        if not self._silent:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def column(self, table: str, title: str) -> list[str]:
        """A table's cells under a heading."""
        heads, *rows = self.tables[table]
        return [row[heads.index(title)].strip() for row in rows]

    def sorted_by(self, table: str, title: str) -> list[float]:
        """What a column's cells sort by; NaN at the end whichever way."""
        place = self.tables[table][0].index(title)
        keys = [row[place] for row in self.keys[table][1:]]
        return [float("nan") if key == "" else float(key) for key in keys]
