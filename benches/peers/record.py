"""Keeps what a comparison found: benches/runs/DATE-NAME.json, with the machine and the versions of all programs.

A run of some workloads alone takes the place of theirs in the file of the day, and leaves the others. benches/runs/README.md says
what the fields are.
"""
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = os.path.join(HERE, os.pardir, "runs")
PACKAGES = (
    "aicsimageio", "bioio", "bioio-conversion", "dask", "distributed", "imagecodecs", "ngff-zarr", "numpy",
    "opencv-python-headless", "tensorstore", "tifffile", "zarr", "zarrs",
)
OF_PACKAGES = "import importlib.metadata as m,json,sys;print(json.dumps({d.metadata['Name'].lower():d.version for d in m.distributions()}))"


def machine():
    """What a figure belongs to; nothing that names the machine."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(kib / (1 << 20)),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[1], 1),
    }


def versions(python=None, seed=None):
    """Of the packages that take part; those of the seed's environment have its mark."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES if has(name)}
    if seed:
        theirs = json.loads(subprocess.run([seed, "-c", OF_PACKAGES], stdout=subprocess.PIPE, check=True).stdout)
        found.update({f"{name} (beside aicsimageio)": theirs[name] for name in ("dask", "tifffile") if name in theirs})
        found["aicsimageio"] = theirs.get("aicsimageio")
    return found


def has(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def ours(binary):
    """Version and commit of the binary that was measured."""
    version = subprocess.run([binary, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1]
    git = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True)
    return {"version": version, "commit": git.stdout.strip() or None}


def keep(name, rows, microtome, seed=None, key="workload"):
    """Writes the rows, each a dict; rows of today's file with another `key` than theirs stay."""
    today = datetime.date.today().isoformat()
    path = os.path.join(RUNS, f"{today}-{name}.json")
    fresh = {row[key] for row in rows}
    try:
        with open(path) as file:
            rows = [row for row in json.load(file)["rows"] if row[key] not in fresh] + rows
    except FileNotFoundError:
        pass
    found = {
        "schema": 1,
        "name": name,
        "date": today,
        "machine": machine(),
        "microtome": ours(microtome),
        "versions": versions(seed=seed),
        "rows": rows,
    }
    with open(path, "w") as file:
        json.dump(found, file, indent=1, ensure_ascii=False)
        file.write("\n")


def newest(name):
    """The last file of a name, or None."""
    names = sorted(each for each in os.listdir(RUNS) if each[11:] == f"{name}.json")
    if not names:
        return None
    with open(os.path.join(RUNS, names[-1])) as file:
        return json.load(file)
