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


def append(path, data):
    """Appends bytes and gives their offset."""
    with open(path, "ab") as file:
        at = file.tell()
        file.write(data)
    return at


def patch(path, at, form, *values):
    """Overwrites bytes at an offset."""
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(struct.pack("<" + form, *values))


def entries(path, wanted):
    """Where the entries of a tag lie in the pages of a small file."""
    data = path.read_bytes()
    (at,) = struct.unpack("<I", data[4:8])
    found = []
    while at:
        (count,) = struct.unpack("<H", data[at : at + 2])
        places = [at + 2 + 12 * n for n in range(count)]
        found += [place for place in places if struct.unpack("<H", data[place : place + 2])[0] == wanted]
        (at,) = struct.unpack("<I", data[at + 2 + 12 * count : at + 6 + 12 * count])
    return found


def lsm(path, size, *, scan=6, compression=None, positions=0, far=False):
    """A file of Zeiss: pages of all channels (T Z C Y X), a thumbnail after each."""
    times, slices, channels, height, width = size
    stack = planes(max(positions, 1), *size)
    info = bytearray(512)
    struct.pack_into("<IiiiiiiI", info, 0, 0x0400494C, 512, width, height, slices, channels, times, 1)
    struct.pack_into("<3d", info, 40, 0.25e-6, 0.5e-6, 1.5e-6)
    struct.pack_into("<H", info, 88, scan)
    struct.pack_into("<i", info, 264, positions)
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for n, page in enumerate(stack.reshape(-1, channels, height, width)):
            extra = [(34412, "B", 512, bytes(info), True)] if n == 0 else []
            photo = {"photometric": "minisblack", "metadata": None}
            planar = {"planarconfig": "separate"} if channels > 1 else {}
            data = page if channels > 1 else page[0]
            tif.write(data, compression=compression, extratags=extra, rowsperstrip=height, **photo, **planar)
            tif.write(planes(8, 8), subfiletype=1, **photo)
    names = b"".join(struct.pack("<I", len(name) + 1) + name + b"\0" for name in (b"Ch1-T1", b"Ch2"))
    colours = bytes([255, 0, 16, 0, 0, 255, 0, 0])
    block = struct.pack("<6I", 24 + 8 + len(names), 2, 2, 24, 32, 0) + colours + names
    colours_at = append(path, block)
    stamps_at = append(path, struct.pack("<2i3d", 32, 3, 1.0, 3.5, 6.0))
    if channels == 2:  # the writer of Zeiss stores two numbers of 16 bits apart, though they would fit the entry
        for at in entries(path, 258):
            if struct.unpack("<I", path.read_bytes()[at + 4 : at + 8])[0] == 2:
                patch(path, at + 8, "I", append(path, struct.pack("<2H", 8, 8)))
    with tifffile.TiffFile(path) as tif:
        tags = [page.tags for page in (tif.pages[n].aspage() for n in range(len(tif.pages)))]
        at = tags[0][34412].valueoffset
        lists = [(t[273].valueoffset, t[273].dtype, t[273].value, t[279]) for t in tags]
    patch(path, at + 108, "I", colours_at)
    patch(path, at + 132, "I", stamps_at)
    if compression:  # the writer of Zeiss states the size of pixels
        for _, _, _, counts in lists[::2]:
            form = {3: "H", 4: "I"}[counts.dtype] * counts.count
            patch(path, counts.valueoffset, form, *[height * width] * counts.count)
    if far:
        for n, (place, kind, offsets, counts) in enumerate(lists):
            moved = []
            for k, (offset, count) in enumerate(zip(offsets, counts.value)):
                with open(path, "r+b") as file:
                    file.seek(offset)
                    data = file.read(count)
                    file.seek((3 << 30) + (n << 29) + k * count)
                    moved.append(file.tell() % (1 << 32))
                    file.write(data)
            assert kind == 4
            patch(path, place, f"{len(moved)}I", *moved)


def stk(path, *, distance=(2, 1), times=True, unit=b"um"):
    """A stack of MetaMorph: three planes behind one page, calibrated and named."""
    stack = planes(3, 20, 30, dtype="uint16")
    extra = [(code, kind, 3, (1,) * n, True) for code, kind, n in ((33628, "I", 3), (33629, "I", 3), (33630, "I", 3))]
    tifffile.imwrite(path, stack[0], byteorder="<", metadata=None, photometric="minisblack", extratags=extra, rowsperstrip=20)
    append(path, stack[1:].tobytes())
    text = lambda value: append(path, struct.pack("<I", len(value) + 1) + value + b"\0")
    fraction = lambda *value: append(path, struct.pack("<2I", *value))
    numbers = [(3, 1), (4, fraction(65, 100)), (5, fraction(13, 20)), (6, text(unit)), (7, text(b"Cy5 stack"))]
    one = append(path, b"".join(struct.pack("<2I", *number) for number in numbers))
    rows = [(*distance, 2455000, 1000 + 250 * n * times, 2455000, 1) for n in range(3)]
    two = append(path, b"".join(struct.pack("<6I", *row) for row in rows))
    three = append(path, struct.pack("<6I", 405, 1, 488, 1, 561, 1))
    at = [entries(path, code)[0] for code in (33628, 33629, 33630)]
    for place, value in zip(at, ((33628, 4, len(numbers), one), (33629, 5, 3, two), (33630, 5, 3, three))):
        patch(path, place, "HHII", *value)


def fluoview(path):
    """An image of Fluoview: ten dimensions in its header, fastest first."""
    header = bytearray(1454)
    header[3:8] = b"cells"
    known = [(b"X", 12, 0.25, b"um"), (b"Y", 10, 0.25, b"um"), (b"Z", 4, 1.5, b"um"), (b"T", 3, 0.5, b"s"), (b"Ch", 2, 1, b"")]
    for n, (name, size, step, unit) in enumerate(known + [(b"", 1, 0, b"")] * 5):
        struct.pack_into("<16sidd64s", header, 284 + 100 * n, name, size, 0, step, unit)
    extra = [(34361, "B", len(header), bytes(header), True), (34362, "d", 8, (0.0,) * 8, True)]
    stack = planes(2, 3, 4, 10, 12)  # C T Z
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for page in stack.reshape(-1, 10, 12):
            tif.write(page, photometric="minisblack", metadata=None, extratags=extra)


def scanimage(path, *, frames=3, slices=2):
    """Twelve pages of ScanImage: two of four channels, frames and slices as its settings say."""
    lines = ["SI.VERSION_MAJOR = 2023", "SI.hChannels.channelName = {'red';'a';'far';'b'}", "SI.hChannels.channelSave = [1;3]"]
    lines += [f"SI.hStackManager.framesPerSlice = {frames}", f"SI.hStackManager.numSlices = {slices}"]
    lines += ["SI.hStackManager.stackZStepSize = 2.5", "SI.hRoiManager.scanFrameRate = 10", "SI.hRoiManager.scanVolumeRate = 2"]
    with tifffile.TiffWriter(path, byteorder="<", bigtiff=True) as tif:
        for page in planes(12, 10, 12, dtype="uint16"):
            tif.write(page, photometric="minisblack", metadata=None, software="\n".join(lines))


FILES = {
    "colours.tif": (imagej_colours, {}),
    "slide.svs": (svs, {}),
    "focus.svs": (lambda path: svs(path, focus=2), {}),
    "slide.ndpi": (ndpi, {"tolerance": 3}),
    "far.ndpi": (lambda path: ndpi(path, 3 << 30), {"tolerance": 3}),
    "stack.lsm": (lambda path: lsm(path, (3, 4, 2, 12, 16)), {"series": 1}),
    "slices.lsm": (lambda path: lsm(path, (1, 4, 1, 12, 16), scan=0), {"series": 1}),
    "lzw.lsm": (lambda path: lsm(path, (3, 2, 2, 40, 50), compression="lzw"), {"series": 1}),
    "far.lsm": (lambda path: lsm(path, (3, 2, 2, 12, 16), far=True), {"series": 1}),
    "slices.stk": (stk, {}),
    "fluoview.tif": (fluoview, {}),
    "scanimage.tif": (scanimage, {"order": ("ZTC", (2, 3, 2))}),
    "frames.stk": (lambda path: stk(path, distance=(0, 1)), {}),
    "waves.stk": (lambda path: stk(path, distance=(0, 1), times=False), {}),
}


def entry(folder, name, *, tolerance=0, series=None, order=None):
    """What tifffile finds in a file, its pixels beside it; `order`: axes and sizes of pages that it only lists."""
    found = []
    with tifffile.TiffFile(folder / name) as tif:
        for number, one in enumerate(tif.series[:series]):
            levels = []
            for level in one.levels:
                raw = f"{name}.{number}.{len(levels)}.raw"
                axes, data = level.axes, level.asarray()
                if order:
                    axes, data = order[0] + axes[1:], data.reshape(order[1] + data.shape[1:])
                (folder / raw).write_bytes(pixels.little(data).tobytes())
                levels.append({"axes": axes, "shape": list(data.shape), "raw": raw})
            found.append({"name": one.name, "dtype": str(one.dtype), "levels": levels})
    return {"file": name, "tolerance": tolerance, "series": found}


def main():
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["big"]:
        imagej_big(folder / "big.tif")
        scanimage(folder / "volumes.tif", frames=1)
        lsm(folder / "positions.lsm", (2, 3, 2, 12, 16), positions=2)
        return
    entries = []
    for name, (write, truth) in FILES.items():
        write(folder / name)
        entries.append(entry(folder, name, **truth))
    (folder / "manifest.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    main()
