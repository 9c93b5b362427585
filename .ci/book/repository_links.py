"""A preprocessor of mdBook: a link out of docs/ becomes its text, with the path in the repository where the text does not have it.

On a forge such a link opens the file. The book is published without the repository.
"""

import json
import posixpath
import re
import sys

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)


def rewrite(text, folder):
    def replace(match):
        words, target = match.groups()
        path = target.split("#")[0]
        place = posixpath.normpath(posixpath.join("docs", folder, path))
        if "://" in target or target.startswith(("#", "mailto:")) or place.startswith("docs/"):
            return match[0]
        return words if place in words.replace("\n", " ") else f"{words} (`{place}`)"

    # Odd parts are blocks of code.
    parts = FENCE.split(text)
    return "".join(part if index % 2 else LINK.sub(replace, part) for index, part in enumerate(parts))


def visit(items):
    for item in items:
        chapter = item.get("Chapter") if isinstance(item, dict) else None
        if chapter:
            if chapter["path"]:
                chapter["content"] = rewrite(chapter["content"], posixpath.dirname(chapter["path"]))
            visit(chapter["sub_items"])


def main():
    if sys.argv[1:2] == ["supports"]:
        return
    _, book = json.load(sys.stdin)
    visit(book.get("items") or book["sections"])
    json.dump(book, sys.stdout)


main()
