"""Offsets of bytes in an OME-TIFF of t=2 c=3 z=8 planes and three levels, as tifffile finds them: one JSON object.

`tile` is the middle tile of the last plane at full resolution, `small` the first one of its smallest level, `offsets` and `width`
the first values of these tags of the first page, `description` a byte within the OME-XML, `units` one within tag 65334.
"""

import json
import sys

import tifffile

with tifffile.TiffFile(sys.argv[1]) as tiff:
    first, last = tiff.pages[0], tiff.pages[47].aspage()
    assert len(tiff.pages) == 48
    tags = first.tags
    print(
        json.dumps(
            {
                "tile": last.dataoffsets[4],
                "small": last.pages[1].aspage().dataoffsets[0],
                "offsets": tags["TileOffsets"].valueoffset,
                "width": tags["ImageWidth"].valueoffset,
                "description": tags["ImageDescription"].valueoffset + 400,
                "units": tags[65334].valueoffset + 100,
            }
        )
    )
