"""A report's page as a reader sees it: its tables by id, its problems, its text, its links."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """What an HTML parser makes of a page; no string of the data may change its elements.

    Attributes:
        found: tags and attributes of its elements, in their order.
        tables: rows of cell texts by the table's id, headings first.
        keys: the same cells' sort values, None where the text serves.
        items: texts of list items, in their order.
        texts: all text outside scripts and styles, piece by piece.
    """

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.keys: dict[str, list[list[str | None]]] = {}
        self.items: list[str] = []
        self.texts: list[str] = []
        self._table = ""
        self._inside: list[str] = []
        self._silent = False
        self.feed(str(html))  # of a Markup every sum would be escaped again

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.found.append((tag, given))
        self._silent = tag in ("script", "style")
        if tag == "table":
            self._table = given["id"]
            self.tables[self._table], self.keys[self._table] = [], []
        elif tag == "tr":
            self.tables[self._table].append([])
            self.keys[self._table].append([])
        elif tag in ("th", "td"):
            self.tables[self._table][-1].append("")
            self.keys[self._table][-1].append(given.get("data-value"))
            self._inside.append("cell")
        elif tag == "li":
            self.items.append("")
            self._inside.append("item")

    def handle_endtag(self, tag):
        self._silent = False
        if tag in ("th", "td", "li"):
            self._inside.pop()

    def handle_data(self, data):
        if "cell" in self._inside:
            self.tables[self._table][-1][-1] += data
        if "item" in self._inside:
            self.items[-1] += data
        if not self._silent:
            self.texts.append(data)

    @property
    def elements(self) -> list[str]:
        """Every tag, in their order."""
        return [tag for tag, _ in self.found]

    @property
    def links(self) -> list[str | None]:
        """Every href."""
        return [attributes["href"] for _, attributes in self.found if "href" in attributes]

    @property
    def text(self) -> str:
        """All text, with a single space where there is any room."""
        return " ".join(" ".join(self.texts).split())

    def lines(self, table: str) -> list[dict[str, tuple[str, str | None]]]:
        """A table's lines: the text and the sort value of each cell by its heading."""
        (heads, *rows), (_, *keys) = self.tables[table], self.keys[table]
        return [
            dict(zip(heads, zip(row, key, strict=True), strict=True))
            for row, key in zip(rows, keys, strict=True)
        ]

    def column(self, table: str, title: str) -> list[str]:
        """A table's cells under a heading."""
        return [line[title][0].strip() for line in self.lines(table)]

    def sorted_by(self, table: str, title: str) -> list[float]:
        """What a column's cells sort by; NaN at the end whichever way."""
        keys = [line[title][1] for line in self.lines(table)]
        return [float("nan") if key == "" else float(key) for key in keys]
