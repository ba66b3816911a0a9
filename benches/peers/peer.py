#!/usr/bin/env python3
"""One other program doing one workload.   peer.py PEER WORKLOAD IN OUT

Prints {"inner_s": seconds without imports, "pixels": CRC-32 if BENCH_SUM is set, or what else says that the work is right}. All
use BENCH_THREADS threads. Zarr and conversions are here, what works on images is in processing.py.
"""
import json
import os
import sys

import processing  # noqa: F401
from turn import PEERS, THREADS, WANTS_SUM, on_threads, peer, plane_places, read_planes, read_whole, timed


# ------------------------------------------------------------------------------------------------ tensorstore
def ts_open(path, **how):
    import tensorstore

    inner = os.path.join(path, "0") if os.path.isdir(os.path.join(path, "0")) else path
    driver = "zarr" if os.path.exists(os.path.join(inner, ".zarray")) else "zarr3"
    limits = {"data_copy_concurrency": {"limit": THREADS}, "file_io_concurrency": {"limit": max(4, THREADS)}}
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": inner}, "context": limits}
    return tensorstore.open({**spec, **how}, **({"create": True, "delete_existing": True} if how else {})).result()


BLOSC = {"cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 2, "blocksize": 0}
ZSTD = {"name": "zstd", "configuration": {"level": 3, "checksum": False}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
SHARDING = {
    "name": "sharding_indexed",
    "configuration": {
        "chunk_shape": [1, 1, 1, 512, 512],
        "codecs": [BYTES, ZSTD],
        "index_codecs": [BYTES, {"name": "crc32c"}],
        "index_location": "end",
    },
}


def v2(shape, chunks):
    compressor = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}
    return {"shape": shape, "chunks": chunks, "dtype": "<u2", "dimension_separator": "/", "compressor": compressor}


def v3(shape, chunks, codecs):
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    return {"shape": shape, "data_type": "uint16", "chunk_grid": grid, "codecs": codecs}


def ts_metadata(workload, shape):
    """Driver and metadata of an output."""
    shape = list(shape)
    return {
        "write-blosc": ("zarr", v2(shape, [1, 1, 1, 1024, 1024])),
        "rechunk": ("zarr", v2(shape, [1, 1, 20, 256, 256])),
        "write-zstd": ("zarr3", v3(shape, [1, 1, 1, 512, 512], [BYTES, ZSTD])),
        "write-sharded": ("zarr3", v3(shape, [1, 1, 20, 1024, 1024], [SHARDING])),
    }[workload]


@peer("tensorstore", "read-blosc", "read-zstd", "read-sharded")
def _(workload, source, out):
    import tensorstore  # noqa: F401

    return read_whole(lambda: ts_open(source).read().result())


@peer("tensorstore", "planes-blosc", "planes-zstd", "planes-sharded")
def _(workload, source, out):
    import tensorstore  # noqa: F401

    return read_planes(lambda: ts_open(source), lambda array, place: array[place].read().result())


@peer("tensorstore", "write-blosc", "write-zstd", "write-sharded", "rechunk")
def _(workload, source, out):
    import tensorstore  # noqa: F401

    def work():
        array = ts_open(source)
        driver, metadata = ts_metadata(workload, array.shape)
        output = ts_open(out, driver=driver, metadata=metadata)

        def one(stack):
            output[stack].write(array[stack].read().result()).result()

        on_threads(one, [(t, c) for t in range(array.shape[0]) for c in range(array.shape[1])])

    return timed(work)


# ------------------------------------------------------------------------------------------------ zarr-python, with zarrs
def zarr_open(path, with_zarrs):
    import zarr

    if with_zarrs:
        import zarrs  # noqa: F401

        zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    return zarr.open_array(os.path.join(path, "0"), mode="r")


for _name, _zarrs in (("zarr-python", False), ("zarrs-python", True)):

    @peer(_name, "read-blosc", "read-zstd", "read-sharded")
    def _(workload, source, out, with_zarrs=_zarrs):
        zarr_open(source, with_zarrs)
        return read_whole(lambda: zarr_open(source, with_zarrs)[...])

    @peer(_name, "planes-blosc", "planes-zstd", "planes-sharded")
    def _(workload, source, out, with_zarrs=_zarrs):
        zarr_open(source, with_zarrs)
        return read_planes(lambda: zarr_open(source, with_zarrs), lambda array, place: array[place])


# ------------------------------------------------------------------------------------------------ the limits
def stored(source):
    """Every compressed chunk of a Zarr, in memory, and the codec's decoder."""
    import imagecodecs
    import numpy

    folder = os.path.join(source, "0")
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    files = [path for path in files if os.path.basename(path) not in ("zarr.json", ".zarray", ".zattrs")]
    blobs = [open(path, "rb").read() for path in files]
    if os.path.exists(os.path.join(folder, ".zarray")):
        return blobs, lambda blob: imagecodecs.blosc_decode(blob, numthreads=1)
    codecs = json.load(open(os.path.join(folder, "zarr.json")))["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        inner = 80 * 16
        indexes = [numpy.frombuffer(blob[-inner - 4 : -4], "<u8").reshape(-1, 2) for blob in blobs]
        blobs = [blob[int(o) : int(o + n)] for blob, index in zip(blobs, indexes) for o, n in index]
    return blobs, lambda blob: imagecodecs.zstd_decode(blob, out=512 * 512 * 2)


@peer("limit: decode", "read-blosc", "read-zstd", "read-sharded", "planes-blosc", "planes-zstd", "planes-sharded", "rechunk", "project-zarr")
def _(workload, source, out):
    blobs, decode = stored(source)
    return timed(lambda: on_threads(lambda blob: len(decode(blob)), blobs))[0], None


@peer("limit: encode", "write-blosc", "write-zstd", "write-sharded", "pyramid", "rechunk")
def _(workload, source, out):
    """Compresses every plane from memory, writes nothing (blosc for a pyramid: what its full resolution costs)."""
    import imagecodecs
    import numpy

    planes = numpy.empty((600, 1024, 1024), numpy.uint16)
    if source.endswith(".zarr"):
        array = zarr_open(source, False)
        for index, place in enumerate(plane_places(array.shape)):
            planes[index] = array[place]
    else:
        import tifffile

        planes[:] = tifffile.memmap(source, mode="r").reshape(planes.shape)
    if "zstd" in workload or "sharded" in workload:
        parts = planes.reshape(600, 2, 512, 2, 512).transpose(0, 1, 3, 2, 4).reshape(2400, 512, 512)
        planes = numpy.ascontiguousarray(parts)

    def encode(plane):
        if "zstd" in workload or "sharded" in workload:
            return len(imagecodecs.zstd_encode(plane, level=3))
        return len(imagecodecs.blosc_encode(plane, compressor="lz4", level=5, shuffle=1, typesize=2, numthreads=1))

    return timed(lambda: on_threads(encode, planes))[0], None


# ------------------------------------------------------------------------------------------------ TIFF to OME-Zarr, 4 levels
@peer("threads by hand", "pyramid")
def _(workload, source, out):
    """What somebody who knows how writes in an hour: threads, one codec, means of 2 x 2, one file a chunk."""
    import numcodecs
    import numpy
    import tifffile
    import zarr

    numcodecs.blosc.use_threads = False
    codec = numcodecs.Blosc("lz4", clevel=5, shuffle=1)

    def work():
        stack = tifffile.memmap(source, mode="r")
        for level in range(4):
            plane = (1, 1, 1, 1024 >> level, 1024 >> level)
            zarr.create_array(
                os.path.join(out, str(level)), shape=stack.shape[:3] + plane[3:], chunks=plane, dtype="<u2", zarr_format=2,
                compressors=codec, chunk_key_encoding={"name": "v2", "separator": "/"},
            )

        def one(place):
            plane = stack[place]
            for level in range(4):
                folder = os.path.join(out, str(level), *map(str, place), "0")
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, "0"), "wb") as file:
                    file.write(codec.encode(numpy.ascontiguousarray(plane)))
                wide = plane.astype(numpy.uint32)
                plane = ((wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]) >> 2).astype(numpy.uint16)

        on_threads(one, plane_places(stack.shape))

    return timed(work)[0], None


@peer("bioio-conversion", "pyramid")
def _(workload, source, out):
    from bioio_conversion.converters import OmeZarrConverter

    shapes = [(10, 3, 20, 1024 >> level, 1024 >> level) for level in range(4)]
    name = os.path.basename(out).removesuffix(".ome.zarr")
    chunks = [(1, 1, 1) + shape[3:] for shape in shapes]
    converter = dict(level_shapes=shapes, chunk_shape=chunks, zarr_format=2)
    return timed(OmeZarrConverter(source=source, destination=os.path.dirname(out), name=name, **converter).convert)[0], None


@peer("ngff-zarr", "pyramid")
def _(workload, source, out):
    import dask.array
    import ngff_zarr
    import tifffile
    import zarr

    def work():
        stack = zarr.open(tifffile.imread(source, aszarr=True, chunkmode="page"), mode="r")
        stack = stack["0"] if hasattr(stack, "array_keys") else stack
        image = ngff_zarr.to_ngff_image(dask.array.from_zarr(stack, inline_array=True), dims=list("tczyx"))
        factors = [{"z": 1, "y": 1 << level, "x": 1 << level} for level in (1, 2, 3)]
        method = ngff_zarr.Methods.ITKWASM_BIN_SHRINK
        chunks = {"t": 1, "c": 1, "z": 1, "y": 1024, "x": 1024}
        ngff_zarr.to_ngff_zarr(out, ngff_zarr.to_multiscales(image, factors, chunks=chunks, method=method), version="0.4")

    return timed(work)[0], None


if __name__ == "__main__":
    name, workload, source, out = sys.argv[1:5]
    seconds, total = PEERS[name, workload](workload, source, out)
    print(json.dumps({"inner_s": seconds, "pixels": total if WANTS_SUM else None}))
