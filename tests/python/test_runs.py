"""The tables and plots of docs/performance.md are what the newest files of benches/runs give.

usage: python -m unittest discover --start-directory tests/python
"""

import subprocess
import sys
import unittest
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "benches" / "peers"
sys.path.insert(0, str(SCRIPTS))

import plots  # noqa: E402


class Runs(unittest.TestCase):
    def test_the_page_is_what_the_runs_give(self):
        ran = subprocess.run([sys.executable, SCRIPTS / "report.py", "--check"], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_a_curve_lies_where_its_points_are(self):
        line = {"name": "a <b>", "points": [(1, 0.001), (100, 0.1)], "simulated": False}
        root = ElementTree.fromstring(plots.draw("t", "d", [line], "files"))
        circles = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
        left, bottom = plots.LEFT, plots.HEIGHT - plots.BOTTOM
        self.assertEqual(circles, [(left, bottom), (plots.WIDTH - plots.RIGHT, plots.TOP)])
        self.assertTrue(any(text.text == "a <b>" for text in root.iter("{http://www.w3.org/2000/svg}text")))

    def test_labels_do_not_lie_on_each_other(self):
        lines = [{"name": str(n), "points": [(1, 1), (10, 2 + n / 1e6)], "simulated": False} for n in range(3)]
        root = ElementTree.fromstring(plots.draw("t", "d", lines, "files"))
        heights = [float(text.get("y")) for text in root.iter("{http://www.w3.org/2000/svg}text") if text.get("fill")]
        self.assertTrue(all(b - a >= 15 for a, b in zip(heights, heights[1:])), heights)


if __name__ == "__main__":
    unittest.main()
