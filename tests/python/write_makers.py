"""Writes small TIFFs in the layouts of makers of microscopes and slide scanners, the same bytes on every run.

usage: write_makers.py DIR [NAME…]

DIR/manifest.json is a list with an entry for each file: `file`, and `series`, as tifffile finds them: `name`, `dtype` and
`levels`, each with `axes`, `shape` and `raw`, the file of its pixels (C order, little-endian). Pixels of JPEG have a
`tolerance`. What tifffile cannot write is made of bytes here, and what it reads of it is the truth.
"""

import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

import pixels


def planes(*shape, dtype="uint8"):
    """Pixels that differ from plane to plane, row to row and column to column."""
    grid = np.indices(shape).reshape(len(shape), -1)
    weights = [(37 * n * n + 11 * n + 3) for n in range(len(shape), 0, -1)]
    return (np.array(weights) @ grid % 251).astype(dtype).reshape(shape)


def smooth(height, width):
    """A picture of slow colours, which JPEG keeps nearly."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * y // height, 255 * x // width, 128 + (y + x) % 64], -1).astype(np.uint8)


def svs(path, focus=1):
    """A slide of Aperio: levels of `focus` planes, thumbnail, label and macro."""
    text = "Aperio Image Library v11.2.1 \r\n512x384 (128x128) J|AppMag = 40|MPP = 0.2520|Filename = x"
    with tifffile.TiffWriter(path) as tif:
        common = {"photometric": "rgb", "metadata": None, "compression": "zlib"}
        for n in range(focus):
            tif.write(planes(384, 512, 3) + n, tile=(128, 128), description=text, **common)
            if n == 0:
                tif.write(planes(96, 128, 3), description="Aperio \n512x384 -> 128x96 - |AppMag = 40", **common)
        for height, width in ((192, 256), (96, 128)):
            for n in range(focus):
                tif.write(planes(height, width, 3) + 2 * n, tile=(64, 64), description="Aperio \nlevel", **common)
        tif.write(planes(40, 30, 3), subfiletype=1, description="Aperio \nlabel 30x40", **common)
        tif.write(planes(50, 90, 3), subfiletype=9, description="Aperio \nmacro 90x50", **common)


def restarts(stream):
    """Where the parts of a JPEG stream between restart markers begin."""
    scan = stream.index(b"\xff\xda")
    starts = [scan + 2 + struct.unpack(">H", stream[scan + 2 : scan + 4])[0]]
    starts += [n + 2 for n in range(starts[0], len(stream) - 1) if stream[n] == 0xFF and 0xD0 <= stream[n + 1] <= 0xD7]
    return starts


def ndpi_page(at, picture, lens, interval):
    """A page of NDPI that begins at an offset: its bytes, and where the offset of the next page lies among them."""
    height, width = picture.shape[:2]
    out = io.BytesIO()
    more = {"restart_marker_blocks": interval} if interval else {}
    Image.fromarray(picture).save(out, "jpeg", quality=95, subsampling=0, **more)
    stream = out.getvalue()
    starts = restarts(stream) if interval else []
    pack = lambda values: struct.pack(f"<{len(values)}I", *values)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, struct.pack("<3H", 8, 8, 8)), (259, 3, 1, 7)]
    tags += [(262, 3, 1, 6), (271, 2, 10, b"Hamamatsu\0"), (273, 4, 1, "stream"), (277, 3, 1, 3), (278, 4, 1, height)]
    tags += [(279, 4, 1, len(stream)), (282, 5, 1, struct.pack("<2I", 40000 // 4, 1))]
    tags += [(283, 5, 1, struct.pack("<2I", 40000 // 4, 1)), (296, 3, 1, 3), (530, 3, 2, 1 | 1 << 16), (65420, 4, 1, 1)]
    tags += [(65421, 11, 1, struct.unpack("<I", struct.pack("<f", lens))[0])]
    if starts:
        tags += [(65426, 4, len(starts), pack(starts)), (65432, 4, len(starts), pack([0] * len(starts)))]
    place = at + 2 + len(tags) * 16 + 8
    entries, high, values = b"", b"", b""
    for code, kind, count, value in tags:
        if value == "stream":
            value = place + sum(len(v) for *_, v in tags if isinstance(v, bytes))
        elif isinstance(value, bytes):
            value, values = place + len(values), values + value
        entries += struct.pack("<HHII", code, kind, count, value & 0xFFFFFFFF)
        high += struct.pack("<I", value >> 32)
    head = struct.pack("<H", len(tags)) + entries
    return head + bytes(8) + high + values + stream, len(head)


def ndpi(path, gap=0):
    """A slide of Hamamatsu: three levels, the first cut by restart markers, macro and map; `gap` bytes between pages."""
    pages = [(smooth(384, 640), 20, 20), (smooth(96, 160), 5, 20), (smooth(24, 40), 1.25, 0)]
    pages += [(smooth(60, 120), -1, 0), (smooth(30, 50), -2, 0)]
    with open(path, "wb") as file:
        file.write(b"II*\0" + struct.pack("<Q", 12 + gap))
        at, link = 12 + gap, None
        for picture, lens, interval in pages:
            data, next_at = ndpi_page(at, picture, lens, interval)
            file.seek(at)
            file.write(data)
            if link:
                file.seek(link)
                file.write(struct.pack("<Q", at))
            link, at = at + next_at, (at + len(data) + gap + 1) // 2 * 2


def imagej_big(path):
    """A hyperstack of more than 4 GiB behind one page, mostly holes."""
    stack = tifffile.memmap(path, shape=(3, 350, 2, 1024, 1024), dtype="uint16", imagej=True, metadata={"axes": "TZCYX"})
    for t, z, c in ((0, 0, 0), (2, 345, 1), (2, 349, 1)):
        stack[t, z, c] = planes(1024, 1024) + t + c
    stack.flush()


def imagej_colours(path):
    """A composite of two channels with tables of colours."""
    ramp = np.arange(256, dtype=np.uint8)
    luts = [np.stack([ramp, ramp * 0, ramp // 2]), np.stack([ramp * 0, ramp, ramp * 0])]
    meta = {"axes": "CYX", "mode": "composite", "LUTs": luts, "Ranges": (0.0, 100.0, 5.0, 200.0)}
    tifffile.imwrite(path, planes(2, 8, 9), imagej=True, metadata=meta)


FILES = {
    "colours.tif": (imagej_colours, {}),
    "slide.svs": (svs, {}),
    "focus.svs": (lambda path: svs(path, focus=2), {}),
    "slide.ndpi": (ndpi, {"tolerance": 3}),
    "far.ndpi": (lambda path: ndpi(path, 3 << 30), {"tolerance": 3}),
}


def entry(folder, name, *, tolerance=0, series=None):
    """What tifffile finds in a file, its pixels beside it."""
    found = []
    with tifffile.TiffFile(folder / name) as tif:
        for number, one in enumerate(tif.series[:series]):
            levels = []
            for level in one.levels:
                raw = f"{name}.{number}.{len(levels)}.raw"
                data = level.asarray()
                (folder / raw).write_bytes(pixels.little(data).tobytes())
                levels.append({"axes": level.axes, "shape": list(data.shape), "raw": raw})
            found.append({"name": one.name, "dtype": str(one.dtype), "levels": levels})
    return {"file": name, "tolerance": tolerance, "series": found}


def main():
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["big"]:
        imagej_big(folder / "big.tif")
        return
    entries = []
    for name, (write, truth) in FILES.items():
        write(folder / name)
        entries.append(entry(folder, name, **truth))
    (folder / "manifest.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    main()
