"""Checks that each link of the built book leads to a page, and to a place of it, that the book has."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Pages that repeat others, with links relative to those.
REPEATED = {"404.html", "print.html", "toc.html"}


class Page(HTMLParser):
    """The links of a page and the places in it that links can name."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def main():
    root = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in root.rglob("*.html")}
    broken, count = [], 0
    for path, page in sorted(pages.items()):
        if path.name in REPEATED:
            continue
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            count += 1
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.is_relative_to(root) or not target.is_file():
                broken.append(f"{path.relative_to(root)}: {link} leads nowhere")
            elif url.fragment and target in pages and unquote(url.fragment) not in pages[target].places:
                broken.append(f"{path.relative_to(root)}: {link} names no heading")
    print("\n".join([*broken, f"{len(pages)} pages, {count} links, {len(broken)} broken"]))
    return 1 if broken or not count else 0


sys.exit(main())
