"""Reads how tests went from what their runners print: pairs of whether one went well, and its name."""

import glob
import os
import re
import xml.etree.ElementTree


def lines(_folder, text):
    """The drivers' own, who first say how many checks there are: one that does not come to its end fails."""
    announced = re.search(r"^checks: (\d+)$", text, re.MULTILINE)
    if not announced:
        yield False, "it does not say how many checks there are"
        return
    told = list(told_lines(text))
    yield from told
    if len(told) != int(announced[1]):
        yield False, f"{len(told)} of {announced[1]} checks came to their end"


def told_lines(text):
    for line in text.splitlines():
        if line.startswith("ok: "):
            yield True, line[4:]
        elif line.startswith("FAILED: "):
            yield False, line[8:]


def unittest(_folder, text):
    """Python's `unittest -v`."""
    for name, outcome in re.findall(r"^(test_\w+) .*?\.\.\. (ok|FAIL|ERROR)$", text, re.MULTILINE):
        yield outcome == "ok", name.removeprefix("test_").replace("_", " ")


def tap(_folder, text):
    """Node's test runner, as TAP; a file's own line is none of a test."""
    for failed, name in re.findall(r"^(not )?ok \d+ - (.*)$", text, re.MULTILINE):
        if not name.endswith(".js"):
            yield not failed, name


def surefire(folder, _text):
    """Maven's XML."""
    for path in glob.glob(os.path.join(folder, "target", "surefire-reports", "TEST-*.xml")):
        for case in xml.etree.ElementTree.parse(path).iter("testcase"):
            yield case.find("failure") is None and case.find("error") is None, words(case.get("name"))


def go(_folder, text):
    """`go test -v`."""
    for outcome, name in re.findall(r"^--- (PASS|FAIL): Test(\w+)", text, re.MULTILINE):
        yield outcome == "PASS", words(name)


def words(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name).lower()
