//! Streams of every codec, cut, changed, or of another and larger picture than the page asks for: an error or pixels of
//! the size asked for, in little memory and time, never a panic.
//!
//! `MICROTOME_PYTHON` names a Python with tifffile, imagecodecs and Pillow, which write the streams.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use microtome_tiff::bare::Strip;
use support::folder;

/// Most bytes that the process may grow by, whatever is asked of it: the dictionary of LZMA is the largest part.
const MOST_GROWTH: u64 = 128 << 20;
/// Most bytes of a strip, far more than the small pictures have.
const MOST_STRIP: u64 = 16 << 20;

/// A codec's small picture, and the stream of a large one.
struct Seed {
    name: String,
    strip: Strip,
    encoded: Vec<u8>,
    bomb: Vec<u8>,
}

/// The seeds, written once for all tests.
fn seeds() -> Option<&'static [Seed]> {
    static SEEDS: OnceLock<Option<Vec<Seed>>> = OnceLock::new();
    SEEDS.get_or_init(write_seeds).as_deref()
}

fn write_seeds() -> Option<Vec<Seed>> {
    let python = folder("MICROTOME_PYTHON")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python/write_codecs.py");
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(python).arg(script).arg(dir.path()).status().unwrap();
    assert!(status.success(), "write_codecs.py failed: {status}");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(name) = file.strip_suffix(".small.tif") else { continue };
        let (strip, encoded) = Strip::first_of(&path).unwrap();
        let (_, bomb) = Strip::first_of(&dir.path().join(format!("{name}.large.tif"))).unwrap();
        seeds.push(Seed { name: name.to_owned(), strip, encoded, bomb });
    }
    seeds.sort_by(|a, b| a.name.cmp(&b.name));
    Some(seeds)
}

/// The largest memory of the process so far, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n.max(1)
    }
}

/// Decodes, and checks what holds for any bytes; says whether all pixels were there.
fn decode(seed: &Seed, strip: &Strip, encoded: &[u8]) -> bool {
    let start = Instant::now();
    let found = strip.decode(encoded, MOST_STRIP);
    let seconds = start.elapsed();
    assert!(seconds < Duration::from_secs(5), "{}: {} bytes took {seconds:?}", seed.name, encoded.len());
    match found {
        Ok(pixels) => pixels.len() as u64 >= strip.bytes(),
        Err(why) => {
            assert!(!why.is_empty(), "{}", seed.name);
            assert!(!why.contains("gave up"), "{}: the decoder panicked on {} bytes", seed.name, encoded.len());
            false
        }
    }
}

#[test]
fn damaged_streams_of_every_codec_cost_little_and_never_panic() {
    let Some(seeds) = seeds() else { return };
    assert!(seeds.len() >= 20, "there are only {} seeds", seeds.len());
    let base = peak();
    let mut dice = Dice(7);
    for seed in seeds {
        assert!(decode(seed, &seed.strip, &seed.encoded), "{} does not decode as it was written", seed.name);
        assert!(seed.strip.work_bytes() <= MOST_GROWTH, "{} declares {}", seed.name, seed.strip.work_bytes());
        let (mut tried, mut sound) = (0, 0);
        let mut attempt = |encoded: &[u8]| {
            tried += 1;
            sound += u32::from(decode(seed, &seed.strip, encoded));
        };
        for len in (0..seed.encoded.len()).step_by(seed.encoded.len().div_ceil(150)) {
            let whole = decode(seed, &seed.strip, &seed.encoded[..len]);
            assert!(!whole || len * 8 > seed.encoded.len() * 7, "{}: {len} bytes give all pixels", seed.name);
        }
        for _ in 0..300 {
            let mut changed = seed.encoded.clone();
            for _ in 0..=dice.below(6) {
                // Headers are changed more often than pixels.
                let reach = if dice.below(2) == 0 { changed.len().min(120) } else { changed.len() };
                let at = dice.below(reach);
                changed[at] = dice.below(256) as u8;
            }
            attempt(&changed);
        }
        let noise: Vec<u8> = (0..2000).map(|_| dice.below(256) as u8).collect();
        attempt(&noise);
        attempt(&[]);
        println!("{:14} {sound:3} of {tried} changed streams still decode", seed.name);
    }
    let grown = peak() - base;
    assert!(grown <= MOST_GROWTH, "{grown} bytes were taken");
}

#[test]
fn a_large_picture_is_not_decoded_where_a_small_one_is_asked_for() {
    let Some(seeds) = seeds() else { return };
    let base = peak();
    for seed in seeds {
        let found = seed.strip.decode(&seed.bomb, MOST_STRIP);
        // Codecs without a size of their own fill the strip and stop, or say that there is more.
        if let Ok(pixels) = found {
            let picture = ["jp", "png", "webp", "lerc"].iter().any(|name| seed.name.starts_with(name));
            assert!(!picture, "{} gave {} bytes of a large picture", seed.name, pixels.len());
        }
    }
    let grown = peak() - base;
    assert!(grown <= MOST_GROWTH, "{grown} bytes were taken");
}

#[test]
fn streams_of_one_codec_are_no_streams_of_another() {
    let Some(seeds) = seeds() else { return };
    for seed in seeds {
        for (compression, _) in Strip::compressions() {
            let strip = Strip { compression, ..seed.strip.clone() };
            decode(seed, &strip, &seed.encoded);
        }
    }
}
