"""What other programs do with whole images: open them, project them, measure their planes.

Lazy arrays are what a user of each library has (`lazy`); "on threads" is what somebody who knows how writes in fifteen lines.
A projection is written as an OME-TIFF, a table as CSV.
"""
import csv
import glob
import math
import os

from turn import THREADS, on_threads, peer, plane_places, timed

PROJECTIONS = ("project-raw", "project-deflate", "project-large")
TIFF_LIBRARIES = ("dask and tifffile", "bioio", "aicsimageio")
HEAD = ["path", "t", "c", "z", "min", "max", "mean", "std", "sum"]


def lazy(library, path):
    """T C Z Y X, with the chunks that the library takes unless asked."""
    if library == "bioio":
        from bioio import BioImage

        return BioImage(path).dask_data
    if library == "aicsimageio":
        from aicsimageio import AICSImage

        return AICSImage(path).dask_data
    import dask.array
    import zarr

    if path.endswith(".zarr"):
        return dask.array.from_zarr(path, component="0")
    import tifffile

    return dask.array.from_zarr(zarr.open(tifffile.imread(path, aszarr=True, chunkmode="page"), mode="r"), inline_array=True)


def imported(library):
    """What is imported before the clock starts, and dask told of its threads."""
    import dask.array  # noqa: F401
    import tifffile  # noqa: F401
    import zarr  # noqa: F401

    dask.config.set(scheduler="threads", num_workers=THREADS)
    if library == "bioio":
        import bioio  # noqa: F401
    if library == "aicsimageio":
        import aicsimageio  # noqa: F401


def planes_of_tiff(path):
    """Shape and a function that gives a plane; both for many threads at once."""
    import numpy
    import tifffile

    tif = tifffile.TiffFile(path)
    series = tif.series[0]
    shape = (1,) * (5 - len(series.shape)) + tuple(series.shape)
    if series.dataoffset is not None:
        dtype = series.dtype.newbyteorder(tif.byteorder)
        pages = numpy.memmap(path, dtype, "r", series.dataoffset, (math.prod(shape[:3]),) + shape[3:])
        return shape, lambda place: pages[numpy.ravel_multi_index(place, shape[:3])]
    tif.filehandle.set_lock(True)  # or two threads race between seek and read, and get wrong pixels
    return shape, lambda place: series.pages[int(numpy.ravel_multi_index(place, shape[:3]))].asarray(maxworkers=1)


# ------------------------------------------------------------------------------------------------ opening
@peer("tifffile", "open-stack", "open-pages")
def _(workload, source, out):
    import tifffile

    def work():
        with tifffile.TiffFile(source) as tif:
            assert len(tif.pages) > 0  # counts them
            return tif.series[0].shape

    return shape_of(*timed(work))


for _library in TIFF_LIBRARIES:

    @peer(_library, "open-stack", "open-pages")
    def _(workload, source, out, library=_library):
        return shape_of(*timed(lambda: lazy(library, source).shape))


@peer("zarr-python", "open-zarr")
def _(workload, source, out):
    import zarr

    return shape_of(*timed(lambda: zarr.open_array(os.path.join(source, "0"), mode="r").shape))


@peer("dask", "open-zarr")
def _(workload, source, out):
    return shape_of(*timed(lambda: lazy("dask", source).shape))


def shape_of(seconds, shape):
    return seconds, [int(size) for size in shape if size > 1]


# ------------------------------------------------------------------------------------------------ projections
def write_projection(out, pixels):
    """`pixels`: T C Y X."""
    import tifffile

    tifffile.imwrite(out, pixels, ome=True, photometric="minisblack", metadata={"axes": "TCYX"})


def project_on_threads(shape, plane_of, out):
    import numpy

    def one(stack):
        most = numpy.array(plane_of((*stack, 0)))
        for z in range(1, shape[2]):
            numpy.maximum(most, plane_of((*stack, z)), out=most)
        return most

    stacks = [(t, c) for t in range(shape[0]) for c in range(shape[1])]
    most = on_threads(one, stacks)
    write_projection(out, numpy.stack(most).reshape(shape[:2] + shape[3:]))


@peer("tifffile on threads", *PROJECTIONS)
def _(workload, source, out):
    import tifffile  # noqa: F401

    return timed(lambda: project_on_threads(*planes_of_tiff(source), out))[0], None


@peer("zarr-python on threads", "project-zarr")
def _(workload, source, out):
    import tifffile  # noqa: F401
    import zarr

    def work():
        array = zarr.open_array(os.path.join(source, "0"), mode="r")
        project_on_threads(array.shape, lambda place: array[place], out)

    return timed(work)[0], None


@peer("tensorstore", "project-zarr")
def _(workload, source, out):
    import tensorstore
    import tifffile  # noqa: F401

    def work():
        limits = {"data_copy_concurrency": {"limit": THREADS}, "file_io_concurrency": {"limit": max(4, THREADS)}}
        spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": os.path.join(source, "0")}, "context": limits}
        array = tensorstore.open(spec).result()
        project_on_threads(tuple(array.shape), lambda place: array[place].read().result(), out)

    return timed(work)[0], None


for _library in TIFF_LIBRARIES:

    @peer(_library, *PROJECTIONS, *(["project-zarr"] if _library.startswith("dask") else []))
    def _(workload, source, out, library=_library):
        imported(library)
        return timed(lambda: write_projection(out, lazy(library, source).max(axis=2).compute()))[0], None


# ------------------------------------------------------------------------------------------------ statistics
def numpy_row(plane):
    """Minimum, maximum, mean, standard deviation, sum."""
    return plane.min(), plane.max(), plane.mean(), plane.std(), int(plane.sum(dtype="uint64"))


def opencv_row(plane):
    import cv2

    least, most, _, _ = cv2.minMaxLoc(plane)
    mean, deviation = cv2.meanStdDev(plane)
    return int(least), int(most), mean[0][0], deviation[0][0], round(mean[0][0] * plane.size)


def write_table(out, rows):
    with open(out, "w", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])


@peer("numpy on threads", "statistics")
def _(workload, source, out):
    return statistics_on_threads(source, out, numpy_row)


@peer("OpenCV on threads", "statistics")
def _(workload, source, out):
    import cv2

    cv2.setNumThreads(1)
    return statistics_on_threads(source, out, opencv_row)


def statistics_on_threads(source, out, row):
    import tifffile  # noqa: F401

    def work():
        shape, plane_of = planes_of_tiff(source)
        places = plane_places(shape)
        rows = on_threads(lambda place: row(plane_of(place)), places)
        write_table(out, [(os.path.basename(source), *place, *row) for place, row in zip(places, rows)])

    return timed(work)[0], None


for _library in TIFF_LIBRARIES:

    @peer(_library, "statistics")
    def _(workload, source, out, library=_library):
        imported(library)
        return timed(lambda: statistics_by_dask(lazy(library, source), source, out))[0], None


def statistics_by_dask(pixels, source, out):
    import dask

    over = {"axis": (-2, -1)}
    wide = pixels.astype("float64")
    asked = [pixels.min(**over), pixels.max(**over), wide.mean(**over), wide.std(**over), pixels.astype("uint64").sum(**over)]
    found = dask.compute(*asked)
    places = plane_places(found[0].shape)
    write_table(out, [(os.path.basename(source), *place, *(each[place] for each in found)) for place in places])


# ------------------------------------------------------------------------------------------------ many small images
def rows_by_tifffile(path):
    import tifffile

    pixels = tifffile.imread(path)
    pixels = pixels.reshape((-1,) + pixels.shape[-2:])
    return [(os.path.basename(path), 0, 0, z, *numpy_row(plane)) for z, plane in enumerate(pixels)]


def rows_by(library, path):
    pixels = lazy(library, path).compute(scheduler="single-threaded")
    name = os.path.basename(path)
    return [(name, *place, *numpy_row(pixels[place])) for place in plane_places(pixels.shape)]


def images(folder):
    return sorted(glob.glob(os.path.join(folder, "*.ome.tif")))


@peer("tifffile on threads", "map")
def _(workload, source, out):
    import tifffile  # noqa: F401

    return timed(lambda: write_table(out, sum(on_threads(rows_by_tifffile, images(source)), [])))[0], None


@peer("tifffile in processes", "map")
def _(workload, source, out):
    from concurrent.futures import ProcessPoolExecutor

    import tifffile  # noqa: F401

    def work():
        with ProcessPoolExecutor(THREADS) as processes:
            write_table(out, sum(processes.map(rows_by_tifffile, images(source), chunksize=10), []))

    return timed(work)[0], None


for _library in ("bioio", "aicsimageio"):

    @peer(_library, "map")
    def _(workload, source, out, library=_library):
        imported(library)
        work = lambda: write_table(out, sum(on_threads(lambda path: rows_by(library, path), images(source)), []))  # noqa: E731
        return timed(work)[0], None


# ------------------------------------------------------------------------------------------------ the limit of a decoder
@peer("limit: decode", "project-deflate")
def _(workload, source, out):
    """Every stored strip, in memory, by libdeflate, on all threads, into memory that is used again."""
    import threading

    import imagecodecs
    import tifffile

    with tifffile.TiffFile(source) as tif:
        size = tif.pages[0].rowsperstrip * tif.pages[0].imagewidth * 2
        stored = []
        for page in tif.pages:
            for offset, count in zip(page.dataoffsets, page.databytecounts):
                tif.filehandle.seek(offset)
                stored.append(tif.filehandle.read(count))
    own = threading.local()

    def one(blob):
        if not hasattr(own, "out"):
            own.out = bytearray(size)
        return len(imagecodecs.deflate_decode(blob, out=own.out))

    return timed(lambda: on_threads(one, stored))[0], None
