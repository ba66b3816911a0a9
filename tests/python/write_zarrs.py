"""Writes a matrix of Zarr arrays and OME-Zarr images with zarr-python: the same pixels on every run, and the same bytes
but for gzip, which notes the time in each chunk.

usage: write_zarrs.py DIR

DIR/manifest.json is a list with an entry for each folder: `path`, `kind` (`array` or `image`), `zarr_format`, `axes`
(of images: the letters of the stored order; of arrays null), `shape`, `dtype`, `chunks`, `shards`, `codec` (words for
people), `sha256` of the pixels in the stored order of axes (C order, little-endian); images also have `levels` (shape,
sha256), `scale` and `units` (in the order of `axes`) and `channels`.
"""

import itertools
import json
import lzma
import shutil
import sys
import warnings
import zipfile
from pathlib import Path

import numcodecs
import numpy as np
import zarr
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec
from zarr.codecs import numcodecs as v3

import pixels
from write_matrix import picture

NUMBERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
TYPES = ["bool", *NUMBERS, "complex64", "complex128"]
SHAPE, CHUNKS = (5, 37, 53), (2, 16, 20)

# Threads would put the blocks of a Blosc chunk in the order in which they happened to finish.
numcodecs.blosc.use_threads = False
numcodecs.blosc.set_nthreads(1)
# That names of numcodecs in Zarr v3 are no standard is why they are written here.
warnings.simplefilter("ignore")


def data_of(name, shape, dtype):
    if dtype == "bool":
        return picture(name, shape, "uint8") % 3 == 0
    return picture(name, shape, dtype)


def same(one, other):
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


class Matrix:
    """Collects what is written."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = []

    def array(
        self, words, *, zarr_format, dtype="uint16", big=False, shape=SHAPE, chunks=CHUNKS, holes=False, lossy=False,
        **options
    ):  # fmt: skip
        """A plain array; with `holes` a part of its chunks is never written and holds the fill value; what a `lossy`
        codec leaves is what zarr-python reads back."""
        name = f"{len(self.entries):03}-v{zarr_format}-{dtype}{'-big' * big}-{words.replace(' ', '-')}.zarr"
        data = data_of(name, shape, dtype)
        stored = np.dtype(dtype).newbyteorder(">") if big and zarr_format == 2 else np.dtype(dtype)
        if big and zarr_format == 3:
            options.setdefault("serializer", BytesCodec(endian="big"))
        if "serializer" in options and isinstance(options["serializer"], ShardingCodec):
            chunks_option = {"chunks": chunks}
        else:
            chunks_option = {"chunks": chunks, "shards": options.pop("shards", None)}
        array = zarr.create_array(
            self.folder / name, shape=shape, dtype=stored, zarr_format=zarr_format, **chunks_option, **options
        )
        if holes:
            data = self.write_with_holes(array, data)
        else:
            array[...] = data
        stored = zarr.open_array(self.folder / name, mode="r")
        self.add(name, "array", words, stored, stored[...] if lossy else data, {"axes": None})

    def write_with_holes(self, array, data):
        """Writes every third chunk alone and leaves out the last shards; returns what a reader must find."""
        fill = array.fill_value if array.fill_value is not None else 0
        found = np.full(data.shape, fill, data.dtype)
        starts = itertools.product(*[range(0, n, step) for n, step in zip(data.shape, array.chunks)])
        for number, corner in enumerate(starts):
            if number % 3 == 0 and corner[0] < 4:
                box = tuple(slice(start, start + step) for start, step in zip(corner, array.chunks))
                array[box] = found[box] = data[box]
        return found

    def image(self, words, *, version, axes, shape, levels=1, dtype="uint16", chunks=None, channels=(), **options):
        """An OME-Zarr of version 0.4 or 0.5 with `levels` levels, each half as large as the one before."""
        zarr_format = {"0.4": 2, "0.5": 3}[version]
        name = f"{len(self.entries):03}-ome-{version}-{axes.lower()}-{words.replace(' ', '-')}.zarr"
        arrays = [data_of(name, shape, dtype)]
        for _ in range(1, levels):
            arrays.append(arrays[-1][..., ::2, ::2])
        scales = [
            [self.step(letter) * (2**level if letter in "YX" else 1) for letter in axes] for level in range(levels)
        ]
        attributes = ome_attributes(version, axes, scales, channels)
        group = zarr.create_group(self.folder / name, zarr_format=zarr_format, attributes=attributes)
        if version == "0.5":
            options["dimension_names"] = list(axes.lower())
        for level, data in enumerate(arrays):
            own = tuple(min(n, c) for n, c in zip(data.shape, chunks or (1,) * (len(axes) - 2) + (16, 20)))
            array = group.create_array(str(level), shape=data.shape, dtype=dtype, chunks=own, **options)
            array[...] = data
            assert same(group[str(level)][...], data), name
        self.add(name, "image", words, group["0"], arrays[0], {
            "axes": axes, "ngff_version": version, "scale": scales[0], "units": [unit(letter) for letter in axes],
            "channels": [{"name": channel, "color": color} for channel, color in channels],
            "levels": [{"shape": list(data.shape), "sha256": pixels.sha256(data)} for data in arrays],
        })  # fmt: skip

    def pack(self, words, number, *, compression=zipfile.ZIP_STORED, suffix="zip", top="", zip64=False):
        """A ZIP archive of an array or image that was written before; `top` is a folder round it."""
        entry = self.entries[number]
        name = f"{len(self.entries):03}-{words.replace(' ', '-')}.{suffix}"
        folder = self.folder / entry["path"]
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                info = zipfile.ZipInfo(top + file.relative_to(folder).as_posix())
                info.compress_type = compression
                with archive.open(info, "w", force_zip64=zip64) as out:
                    out.write(file.read_bytes())
        self.entries.append(entry | {"path": name})

    @staticmethod
    def step(letter):
        return {"T": 0.5, "C": 1.0, "Z": 0.29, "Y": 0.108, "X": 0.108}[letter]

    def add(self, name, kind, words, array, data, more):
        """Reads the pixels back and notes them."""
        assert same(array[...], data), f"{name} is not read back as it was written"
        self.entries.append({
            "path": name, "kind": kind, "zarr_format": array.metadata.zarr_format, "shape": list(data.shape),
            "dtype": data.dtype.name, "chunks": list(array.chunks), "shards": array.shards and list(array.shards),
            "codec": words, "sha256": pixels.sha256(data),
        } | more)  # fmt: skip


def unit(letter):
    return {"T": "second", "C": None}.get(letter, "micrometer")


def ome_attributes(version, axes, scales, channels):
    kinds = {"T": "time", "C": "channel"}
    named = [{"name": letter.lower(), "type": kinds.get(letter, "space"), "unit": unit(letter)} for letter in axes]
    named = [{key: value for key, value in axis.items() if value} for axis in named]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for level, scale in enumerate(scales)
    ]
    multiscale = {"name": "image", "axes": named, "datasets": datasets}
    window = {"min": 0, "max": 65535, "start": 0, "end": 65535}
    entries = [{"label": name, "color": color, "active": True, "window": window} for name, color in channels]
    omero = {"omero": {"channels": entries}} if channels else {}
    if version == "0.5":
        return {"ome": {"version": version, "multiscales": [multiscale]} | omero}
    return {"multiscales": [multiscale | {"version": version}]} | omero


def build_v2(matrix):
    """Types, codecs, orders, separators and holes of Zarr v2."""
    blosc = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)
    for number, dtype in enumerate(TYPES):
        matrix.array("blosc lz4", zarr_format=2, dtype=dtype, big=number % 2 == 1, compressors=blosc)
    for words, codec in {
        "none": None,
        "zlib": numcodecs.Zlib(level=5),
        "gzip": numcodecs.GZip(level=5),
        "bz2": numcodecs.BZ2(level=1),
        "zstd": numcodecs.Zstd(level=3),
        "blosc zstd bitshuffle": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE),
        "blosc zlib noshuffle": numcodecs.Blosc("zlib", 3, numcodecs.Blosc.NOSHUFFLE),
        "blosc lz4hc": numcodecs.Blosc("lz4hc", 9, numcodecs.Blosc.SHUFFLE),
        "blosc blosclz": numcodecs.Blosc("blosclz", 5, numcodecs.Blosc.SHUFFLE),
    }.items():
        matrix.array(words, zarr_format=2, compressors=codec)
    zstd = numcodecs.Zstd(level=1)
    matrix.array("order F", zarr_format=2, order="F", compressors=zstd)
    matrix.array("order F", zarr_format=2, order="F", big=True, compressors=None, dtype="float32")
    slashes = {"name": "v2", "separator": "/"}
    matrix.array("slashes", zarr_format=2, chunk_key_encoding=slashes, compressors=zstd)
    matrix.array("holes 0", zarr_format=2, holes=True, compressors=zstd, fill_value=0)
    matrix.array("holes 77", zarr_format=2, holes=True, compressors=zstd, fill_value=77, chunk_key_encoding=slashes)
    matrix.array("holes NaN", zarr_format=2, holes=True, dtype="float32", compressors=zstd, fill_value=np.nan)
    matrix.array("one axis", zarr_format=2, shape=(100,), chunks=(33,), compressors=zstd)
    matrix.array("all one chunk", zarr_format=2, shape=(3, 4), chunks=(3, 4), compressors=None)


def build_v2_filters(matrix):
    """Codecs that compute, check or are rare, alone and in chains, in both orders of axes and bytes."""
    zlib = numcodecs.Zlib(level=1)
    raw = [{"id": lzma.FILTER_DELTA, "dist": 2}, {"id": lzma.FILTER_LZMA2, "preset": 1}]
    for words, codec in {
        "lz4": numcodecs.LZ4(),
        "lzma": numcodecs.LZMA(preset=1),
        "lzma alone": numcodecs.LZMA(format=lzma.FORMAT_ALONE, preset=9),
        "lzma raw": numcodecs.LZMA(format=lzma.FORMAT_RAW, filters=raw),
    }.items():
        matrix.array(words, zarr_format=2, compressors=codec)
    for words, filters in {
        "crc32": [numcodecs.CRC32()],
        "crc32c start": [numcodecs.CRC32C(location="start")],
        "adler32": [numcodecs.Adler32()],
        "adler32 end": [numcodecs.Adler32(location="end")],
        "fletcher32": [numcodecs.Fletcher32()],
        "shuffle": [numcodecs.Shuffle(elementsize=2)],
        "shuffle fletcher32": [numcodecs.Shuffle(elementsize=2), numcodecs.Fletcher32()],
        "delta": [numcodecs.Delta(dtype="<u2")],
        "delta shuffle": [numcodecs.Delta(dtype="<u2"), numcodecs.Shuffle(elementsize=2)],
    }.items():
        matrix.array(words, zarr_format=2, filters=filters, compressors=zlib)
    for dtype, stored in {"<i4": None, ">u2": None, "|u1": "|u1", "<u2": "<i4", "<f4": None, "<f8": None}.items():
        name, is_big = np.dtype(dtype).name, dtype[0] == ">"
        for order in "CF":
            delta = numcodecs.Delta(dtype=dtype, astype=stored)
            words = f"delta of {np.dtype(stored or dtype).name} order {order}"
            matrix.array(words, zarr_format=2, dtype=name, big=is_big, order=order, lossy=name.startswith("f"),
                         filters=[delta], compressors=zlib)  # fmt: skip
    for dtype, scale, offset, stored in [
        ("<u2", 1, 100, "<u2"), ("<f4", 4, -7, "<i4"), ("<f8", 0.5, 0.25, ">i2"), ("<i4", 2, 3, "<i8"),
    ]:  # fmt: skip
        codec = numcodecs.FixedScaleOffset(scale=scale, offset=offset, dtype=dtype, astype=stored)
        name = np.dtype(dtype).name
        matrix.array(f"scaled {scale}", zarr_format=2, dtype=name, lossy=True, filters=[codec], compressors=zlib)
    bits = [numcodecs.PackBits()]
    matrix.array("packbits", zarr_format=2, dtype="bool", filters=bits, compressors=None)
    matrix.array("packbits order F", zarr_format=2, dtype="bool", order="F", filters=bits, compressors=zlib)
    matrix.array("packbits odd", zarr_format=2, dtype="bool", chunks=(1, 3, 7), filters=bits, compressors=zlib)
    typed = numcodecs.AsType(encode_dtype="<i4", decode_dtype="<u2")
    matrix.array("astype", zarr_format=2, filters=[typed], compressors=zlib)
    for words, codec in {"bitround": numcodecs.BitRound(keepbits=5), "quantize": numcodecs.Quantize(2, "<f4")}.items():
        matrix.array(words, zarr_format=2, dtype="float32", lossy=True, filters=[codec], compressors=zlib)


def build_v3_numcodecs(matrix):
    """The names of numcodecs in Zarr v3, alone, in chains and within shards. What it writes with a filter before
    big-endian bytes zarr-python 3.1.6 does not read back itself."""
    sharded = {"chunks": (1, 8, 10), "shards": (2, 16, 20)}
    delta = v3.Delta(dtype="<u2")
    for words, codecs in {
        "lz4": v3.LZ4(),
        "lzma": v3.LZMA(preset=1),
        "bz2": v3.BZ2(level=1),
        "zlib": v3.Zlib(level=1),
        "gzip": v3.GZip(level=1),
        "zstd": v3.Zstd(level=1),
        "blosc": v3.Blosc(cname="lz4", clevel=5, shuffle=1),
        "shuffle zlib": [v3.Shuffle(elementsize=2), v3.Zlib(level=1)],
        "adler32": [v3.Zlib(level=1), v3.Adler32()],
        "crc32": v3.CRC32(),
        "crc32c": v3.CRC32C(),
        "fletcher32": v3.Fletcher32(),
    }.items():
        matrix.array(f"numcodecs {words}", zarr_format=3, compressors=codecs)
        matrix.array(f"sharded numcodecs {words}", zarr_format=3, **sharded, compressors=codecs)
    matrix.array("delta", zarr_format=3, filters=delta, compressors=ZstdCodec(level=1))
    matrix.array("sharded delta", zarr_format=3, **sharded, filters=delta, compressors=ZstdCodec(level=1))
    matrix.array("transpose zlib", zarr_format=3, big=True, filters=TransposeCodec(order=(1, 2, 0)),
                 compressors=[v3.Shuffle(elementsize=2), v3.Zlib(level=1)])  # fmt: skip
    matrix.array("sharded transpose", zarr_format=3, **sharded, filters=TransposeCodec(order=(2, 1, 0)),
                 compressors=v3.LZ4())  # fmt: skip
    scaled = v3.FixedScaleOffset(scale=4, offset=-7, dtype="<f4", astype="<i2")
    matrix.array("scaled 4", zarr_format=3, dtype="float32", lossy=True, filters=scaled, compressors=None)
    rounded = v3.BitRound(keepbits=5)
    matrix.array("bitround", zarr_format=3, dtype="float64", lossy=True, filters=rounded, compressors=v3.LZ4())


def build_v3(matrix):
    """Types, codecs and shards of Zarr v3."""
    zstd = ZstdCodec(level=1)
    for number, dtype in enumerate(TYPES):
        matrix.array("zstd", zarr_format=3, dtype=dtype, big=number % 2 == 0 and number > 1, compressors=zstd)
    for words, codecs in {
        "none": None,
        "gzip": GzipCodec(level=5),
        "zstd checksum": ZstdCodec(level=3, checksum=True),
        "blosc lz4 shuffle": BloscCodec(cname="lz4", clevel=5, shuffle="shuffle", typesize=2),
        "blosc zstd bitshuffle": BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=2),
        "zstd crc32c": [zstd, Crc32cCodec()],
    }.items():
        matrix.array(words, zarr_format=3, compressors=codecs)
    matrix.array("transpose", zarr_format=3, filters=TransposeCodec(order=(2, 0, 1)), compressors=zstd)
    dots = {"name": "v2", "separator": "."}
    matrix.array("v2 keys", zarr_format=3, chunk_key_encoding=dots, compressors=None)
    matrix.array("dots", zarr_format=3, chunk_key_encoding={"name": "default", "separator": "."}, compressors=zstd)
    matrix.array("holes 9", zarr_format=3, holes=True, fill_value=9, compressors=zstd)
    matrix.array("holes NaN", zarr_format=3, holes=True, dtype="float64", fill_value=np.nan, compressors=zstd)
    build_sharded(matrix, zstd)


def build_sharded(matrix, zstd):
    """Shards: an index at the end or the start, ragged, with holes, codecs inside and outside."""
    sharded = {"zarr_format": 3, "chunks": (1, 8, 10), "shards": (2, 16, 20)}
    matrix.array("sharded zstd", **sharded, compressors=zstd)
    matrix.array("sharded none", **sharded, compressors=None, dtype="float32")
    matrix.array("sharded blosc", **sharded, compressors=BloscCodec(cname="zstd", typesize=4), dtype="uint32")
    matrix.array("sharded holes", **sharded, compressors=zstd, holes=True, fill_value=3)
    for number, dtype in enumerate(TYPES):
        codecs = [zstd, None, BloscCodec(cname="lz4", typesize=1)][number % 3]
        matrix.array("sharded type", **sharded, compressors=codecs, dtype=dtype, holes=number % 2 == 0, fill_value=1)
    inner = {"chunk_shape": (1, 8, 10), "codecs": [BytesCodec(endian="big"), zstd]}
    for place in ("start", "end"):
        codec = ShardingCodec(**inner, index_location=place)
        matrix.array(f"sharded index {place}", zarr_format=3, chunks=(2, 16, 20), serializer=codec, compressors=None)
        for index in ("little", "big"):
            codec = ShardingCodec(**inner, index_location=place, index_codecs=[BytesCodec(endian=index)])
            matrix.array(f"sharded {index} index {place}", zarr_format=3, chunks=(2, 16, 20), serializer=codec,
                         compressors=None)  # fmt: skip
        turned = ShardingCodec(chunk_shape=(2, 2, 4), codecs=inner["codecs"], index_location=place)
        matrix.array(f"transposed shards {place}", zarr_format=3, chunks=(2, 16, 20), serializer=turned,
                     filters=TransposeCodec(order=(2, 0, 1)), compressors=None)  # fmt: skip
        inside = ShardingCodec(chunk_shape=(1, 8, 10), codecs=[TransposeCodec(order=(1, 2, 0)), BytesCodec(), zstd])
        matrix.array(f"shards of transposed chunks {place}", zarr_format=3, chunks=(2, 16, 20), serializer=inside,
                     compressors=None)  # fmt: skip
        deep = ShardingCodec(chunk_shape=(2, 16, 20), codecs=[ShardingCodec(**inner, index_location=place)])
        matrix.array(f"shards in shards {place}", zarr_format=3, chunks=(4, 32, 40), serializer=deep, compressors=None)
        matrix.array(f"shards in shards holes {place}", zarr_format=3, chunks=(4, 32, 40), serializer=deep,
                     compressors=None, holes=True, fill_value=5)  # fmt: skip


def build_images(matrix):
    """OME-Zarr of both versions with the axes that occur."""
    channels = [("DAPI", "0000FF"), ("GFP", "00FF00")]
    five = {"axes": "TCZYX", "shape": (2, 2, 3, 37, 53), "channels": channels}
    for version in ("0.4", "0.5"):
        matrix.image("plain", version=version, **five)
        matrix.image("levels", version=version, axes="CZYX", shape=(2, 3, 64, 80), levels=3, channels=channels)
        matrix.image("float", version=version, axes="ZYX", shape=(4, 37, 53), dtype="float32")
        matrix.image("flat", version=version, axes="YX", shape=(37, 53), dtype="uint8")
        matrix.image("film", version=version, axes="TYX", shape=(6, 20, 30), chunks=(2, 20, 30))
    shape = {"chunks": (1, 1, 1, 8, 10), "shards": (1, 2, 2, 16, 20)}
    matrix.image("sharded", version="0.5", **five, **shape, compressors=ZstdCodec(level=1))
    slashes = {"name": "v2", "separator": "/"}
    matrix.image("slashes", version="0.4", **five, chunk_key_encoding=slashes, compressors=numcodecs.Zlib(level=1))


def build_archives(matrix):
    """ZIP archives as zipfile makes them of some of the rest."""
    number = next(n for n, entry in enumerate(matrix.entries) if entry.get("codec") == "sharded holes")
    image = next(n for n, entry in enumerate(matrix.entries) if entry["kind"] == "image" and entry["codec"] == "levels")
    for kind, n in (("array", number), ("image", image)):
        matrix.pack(f"stored {kind}", n)
        matrix.pack(f"deflated {kind}", n, compression=zipfile.ZIP_DEFLATED)
        matrix.pack(f"zip64 {kind}", n, suffix="ozx", zip64=True)
        matrix.pack(f"deflated {kind} in a folder", n, compression=zipfile.ZIP_DEFLATED, top="image.zarr/")


def main():
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    matrix = Matrix(folder)
    build_v2(matrix)
    build_v2_filters(matrix)
    build_v3(matrix)
    build_v3_numcodecs(matrix)
    build_images(matrix)
    build_archives(matrix)
    (folder / "manifest.json").write_text(json.dumps(matrix.entries, indent=1) + "\n", encoding="utf-8")
    print(f"{len(matrix.entries)} arrays and images in {folder}")


if __name__ == "__main__":
    main()
