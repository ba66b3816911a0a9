"""Damages valid TIFFs in ways that hurt readers, and runs the binary on each: it must answer, soon and in little memory.

usage: mutate_tiffs.py BINARY DIR COUNT SEED FILE…

COUNT mutants are made from FILEs, the same ones for the same SEED: cut, bits flipped, chains of pages that turn back, huge
counts and sizes, documents that grow, names that lead out of the folder. Each is inspected and, if it is small, summed; of
a large one a corner is converted. Prints one JSON object: `mutants` by kind, `answers` (exit codes), the largest `seconds`
(of CPU) and `growth` (bytes over a run on the first FILE), `traced` (runs whose opens were looked at, 0 without strace), and
`faults`: what was no clean answer, with the file kept in DIR.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 5
PATIENCE = 60
GROWTH = 256 << 20
SMALL = 64 << 20
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
HUGE = [0, 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
# Words of which one in the files opened says that the reader went out.
OUTSIDE = ("secret", "/etc/hosts", "/etc/passwd", "pipe")


class Tiff:
    """The entries of a TIFF, to change them in place."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.order = "<" if data[:2] == b"II" else ">"
        self.big = struct.unpack_from(self.order + "H", data, 2)[0] == 43
        self.entries = []
        self.links = [8 if self.big else 4]
        self.pages = []
        at = self.offset(self.links[0])
        while at and at + 8 < len(data) and at not in self.pages and len(self.pages) < 64:
            self.pages.append(at)
            count = struct.unpack_from(self.order + ("Q" if self.big else "H"), self.data, at)[0]
            first, size = at + (8 if self.big else 2), 20 if self.big else 12
            self.entries += [first + n * size for n in range(count)]
            self.links.append(first + count * size)
            at = self.offset(self.links[-1])

    def offset(self, at):
        return struct.unpack_from(self.order + ("Q" if self.big else "I"), self.data, at)[0]

    def put(self, at, value):
        """Writes an offset or a count."""
        kind = "Q" if self.big else "I"
        struct.pack_into(self.order + kind, self.data, at, value % 2 ** (8 * struct.calcsize(kind)))

    def tag(self, entry):
        return struct.unpack_from(self.order + "H", self.data, entry)[0]

    def value(self, entry):
        """Where the value of an entry, or the offset of it, stands."""
        return entry + (12 if self.big else 8)

    def put_value(self, entry, value):
        kind = struct.unpack_from(self.order + "H", self.data, entry + 2)[0]
        if SIZES.get(kind) == 2:
            struct.pack_into(self.order + "H", self.data, self.value(entry), value % 2**16)
        else:
            self.put(self.value(entry), value)

    def describe(self, text):
        """Gives the first page a description; False if it has none to put it in the place of."""
        own = [entry for entry in self.entries if self.tag(entry) == 270]
        if not own:
            own = [entry for entry in self.entries if self.tag(entry) in (305, 306, 282, 283, 296)]
        if not own:
            return False
        data = text.encode("utf-8", "surrogatepass") + b"\0" * 9
        struct.pack_into(self.order + "HH", self.data, own[0], 270, 2)
        self.put(own[0] + 4, len(data))
        self.put(self.value(own[0]), len(self.data))
        self.data += data
        return True


def cut(dice, data):
    return data[: dice.randrange(len(data))]


def flip(dice, data):
    data = bytearray(data)
    for _ in range(dice.randint(1, 12)):
        # Headers lie at both ends.
        reach = dice.choice([len(data), min(len(data), 400)])
        at = dice.randrange(reach) if dice.random() < 0.6 else len(data) - 1 - dice.randrange(reach)
        data[at] ^= 1 << dice.randrange(8)
    return bytes(data)


def loop(dice, data):
    tiff = Tiff(data)
    link = dice.choice(tiff.links)
    subs = [tiff.value(entry) for entry in tiff.entries if tiff.tag(entry) in (330, 34665)]
    if not subs and dice.random() < 0.5:
        entry = dice.choice(tiff.entries)
        struct.pack_into(tiff.order + "HH", tiff.data, entry, 330, 16 if tiff.big else 4)
        subs = [tiff.value(entry)]
    target = dice.choice([*tiff.pages, dice.randrange(len(data)), dice.choice(HUGE), tiff.links[-1]])
    tiff.put(dice.choice([link, *subs]), target)
    return bytes(tiff.data)


def count(dice, data):
    tiff = Tiff(data)
    for _ in range(dice.randint(1, 3)):
        entry = dice.choice(tiff.entries)
        tiff.put(entry + 4, dice.choice(HUGE))
        if dice.random() < 0.3:
            tiff.put(tiff.value(entry), dice.choice([0, 8, len(data) - 4, len(data), *HUGE]))
    if dice.random() < 0.2:
        struct.pack_into(tiff.order + "H", tiff.data, dice.choice(tiff.pages), 65535)
    return bytes(tiff.data)


def size(dice, data):
    tiff = Tiff(data)
    shaping = [e for e in tiff.entries if tiff.tag(e) in (256, 257, 258, 259, 262, 277, 278, 284, 317, 322, 323, 338, 339)]
    for entry in dice.sample(shaping, min(len(shaping), dice.randint(1, 3))):
        tiff.put_value(entry, dice.choice([*HUGE, dice.randrange(70000)]))
    return bytes(tiff.data)


def document(dice, data):
    pixels = '<Pixels ID="P" DimensionOrder="XYZCT" Type="uint8" SizeX="{}" SizeY="{}" SizeZ="{}" SizeC="{}" SizeT="{}">'
    sizes = [dice.choice([1, 2, 3, 64, *HUGE]) for _ in range(5)]
    image = f'<Image ID="I">{pixels.format(*sizes)}'
    texts = [
        lambda: '<!DOCTYPE OME [<!ENTITY a "' + "a" * 999 + '">' + "".join(
            f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9)
        ).replace("&a0;", "&a;") + f"]><OME><Image ID='&a8;'/></OME>",
        lambda: '<!DOCTYPE OME SYSTEM "file:///etc/hosts" [<!ENTITY x SYSTEM "file:///etc/passwd">]><OME>&x;</OME>',
        lambda: "<OME>" + "<a>" * dice.choice([63, 64, 65, 10**5]),
        lambda: f"<OME>{image}<TiffData/></Pixels></Image></OME>",
        lambda: f"<OME>{image}" + '<TiffData IFD="0" FirstZ="4294967295" PlaneCount="4294967295"/>' * 9 + "</Pixels></Image></OME>",
        lambda: "<OME>" + f"{image}<TiffData/></Pixels></Image>" * dice.choice([10, 10**4]) + "</OME>",
        lambda: f"<OME>{image}" + "<TiffData/>" * 10**5 + "</Pixels></Image></OME>",
        lambda: "<OME><Image " + " ".join(f'a{n}="{n}"' for n in range(10**5)) + "/></OME>",
        lambda: "<OME " + " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(10**4)) + f">{image}</Pixels></Image></OME>",
        lambda: f"<OME>{image}" + '<Channel Name="x"/>' * 10**5 + "</Pixels></Image></OME>",
        lambda: f"ImageJ=1.53\nimages={dice.choice(HUGE)}\nslices={dice.choice(HUGE)}\nframes={dice.choice(HUGE)}\nhyperstack=true\n",
        lambda: f'{{"shape": [{dice.choice(HUGE)}, {dice.choice(HUGE)}, 3], "axes": "TYX"}}',
        lambda: '{"shape": ' + "[" * 10**5,
        lambda: "<OME>" + "x" * (65 << 20),
    ]
    weights = [4] * (len(texts) - 1) + [1]
    return described(data, dice.choices(texts, weights)[0]())


def escape(dice, data):
    names = [
        "../secret.tif", "sub/../../secret.tif", "link.tif", "up/secret.tif", "{root}/secret.tif", "/etc/hosts",
        "file://{root}/secret.tif", "http://localhost/secret.tif", "..\\secret.tif", "b.tif\0/../secret.tif", "~/secret.tif",
        "./../secret.tif", "../set/../secret.tif", "pipe", "/dev/stdin", "/proc/self/fd/0", "sub", ".", "..", "//etc//passwd",
        "up/../secret.tif", "%2e%2e/secret.tif", "b.tif", "sub/c.tif", "chain.tif",
    ]  # fmt: skip
    name = dice.choice(names)
    if dice.random() < 0.25:
        return described(data, f'<OME><BinaryOnly MetadataFile="{name}" UUID="urn:uuid:1"/></OME>')
    data_of = "".join(
        f'<TiffData IFD="0" FirstZ="{z}" PlaneCount="1"><UUID FileName="{n}">urn:uuid:{z}</UUID></TiffData>'
        for z, n in enumerate([name, dice.choice(names), "b.tif"])
    )
    sizes = 'DimensionOrder="XYZCT" Type="uint8" SizeX="9" SizeY="9" SizeZ="3" SizeC="1" SizeT="1"'
    return described(data, f'<OME><Image ID="I"><Pixels ID="P" {sizes}>{data_of}</Pixels></Image></OME>')


def described(data, text):
    tiff = Tiff(data)
    return bytes(tiff.data) if tiff.describe(text) else None


KINDS = {"cut": cut, "flip": flip, "loop": loop, "count": count, "size": size, "document": document, "escape": escape}
WEIGHTS = [4, 6, 3, 4, 4, 2, 2]


class Stage:
    """A folder for one mutant at a time: the image's own folder `set`, and what lies around it."""

    def __init__(self, root, sibling):
        self.root, self.set = root, root / "set"
        (self.set / "sub").mkdir(parents=True)
        for path in [root / "secret.tif", self.set / "b.tif", self.set / "sub/c.tif"]:
            path.write_bytes(sibling)
        (self.set / "link.tif").symlink_to("../secret.tif")
        (self.set / "up").symlink_to("..")
        (self.set / "chain.tif").symlink_to("link.tif")
        os.mkfifo(self.set / "pipe")
        self.image = self.set / "image.tif"


class Fault(Exception):
    """No clean answer."""


def run(command, folder):
    """Exit code, output, errors, CPU seconds and the largest memory of a command."""
    with open(folder / "out", "w+b") as out, open(folder / "err", "w+b") as err:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        timer = threading.Timer(PATIENCE, child.kill)
        timer.start()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        timer.cancel()
        out.seek(0), err.seek(0)
        seconds = usage.ru_utime + usage.ru_stime
        return child.returncode, out.read(), err.read().decode(errors="replace"), seconds, usage.ru_maxrss << 10


class Session:
    def __init__(self, binary, folder, seed, files):
        self.binary, self.folder, self.seed = binary, folder, seed
        self.files = [(Path(f).name, Path(f).read_bytes()) for f in files]
        self.stages, self.lock = [], threading.Lock()
        self.strace = shutil.which("strace")
        self.base = 0
        self.report = {"mutants": Counter(), "answers": Counter(), "seconds": 0.0, "growth": 0, "traced": 0, "faults": []}

    def stage(self):
        with self.lock:
            if self.stages:
                return self.stages.pop()
        root = self.folder / f"stage-{threading.get_ident()}-{time.monotonic_ns()}"
        return Stage(root, self.files[0][1])

    def ask(self, words, stage, allowed):
        """Runs the binary and checks what holds for every answer."""
        code, out, err, seconds, memory = run([self.binary, *words], stage.set)
        growth = memory - self.base
        with self.lock:
            self.report["answers"][f"{words[0]} {code}"] += 1
            self.report["seconds"] = max(self.report["seconds"], round(seconds, 2))
            self.report["growth"] = max(self.report["growth"], growth)
        if code not in allowed:
            raise Fault(f"{words[0]} ended with {code}: {err[-500:]}")
        if code and not any(line.startswith("error: ") for line in err.splitlines()):
            raise Fault(f"{words[0]} ended with {code} and says {err[-500:]!r}")
        if "panicked" in err:
            raise Fault(f"{words[0]} says {err[-500:]}")
        if seconds > SECONDS or growth > GROWTH:
            raise Fault(f"{words[0]} took {seconds:.1f} s and {growth >> 20} MiB")
        return code, out

    def trace(self, stage):
        """Looks at every file that is opened."""
        log = stage.root / "opens"
        calls = "trace=open,openat,openat2,connect"
        command = [self.strace, "-f", "-qq", "-e", calls, "-o", log, self.binary, "checksum", "--quiet", "image.tif"]
        run(command, stage.set)
        lines = log.read_text(errors="replace").splitlines()
        if not any('image.tif"' in line for line in lines):
            raise Fault("the trace does not show the image itself")
        with self.lock:
            self.report["traced"] += 1
        for line in lines:
            succeeded = " = -1 " not in line
            path = line.split('"')[1] if '"' in line else line
            real = os.path.realpath(stage.set / path)
            if succeeded and any(word in real for word in OUTSIDE):
                raise Fault(f"opened: {line}")

    def attempt(self, number):
        dice = random.Random(self.seed * 1_000_003 + number)
        kind = dice.choices(list(KINDS), WEIGHTS)[0]
        data = None
        while data is None:
            name, whole = dice.choice(self.files)
            data = KINDS[kind](dice, whole)
        stage = self.stage()
        stage.image.write_bytes(data.replace(b"{root}", os.fsencode(stage.root)) if kind == "escape" else data)
        try:
            self.check(stage, kind)
        except Fault as fault:
            kept = self.folder / f"{number}-{kind}-{name}"
            stage.image.replace(kept)
            with self.lock:
                self.report["faults"].append(f"{kept.name}: {fault}")
        with self.lock:
            self.report["mutants"][kind] += 1
            self.stages.append(stage)

    def check(self, stage, kind):
        code, out = self.ask(["inspect", "image.tif", "--json"], stage, (0, 4))
        if kind == "escape" and self.strace:
            self.trace(stage)
        if code:
            return
        scenes = json.loads(out)["scenes"]
        if sum(scene["bytes"] for scene in scenes) <= SMALL:
            self.ask(["checksum", "--quiet", "image.tif"], stage, (0, 4))
            return
        largest = max(range(len(scenes)), key=lambda n: scenes[n]["bytes"])
        corner = ["--memory", "128MiB", "--scene", str(largest), "--region", "t=0,c=0,z=0,y=0:1,x=0:1", "--overwrite", "--quiet"]
        self.ask(["convert", "image.tif", "corner.ome.tif", *corner], stage, (0, 2, 3, 4, 6))


def main():
    binary, folder, count_, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    session = Session(binary, folder, seed, sys.argv[5:])
    stage = session.stage()
    stage.image.write_bytes(session.files[0][1])
    session.base = run([binary, "checksum", "image.tif"], stage.set)[4]
    session.stages.append(stage)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(session.attempt, range(count_)))
    print(json.dumps(session.report))


main()
