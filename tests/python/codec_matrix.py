"""The part of the matrix of TIFF variants that goes through codecs and types one by one: called by write_matrix.py.

Each variant is written by tifffile with imagecodecs, or by Pillow (CCITT), and its truth is what tifffile reads back.
Lossy ones have a `tolerance`: decoders of these may differ by so many counts; `raw` then names the pixels.
"""

import numpy as np
import tifffile

import pixels

STRIPS, TILES = {"rowsperstrip": 16}, {"tile": (32, 48)}
ODD = [2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 20, 23, 24, 25, 31]
BYTE_CODECS = ["packbits", "lzw", "deflate", "old-deflate", "zstd", "lzma"]
TYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]


def smooth(shape, dtype, bits=None):
    """A picture with slopes and edges, as lossy codecs expect it, over the range of `bits`."""
    height, width, *samples = shape
    y, x = np.mgrid[:height, :width]
    planes = [(np.sin(x / (7 + n)) + np.cos(y / (5 + 2 * n)) + (x + y > height)) / 3 for n in range(*(samples or [1]))]
    values = np.stack(planes, -1) if samples else planes[0]
    values = (values - values.min()) / (values.max() - values.min())
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return values.astype(dtype)
    top = (1 << (bits or dtype.itemsize * 8 - (dtype.kind == "i"))) - 1
    return (values * top).astype(dtype)


def build(matrix):
    widths(matrix)
    byte_codecs(matrix)
    photometrics(matrix)
    extra_samples(matrix)
    jpeg(matrix)
    jpeg2000(matrix)
    other_pictures(matrix)
    lerc(matrix)
    ccitt(matrix)
    bit_order(matrix)
    sparse(matrix)


def widths(matrix):
    """Samples of each odd number of bits, in both byte orders, in strips and tiles of odd rows."""
    rng = np.random.default_rng(7)
    for turn, bits in enumerate(ODD):
        dtype = "uint8" if bits < 9 else "uint16" if bits < 17 else "uint32"
        for byteorder in "<>":
            data = rng.integers(0, 1 << bits, (37, 53), dtype=dtype)
            options = (STRIPS, TILES)[(turn + (byteorder == "<")) % 2]
            # tifffile packs swapped values where the file is big-endian: the file is sound, its pixels are others.
            exact = byteorder == "<" or bits < 9
            if bits == 24 and not exact:
                continue  # and it reads nonsense, with a byte of the next sample
            matrix.variant(f"{bits}bit", data, byteorder=byteorder, bitspersample=bits, exact=exact, **options)
    rgb = rng.integers(0, 1 << 12, (21, 19, 3), dtype="uint16")
    matrix.variant("12bit-rgb", rgb, bitspersample=12, photometric="rgb", **STRIPS)
    matrix.variant("12bit-rgb-planar", np.moveaxis(rgb, -1, 0), bitspersample=12, photometric="rgb",
                   planarconfig="separate", **STRIPS)  # fmt: skip


def byte_codecs(matrix):
    """Every type with every codec of bytes, in turns of byte order, layout, predictor and BigTIFF."""
    rng = np.random.default_rng(8)
    turn = 0
    for codec in BYTE_CODECS:
        for dtype in TYPES:
            for predictor in (False, True):
                if predictor and (codec == "packbits" or dtype == "bool"):
                    continue
                data = (np.arange(45 * 67).reshape(45, 67) // 9 + rng.integers(0, 5, (45, 67))) % 120
                data = data > 60 if dtype == "bool" else data.astype(dtype)
                number = (3 if dtype[0] == "f" else 2) if predictor else 1
                matrix.variant(
                    f"{codec}-p{number}", data, compression=codec, predictor=number, byteorder="<>"[turn % 2],
                    bigtiff=turn % 3 == 0, **(STRIPS, TILES)[turn // 2 % 2],
                )  # fmt: skip
                turn += 1


def photometrics(matrix):
    """Values stay as they are stored, whatever they mean: no inversion, no colour map applied."""
    rng = np.random.default_rng(9)
    for dtype in ("bool", "uint8", "uint16", "float32"):
        data = rng.integers(0, 2 if dtype == "bool" else 200, (33, 41)).astype(dtype)
        matrix.variant("miniswhite", data, photometric="miniswhite", **STRIPS)
        matrix.variant("miniswhite", data, photometric="miniswhite", compression="lzw", **STRIPS)
    for dtype, colours in (("uint8", 256), ("uint16", 65536)):
        colormap = rng.integers(0, 65536, (3, colours), dtype="uint16")
        data = rng.integers(0, colours, (33, 41), dtype=dtype)
        for codec in ("none", "lzw", "zstd"):
            matrix.variant("palette", data, photometric="palette", colormap=colormap, compression=codec, **TILES)
    for photometric in ("cielab", "icclab", "logl", "cfa", "separated"):
        samples = {"separated": 4, "logl": 1, "cfa": 1}.get(photometric, 3)
        shape = (33, 41, samples) if samples > 1 else (33, 41)
        matrix.variant(photometric, rng.integers(0, 200, shape, dtype="uint8"), photometric=photometric, **STRIPS)


def extra_samples(matrix):
    """Samples that are no colours, together and apart."""
    rng = np.random.default_rng(10)
    for samples, photometric, extras in ((2, "minisblack", 1), (4, "rgb", 1), (5, "minisblack", 4), (6, "rgb", 3)):
        for dtype in ("uint8", "uint16", "float32"):
            for codec, predictor in (("none", 1), ("deflate", 3 if dtype == "float32" else 2)):
                data = rng.integers(0, 250, (29, 43, samples)).astype(dtype)
                options = {"photometric": photometric, "extrasamples": ["unspecified"] * extras, "compression": codec}
                options |= {"predictor": predictor}
                matrix.variant(f"{samples}s", data, planarconfig="contig", **options, **TILES)
                matrix.variant(f"{samples}s-planar", np.moveaxis(data, -1, 0), planarconfig="separate", **options,
                               **STRIPS)  # fmt: skip


def jpeg(matrix):
    grey, rgb = smooth((64, 96), "uint8"), smooth((64, 96, 3), "uint8")
    for name, layout in (("strips", {"rowsperstrip": 32}), ("tiles", {"tile": (32, 48)})):
        matrix.variant(f"jpeg-{name}", grey, compression="jpeg", exact=False, **layout)
        for subsampling in ((1, 1), (2, 1), (2, 2)):
            matrix.variant(f"jpeg-{subsampling[0]}{subsampling[1]}-{name}", rgb, compression="jpeg", photometric="rgb",
                           subsampling=subsampling, exact=False, **layout)  # fmt: skip
        matrix.variant(f"jpeg-rgb-{name}", rgb, compression="jpeg", photometric="rgb", exact=False,
                       compressionargs={"outcolorspace": "rgb"}, **layout)  # fmt: skip
        matrix.variant(f"jpeg-planar-{name}", np.moveaxis(rgb, -1, 0), compression="jpeg", photometric="rgb",
                       planarconfig="separate", exact=False, **layout)  # fmt: skip
        matrix.variant(f"jpeg-cmyk-{name}", smooth((64, 96, 4), "uint8"), compression="jpeg", photometric="separated",
                       exact=False, **layout)  # fmt: skip
    for bits in (12, 16):
        for layout in (STRIPS, TILES):
            lossless = {"lossless": True, "bitspersample": 16} if bits == 16 else {"bitspersample": 12}
            matrix.variant(f"jpeg-{bits}bit", smooth((50, 70), "uint16", bits), compression="jpeg",
                           compressionargs=lossless, exact=False, **layout)  # fmt: skip
    matrix.variant("jpeg-lossless", grey, compression="jpeg", compressionargs={"lossless": True}, **TILES)
    matrix.variant("jpeg-edges", smooth((50, 70), "uint8"), compression="jpeg", tile=(32, 32), exact=False)
    matrix.variant("jpeg-big-endian", rgb, compression="jpeg", photometric="rgb", byteorder=">", exact=False, **STRIPS)
    matrix.variant("jpeg-best", rgb, compression="jpeg", photometric="rgb", exact=False, subsampling=(1, 1),
                   compressionargs={"level": 100}, **TILES)  # fmt: skip


def jpeg2000(matrix):
    for byteorder, layout in (("<", STRIPS), (">", TILES)):
        for dtype in ("uint8", "uint16", "int8", "int16"):
            for code in ("jpeg2000", 33003, 33005):
                matrix.variant(f"j2k-{code}", matrix.noise(dtype), compression=code, byteorder=byteorder,
                               exact=byteorder == "<", **layout)  # fmt: skip
    for dtype in ("uint8", "uint16"):
        rgb = np.stack([matrix.noise(dtype)] * 2 + [matrix.noise(dtype) // 2], -1)
        rgba = np.concatenate([rgb, rgb[..., :1]], -1)
        for code in ("jpeg2000", 33003, 33005):
            matrix.variant(f"j2k-{code}-rgb", rgb, compression=code, photometric="rgb", **TILES)
        matrix.variant("j2k-rgba", rgba, compression="jpeg2000", photometric="rgb", extrasamples=["unassalpha"], **TILES)
        matrix.variant("j2k-planar", np.moveaxis(rgb, -1, 0), compression="jpeg2000", photometric="rgb",
                       planarconfig="separate", **TILES)  # fmt: skip
    for bits in (10, 12, 14):
        data = matrix.noise("uint16") >> (16 - bits)
        matrix.variant(f"j2k-{bits}bit", data, compression="jpeg2000", bitspersample=bits, **TILES)
    for dtype, tolerance in (("uint8", 2), ("uint16", 8)):
        matrix.variant("j2k-lossy", smooth((64, 96), dtype), compression="jpeg2000", tolerance=tolerance,
                       compressionargs={"level": 60}, **TILES)  # fmt: skip
    matrix.variant("j2k-lossy-rgb", smooth((64, 96, 3), "uint8"), compression="jpeg2000", photometric="rgb", tolerance=2,
                   compressionargs={"level": 45}, **TILES)  # fmt: skip


def other_pictures(matrix):
    """WebP, PNG and JPEG XL."""
    for dtype in ("uint8", "uint16"):
        grey = matrix.noise(dtype)
        rgb = np.stack([grey, grey // 3, grey[::-1]], -1)
        for codec in ("png", "jpegxl"):
            options = {"compression": codec} | ({"compressionargs": {"lossless": True}} if codec == "jpegxl" else {})
            for byteorder, layout in (("<", STRIPS), (">", TILES)):
                order = byteorder if dtype == "uint8" else "<"  # imagecodecs takes no swapped values
                turn = {"byteorder": order} | options | layout
                matrix.variant(codec, grey, **turn)
                matrix.variant(f"{codec}-rgb", rgb, photometric="rgb", **turn)
            rgba = np.concatenate([rgb, grey[..., None]], -1)
            matrix.variant(f"{codec}-rgba", rgba, photometric="rgb", extrasamples=["unassalpha"], **options, **TILES)
            matrix.variant(f"{codec}-planar", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate",
                           **options, **TILES)  # fmt: skip
    for layout in (STRIPS, TILES):
        data = smooth((37, 53), "float32")
        matrix.variant("jpegxl", data, compression="jpegxl", compressionargs={"lossless": True}, **layout)
    rgb = smooth((64, 96, 3), "uint8")
    rgba = np.concatenate([rgb, rgb[..., :1]], -1)
    matrix.variant("jpegxl-lossy", rgb, compression="jpegxl", photometric="rgb", tolerance=3,
                   compressionargs={"distance": 1.0}, **TILES)  # fmt: skip
    for layout in (STRIPS, TILES):
        lossless = {"compression": "webp", "photometric": "rgb", "compressionargs": {"lossless": True}} | layout
        matrix.variant("webp-lossless", rgb, **lossless)
        matrix.variant("webp-lossless-rgba", rgba, extrasamples=["unassalpha"], **lossless)
        opaque = np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], -1)
        matrix.variant("webp-opaque", opaque, extrasamples=["unassalpha"], **lossless)
        matrix.variant("webp", rgb, compression="webp", photometric="rgb", compressionargs={"level": 90}, tolerance=4,
                       **layout)  # fmt: skip


def lerc(matrix):
    for dtype in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
        for inner in (None, "deflate", "zstd"):
            options = {"compressionargs": {"compression": inner}} if inner else {}
            data = matrix.noise(dtype if dtype[0] != "f" else "uint16").astype(dtype)
            matrix.variant(f"lerc-{inner}", data, compression="lerc", **options, **(STRIPS, TILES)[inner is None])
    rgb = smooth((64, 96, 3), "uint8")
    matrix.variant("lerc-rgb", rgb, compression="lerc", photometric="rgb", **TILES)
    matrix.variant("lerc-planar", np.moveaxis(rgb, -1, 0), compression="lerc", photometric="rgb",
                   planarconfig="separate", **STRIPS)  # fmt: skip


def ccitt(matrix):
    """Faxes by libtiff (in Pillow), which tifffile cannot write."""
    from PIL import Image

    y, x = np.mgrid[:91, :203]
    dots = ((x // 11 + y // 7) % 3 == 0) ^ ((x * y) % 17 == 0)
    lines = (x // 40 % 2 == 0) & (y % 5 > 0)
    for what, data in (("dots", dots), ("lines", lines), ("blank", lines & False), ("black", lines | True)):
        for codec, tags in (("tiff_ccitt", {}), ("group3", {}), ("group3", {292: 1}), ("group4", {})):
            for rows in (91, 16):
                name = f"{codec}{tags.get(292, '')}-{what}-{rows}"
                path = matrix.path(name, "bool")
                image = Image.fromarray(data)
                image.save(path, compression=codec, tiffinfo=tags | {278: rows})
                matrix.note(path)


def bit_order(matrix):
    """FillOrder 2: the bits of every stored byte the other way round, but not those of pictures."""
    for name, options in (("none", {}), ("lzw", {"compression": "lzw"}), ("zstd", {"compression": "zstd"})):
        for dtype in ("bool", "uint8", "uint16"):
            path = matrix.path(f"lsb-{name}", dtype)
            data = matrix.noise("uint8" if dtype == "bool" else dtype)
            data = data > 60 if dtype == "bool" else data
            matrix.save(path, data, extratags=[(65000, 3, 1, 2, True)], **options, **STRIPS)
            with tifffile.TiffFile(path) as tif:
                page = tif.pages[0]
                parts = list(zip(page.dataoffsets, page.databytecounts))
                entry = page.tags[65000].offset
            stored = bytearray(path.read_bytes())
            stored[entry : entry + 2] = (266).to_bytes(2, "little")  # a tag that tifffile does not write
            table = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
            for offset, size in parts:
                stored[offset : offset + size] = stored[offset : offset + size].translate(table)
            path.write_bytes(stored)
            matrix.note(path, expected=data)


def sparse(matrix):
    """Tiles that were never written have no bytes and are 0."""
    for codec in ("none", "deflate", "lzma", "jpeg2000", "png"):
        path = matrix.path(f"sparse-{codec}", "uint16")
        data = matrix.noise("uint16")
        matrix.save(path, data, compression=codec, tile=(16, 16))
        with tifffile.TiffFile(path, mode="r+") as tif:
            page = tif.pages[0]
            offsets, sizes = list(page.dataoffsets), list(page.databytecounts)
            offsets[1], sizes[1] = 0, 0
            page.tags[324].overwrite(offsets)
            page.tags[325].overwrite(sizes)
        data[:16, 16:32] = 0
        matrix.note(path, expected=data)


def raw(path, data):
    """Writes the pixels beside a file for a comparison within a tolerance."""
    name = path.with_suffix(".raw")
    name.write_bytes(pixels.little(data).tobytes())
    return name.name
