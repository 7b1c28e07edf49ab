"""What the suite makes of what its drivers print: `python3 -m unittest discover -s tests/sdk`."""

import unittest

import reports
import suite


def told(text):
    return list(reports.lines("", text))


class Lines(unittest.TestCase):
    def test_checks_that_all_came_to_their_end(self):
        self.assertEqual(told("noise\nchecks: 2\nok: one\nnoise\nFAILED: two: why\n"), [(True, "one"), (False, "two: why")])

    def test_a_check_that_vanishes_fails(self):
        self.assertEqual(told("checks: 2\nok: one\n"), [(True, "one"), (False, "1 of 2 checks came to their end")])

    def test_a_driver_that_does_not_say_how_many_fails(self):
        self.assertEqual([well for well, _ in told("ok: one\n")], [False])

    def test_a_promise_that_never_settles_fails(self):
        script = "console.log('checks: 2'); console.log('ok: one'); new Promise(() => {}).then(() => console.log('ok: two'))"
        printed = suite.drive("node", (".", ["node", "-e", script]), reports.lines, {})
        self.assertEqual(printed[:2], ["ok: node: one", "FAILED: node: 1 of 2 checks came to their end"])


if __name__ == "__main__":
    unittest.main()
