"""Writes the pixels of a series of a TIFF to stdout, as tifffile reads them: C order, little-endian.

usage: read_raw.py FILE SERIES
"""

import sys

import tifffile

import pixels


def main():
    with tifffile.TiffFile(sys.argv[1]) as tif:
        found = tif.series[int(sys.argv[2])].levels[0].asarray()
    sys.stdout.buffer.write(pixels.little(found).tobytes())


if __name__ == "__main__":
    main()
