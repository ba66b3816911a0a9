"""Tests of the references themselves: what the Rust tests compare with must be right first.

Run by `cargo xtask test`.
"""

import json
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

import numpy as np
import zarr

import pixels
import summaries
from neighbours import check_gaussian, downsample
from reduce import reduce, tree

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]


def extreme_integers(dtype, shape):
    limits = np.iinfo(dtype)
    return np.random.default_rng(1).integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


class Fixtures(unittest.TestCase):
    def test_samples_hold_what_is_expected_of_them(self):
        expected = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
        for name, entry in expected.items():
            for level, described in enumerate(entry["levels"]):
                found = pixels.read(str(FIXTURES / name), level)
                self.assertEqual(list(found.shape), described["shape"], name)
                self.assertEqual(found.dtype.name, entry["dtype"], name)
                self.assertEqual(pixels.sha256(found), described["sha256"], name)


class Pixels(unittest.TestCase):
    def test_axes_come_in_canonical_order_and_unknown_ones_find_a_place(self):
        self.assertEqual(pixels.to_tczyx(np.zeros((2, 3, 4, 5)), "ZCYX").shape, (1, 3, 2, 4, 5))
        self.assertEqual(pixels.to_tczyx(np.zeros((3, 4, 5)), "SYX").shape, (1, 1, 1, 4, 5, 3))
        self.assertEqual(pixels.to_tczyx(np.zeros((7, 4, 5)), "QYX").shape, (7, 1, 1, 4, 5))
        self.assertEqual(pixels.to_tczyx(np.zeros((1, 9, 4, 5)), "QTYX").shape, (9, 1, 1, 4, 5))

    def test_the_sum_of_a_stored_array_is_that_of_its_pixels(self):
        cases = [((7,), (3,)), ((5, 6), (2, 4)), ((5, 6, 7), (2, 4, 3)), ((2, 3, 5, 6, 7), (2, 2, 2, 4, 3))]
        for shape, chunks in cases:
            data = np.arange(np.prod(shape), dtype=">u2").reshape(shape)
            with tempfile.TemporaryDirectory() as folder:
                stored = zarr.create_array(folder, shape=shape, chunks=chunks, dtype="uint16")
                stored[...] = data
                self.assertEqual(pixels.sha256_stored(stored), pixels.sha256(data), shape)


class Neighbours(unittest.TestCase):
    def test_blocks_cut_by_the_edge_are_the_mean_of_what_exists(self):
        plane = np.array([[0, 1, 7], [2, 3, 8]], np.uint8).reshape(1, 1, 1, 2, 3, 1)
        self.assertEqual(downsample(plane, {"factor": {"y": 2, "x": 2}}).ravel().tolist(), [2, 8])
        self.assertEqual(downsample(plane, {"factor": {"x": 9}}).ravel().tolist(), [3, 4])

    def test_a_block_of_floats_is_added_row_by_row(self):
        tiny = 2.0**-54
        block = np.array([[1.0, tiny], [-1.0, tiny]]).reshape(1, 1, 1, 2, 2, 1)
        self.assertEqual(downsample(block, {"factor": {"y": 2, "x": 2}}).item(), ((1.0 + tiny) + (-1.0 + tiny)) / 4)

    def test_a_wrong_filter_is_told_from_a_right_one(self):
        line = np.array([0, 0, 200, 0, 0], np.uint8).reshape(1, 1, 1, 1, 5, 1)
        for values, right in [([0, 21, 157, 21, 0], True), ([0, 21, 158, 21, 0], False)]:
            found = np.array(values, np.uint8).reshape(line.shape)
            self.assertEqual(check_gaussian(line, {"sigma": {"x": 0.5}}, found), right)
            wide = check_gaussian(line, {"sigma": {"x": 0.5}}, found.astype(np.float32))
            self.assertFalse(wide, "not rounded")


class Summaries(unittest.TestCase):
    LINE = np.array([50, -10, 20, 40, 30], np.int64)

    def check(self, summary, params, answer, right):
        case = {"summary": summary, "params": params, "answer": answer}
        self.assertEqual(summaries.check(self.LINE, case), right)

    def test_a_wrong_answer_is_told_from_a_right_one(self):
        params = {"of": [0, 10, 50]}
        self.check("percentiles", params, {"values": [-10, 2, 30], "count": 5}, True)
        self.check("percentiles", params, {"values": [-10, 2, 30.5], "count": 5}, False)
        self.check("percentiles", params, {"values": [-10, 2, 30], "count": 4}, False)
        self.check("percentiles", params, None, False)
        params, answer = {"bins": 2, "range": [0, 40]}, {"low": 0, "high": 40, "counts": [0, 3], "below": 1, "above": 1}
        self.check("histogram", params, answer, True)
        self.check("histogram", params, {**answer, "counts": [1, 2]}, False)
        self.check("histogram", params, {**answer, "above": 0}, False)


class Reduce(unittest.TestCase):
    def test_means_of_integers_are_exact_and_half_goes_to_even(self):
        for dtype in INTEGERS:
            for length in (1, 2, 3, 4, 5, 8):
                planes = extreme_integers(dtype, (length, 40))
                wanted = [round(Fraction(sum(map(int, column)), length)) for column in planes.T]
                found = reduce(planes, 0, "mean")
                self.assertEqual(found.dtype, np.dtype(dtype))
                self.assertEqual(list(map(int, found[0])), wanted, (dtype, length))

    def test_sums_of_integers_are_exact_or_an_error(self):
        small = extreme_integers("i4", (6, 40))
        self.assertTrue(np.array_equal(reduce(small, 0, "sum")[0], small.astype("i8").sum(axis=0)))
        with self.assertRaises(SystemExit):
            reduce(np.full((2, 1), 2**63, "u8"), 0, "sum")

    def test_floats_are_added_along_the_tree(self):
        # ((1e16 + 1) + (-1e16 + 1)) + 1: the ones beside the large numbers are lost, the last one is not.
        planes = np.array([[1e16], [1.0], [-1e16], [1.0], [1.0]])
        left, right = np.float64(1e16) + 1.0, np.float64(-1e16) + 1.0
        self.assertEqual(tree(planes)[0], (left + right) + 1.0)

    def test_nan_is_as_in_numpy(self):
        planes = np.array([[1.0, 2.0], [np.nan, 3.0]], np.float32)
        for method in ("max", "min", "sum", "mean"):
            found = reduce(planes, 0, method)[0]
            self.assertTrue(np.isnan(found[0]) and not np.isnan(found[1]), method)


if __name__ == "__main__":
    unittest.main()
