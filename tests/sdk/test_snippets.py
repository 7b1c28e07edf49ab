"""Every snippet of the documents is in a program that the suite runs."""

import glob
import os
import unittest

import snippets

SKIPPED = ("target", "node_modules", "fuzz")


def pages():
    for path in glob.glob(os.path.join(snippets.ROOT, "**", "*.md"), recursive=True):
        page = os.path.relpath(path, snippets.ROOT)
        if not any(part in SKIPPED for part in page.split(os.sep)):
            yield page


class Snippets(unittest.TestCase):
    def test_every_page_with_snippets_is_listed(self):
        with_snippets = {page for page in pages() if any(block in snippets.LANGUAGES for block, _ in snippets.blocks(page))}
        self.assertEqual(with_snippets, set(snippets.PAGES) | set(snippets.BROWSER_PAGES))

    def test_every_snippet_is_in_a_program(self):
        programs = "".join([
            snippets.python(True), snippets.python(False), snippets.node(True, "box-node-sdk"),
            snippets.node(False, "box-node-sdk"), snippets.java(), snippets.go(),
        ])
        found = 0
        for page in snippets.PAGES:
            for block, text in snippets.blocks(page):
                if block in snippets.LANGUAGES:
                    found += 1
                    self.assertIn(text.strip().splitlines()[-1].split("(")[0].strip(), programs, page)
        self.assertGreaterEqual(found, 15)


if __name__ == "__main__":
    unittest.main()
