#!/usr/bin/env python3
"""Ours beside bioio, aicsimageio and dask by hand on a Dask scheduler with two workers of one thread.

cluster.py --data FOLDER --microtome BINARY [--seed PYTHON] [--runs 3] [--only 'project,measure']

Each program is a process that connects to a cluster of its own Python, all with the same settings; programs take turns, and
the cluster of one is idle while another's works. A first turn warms caches, compares what was written, and is not counted.
*s* is the work alone: after imports and after the connection stands; *process s* has it all.
"bioio" and "aicsimageio" use planes, as they do unless asked; "tuned" reads stacks of 20 planes a task, which asks least of the
scheduler, and every scheduler hands tasks out without holding them back (worker-saturation inf). aicsimageio needs older
versions of all else: `--seed` is the Python of an environment of requirements-seed.txt.
"""
import argparse
import csv
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import zlib

import record
import run

HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = ["bioio", "bioio, tuned", "aicsimageio", "aicsimageio, tuned", "dask and tifffile"]
OURS = ["microtome", "microtome, threads"]
NO_SYNC = ["microtome, no sync"]
WORKLOADS = {
    "project": ("stack.ome.tiff", "ome.tif", OURS + LIBRARIES),
    "convert": ("stack.ome.tiff", "ome.zarr", OURS + NO_SYNC + LIBRARIES),
    "measure": ("many", "csv", OURS + ["bioio", "aicsimageio", "dask and tifffile"]),
}
LINES = {
    "project": "project {source} {out} --axis z --method max --levels 1 --compression none",
    "convert": "convert {source} {out} --levels 1 --ngff-version 0.4 --compression blosc-lz4 --compression-level 5"
    " --chunk-shape 1,1,1,1024,1024",
    "measure": "measure {source} {out}",
}
FILES, DAMAGED = 1000, 10


# ------------------------------------------------------------------------------------------------ the other programs
def stack_of(library, path):
    """A lazy T C Z Y X array as a user of the library has it."""
    name, tuned = library.removesuffix(", tuned"), library.endswith("tuned")
    if name == "dask and tifffile":
        import dask.array
        import tifffile

        with tifffile.TiffFile(path) as tif:
            shape, dtype = tif.series[0].shape, tif.series[0].dtype
        chunks = tuple((1,) * n for n in shape[:3]) + tuple((n,) for n in shape[3:])
        return dask.array.map_blocks(page_of, path, shape, chunks=chunks, dtype=dtype, meta=numpy_empty(dtype))
    if name == "bioio":
        from bioio import BioImage

        image = BioImage(path, chunk_dims=["Z", "Y", "X"]) if tuned else BioImage(path)
        return image.dask_data
    from aicsimageio import AICSImage

    image = AICSImage(path, chunk_dims=["Z", "Y", "X"]) if tuned else AICSImage(path)
    return image.dask_data


def page_of(path, shape, block_id=None):
    """A plane as a block of five axes."""
    import numpy
    import tifffile

    page = int(numpy.ravel_multi_index(block_id[:3], shape[:3]))
    return tifffile.imread(path, key=page)[numpy.newaxis, numpy.newaxis, numpy.newaxis]


def numpy_empty(dtype):
    import numpy

    return numpy.empty((0,) * 5, dtype)


def project(library, source, out):
    import tifffile

    pixels = stack_of(library, source).max(axis=2).compute()
    tifffile.imwrite(out, pixels, ome=True, photometric="minisblack", metadata={"axes": "TCYX"})


def convert(library, source, out):
    import dask.array
    import numcodecs
    import zarr

    stack = stack_of(library, source).rechunk((1, 1, 1, 1024, 1024))
    codec = numcodecs.Blosc("lz4", clevel=5, shuffle=1)
    layout = {"shape": stack.shape, "chunks": (1, 1, 1, 1024, 1024), "dtype": "<u2"}
    if hasattr(zarr, "create_array"):
        slashes = {"name": "v2", "separator": "/"}
        array = zarr.create_array(out + "/0", zarr_format=2, compressors=codec, chunk_key_encoding=slashes, **layout)
    else:
        array = zarr.open_array(out + "/0", mode="w", compressor=codec, dimension_separator="/", **layout)
    dask.array.store(stack, array, lock=False)


def statistics_of(library, path):
    """Rows of an image, or why it has none."""
    try:
        if library == "bioio":
            from bioio import BioImage

            pixels = BioImage(path).data
        elif library == "aicsimageio":
            from aicsimageio import AICSImage

            pixels = AICSImage(path).data
        else:
            import tifffile

            pixels = tifffile.imread(path)
            pixels = pixels.reshape((1,) * (5 - pixels.ndim) + pixels.shape)
        import numpy

        rows = []
        for t, c, z in numpy.ndindex(*pixels.shape[:3]):
            plane = pixels[t, c, z]
            rows.append([path, 0, t, c, z, plane.min(), plane.max(), plane.mean(), plane.std(), plane.sum()])
        return rows
    except Exception as error:  # noqa: BLE001: whatever a library says of a damaged file
        return f"{path}: {error}"


def measure(library, source, out, client):
    files = sorted(os.path.join(source, name) for name in os.listdir(source))
    found = client.gather(client.map(statistics_of, [library] * len(files), files, pure=False))
    with open(out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow("path scene t c z min max mean std sum".split())
        for rows in found:
            table.writerows(rows if isinstance(rows, list) else [])
    print(sum(isinstance(rows, str) for rows in found), "could not be read", file=sys.stderr)


def one_peer(library, workload, source, out, address):
    from distributed import Client

    module = "tifffile" if library.startswith("dask") else library.removesuffix(", tuned")
    __import__(module)
    client = Client(address, set_as_default=True)
    client.upload_file(os.path.join(HERE, "cluster.py"), load=False) if workload == "measure" else None
    start = time.perf_counter()
    if workload == "measure":
        measure(library, source, out, client)
    else:
        {"project": project, "convert": convert}[workload](library, source, out)
    seconds = time.perf_counter() - start
    client.close()
    print(json.dumps({"inner_s": seconds}))


# ------------------------------------------------------------------------------------------------ data and clusters
def make_many(folder):
    """1,000 OME-TIFFs of 2 x 3 planes of 128 x 128, of which ten are damaged."""
    import numpy
    import tifffile

    if os.path.exists(folder):
        return
    os.makedirs(folder + ".part")
    for n in range(FILES):
        pixels = numpy.random.default_rng(n).integers(0, 4096, (2, 3, 128, 128), numpy.uint16)
        path = os.path.join(folder + ".part", f"image{n:04}.ome.tif")
        tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "CZYX"})
        if n % (FILES // DAMAGED) == 7:
            os.truncate(path, 600)
    os.rename(folder + ".part", folder)


class Cluster:
    """A scheduler and workers of one thread, of a Python."""

    def __init__(self, python, scratch, workers=2):
        self.file = os.path.join(scratch, f"scheduler-{zlib.crc32(python.encode()):08x}.json")
        if os.path.exists(self.file):
            os.remove(self.file)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf"}
        environment |= {"DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False", "PYTHONPATH": HERE}
        how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": scratch}
        scheduler = ["-m", "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard"]
        self.processes = [subprocess.Popen([python, *scheduler, "--scheduler-file", self.file], **how)]
        while not os.path.exists(self.file):
            time.sleep(0.1)
        time.sleep(0.5)
        with open(self.file) as file:
            self.address = json.load(file)["address"]
        worker = [python, "-m", "distributed.cli.dask_worker", self.address, "--nthreads", "1", "--no-nanny"]
        worker += ["--no-dashboard", "--memory-limit", "4GB", "--local-directory", scratch]
        self.processes += [subprocess.Popen(worker, **how) for _ in range(workers)]
        time.sleep(4)

    def memory(self):
        """Bytes of anonymous memory: of the scheduler, of workers and what they start."""
        return run.anonymous(self.processes[0].pid), sum(run.anonymous(each.pid) for each in self.processes[1:])

    def close(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


# ------------------------------------------------------------------------------------------------ turns
def seen(workload, out):
    """CRC-32 of what was written, read by other programs than ours."""
    if workload == "convert":
        return run.pixels_of(out)
    if workload == "project":
        import numpy
        import tifffile

        return zlib.crc32(numpy.ascontiguousarray(tifffile.imread(out)))
    with open(out, newline="") as file:
        rows = list(csv.reader(file))[1:]
    numbers = sorted([os.path.basename(row[0]), *[f"{float(cell):.6g}" for cell in row[2:10]]] for row in rows)
    return len(rows), zlib.crc32(json.dumps(numbers).encode())


def command(options, clusters, name, workload, source, out):
    if name.startswith("microtome"):
        line = [part.format(source=source, out=out) for part in LINES[workload].split(" ")]
        where = [] if name.endswith("threads") else ["--address", clusters["main"].address]
        where += ["--durability", "none"] if name.endswith("no sync") else []
        return [options.microtome, *line, *where, "--json", "--threads", "2"]
    python, cluster = (options.seed, "seed") if name.startswith("aics") else (options.python, "main")
    return [python, os.path.join(HERE, "cluster.py"), "peer", name, workload, source, out, clusters[cluster].address]


def one(options, clusters, name, workload, first):
    source, ending, _ = WORKLOADS[workload]
    source, out = os.path.join(options.data, source), os.path.join(options.scratch, f"{workload}.{ending}")
    cluster = clusters["seed" if name.startswith("aics") else "main"]
    remove(out)
    environment = {**os.environ, "MICROTOME_PYTHON": options.python}
    before = cluster.memory()
    took = run.measure(command(options, clusters, name, workload, source, out), environment, (0, 3))
    took["scheduler"] = max(0, cluster.memory()[0] - before[0])
    took["pixels"] = seen(workload, out) if first else None
    remove(out)
    return took


def remove(path):
    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.exists(path):
        os.remove(path)


def turns(options, clusters, workload):
    names = [name for name in WORKLOADS[workload][2] if options.seed or not name.startswith("aics")]
    rows, pixels = {name: [] for name in names}, {}
    for turn in range(options.runs + 1):
        for name in names:
            if turn > 1 and rows[name][0]["inner"] > options.slow:
                continue
            took = one(options, clusters, name, workload, turn == 0)
            if turn == 0:
                pixels[name] = took["pixels"]
            else:
                rows[name].append(took)
    middle = lambda name, key: statistics.median(each[key] for each in rows[name])  # noqa: E731
    kept = []
    for name in names:
        print(
            f"| {workload} | {name} | {middle(name, 'inner'):.2f} | {middle(name, 'inner') / middle('microtome', 'inner'):.1f} "
            f"| {middle(name, 'wall'):.2f} | {middle(name, 'peak') / 1e6:.0f} | {middle(name, 'scheduler') / 1e6:.1f} "
            f"| {pixels[name]} | {len(rows[name])} |",
            flush=True,
        )
        figures = {"s": round(middle(name, "inner"), 3), "process_s": round(middle(name, "wall"), 3)}
        memory = {f"{key}_mb": round(middle(name, key) / 1e6, 1) for key in ("peak", "scheduler")}
        kept.append({"workload": workload, "program": name, **figures, **memory, "runs": len(rows[name]), "seen": str(pixels[name])})
    record.keep("cluster", kept, options.microtome, options.seed)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="what data.py made")
    options.add_argument("--scratch", help="where outputs are written for a while; beside the data unless given")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--only", default="*", help="workloads, with * and commas")
    options.add_argument("--slow", type=float, default=30, help="programs that take longer, in seconds, run once")
    options.add_argument("--microtome", required=True, help="the release binary")
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--seed", help="the Python of an environment with aicsimageio; left out unless given")
    options = options.parse_args()
    options.scratch = os.path.abspath(options.scratch or os.path.join(options.data, "out"))
    options.data, options.microtome = os.path.abspath(options.data), os.path.abspath(options.microtome)
    os.makedirs(options.scratch, exist_ok=True)
    make_many(os.path.join(options.data, "many"))
    clusters = {"main": Cluster(options.python, options.scratch)}
    try:
        if options.seed:
            clusters["seed"] = Cluster(options.seed, options.scratch)
        print("| workload | program | s | × microtome | process s | peak MB of the client | scheduler grew MB | written | runs |")
        print("|---|---|---|---|---|---|---|---|---|")
        for workload in WORKLOADS:
            if any(fnmatch.fnmatch(workload, pattern) for pattern in options.only.split(",")):
                turns(options, clusters, workload)
    finally:
        for cluster in clusters.values():
            cluster.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        one_peer(*sys.argv[2:7])
    else:
        main()
