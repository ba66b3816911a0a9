//! What every summary keeps: one answer, however the pixels are cut into parts and wherever states travel in between.

use std::sync::Arc;

use microtome_array::{Axis, PixelType, Pixels, PixelsRef, Region};
use serde_json::Value;

use super::random::Random;
use super::{SHAPES, cut, spec};
use crate::{OpError, Step, Summary, SummaryEntry, build_summary, summarise};

/// Passes after which a summary must have ended.
const MOST_PASSES: usize = 64;

/// Checks an entry of the list of summaries: its example builds, the summary comes back from its parameters, and
/// [`summary_keeps`].
///
/// # Panics
/// If a promise is broken; the message names the summary and the input.
///
/// # Examples
/// ```
/// microtome_ops::contract::summary_holds(&microtome_ops::SUMMARIES[0]);
/// ```
pub fn summary_holds(entry: &SummaryEntry) {
    let name = entry.name;
    let params: Value = serde_json::from_str(entry.example).expect("an example is JSON");
    let summary =
        (entry.build)(&params).unwrap_or_else(|error| panic!("the example of {name} does not build: {error}"));
    assert_eq!(summary.name(), name, "the summary and its entry have one name");
    let again = again(summary.as_ref());
    assert_eq!((again.name(), again.params()), (name, summary.params()), "{name} comes back as another summary");
    summary_keeps(&summary);
}

/// Checks a summary of the list on [`SHAPES`] of every pixel type that it accepts:
///
/// - pixels that are cut into random parts, whose states are saved, loaded and merged in order, give in every pass what all
///   of them in one part give, and so does the summary that comes back from its parameters;
/// - as many passes as were said at first, and no more memory in a later one;
/// - a saved state that is cut short is refused, and bytes of any kind are no reason to panic.
///
/// # Panics
/// If a promise is broken, or if no pixel type is accepted.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use microtome_ops::{Percentiles, Summary, contract};
/// let summary: Arc<dyn Summary> = Arc::new(Percentiles::new(vec![12.5])?);
/// contract::summary_keeps(&summary);
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
pub fn summary_keeps(summary: &Arc<dyn Summary>) {
    let mut accepted = 0;
    for (seed, input) in SHAPES.iter().flat_map(|&shape| PixelType::ALL.map(|dtype| spec(shape, dtype))).enumerate() {
        if summary.start(input.dtype).is_err() {
            continue;
        }
        accepted += 1;
        let mut random = Random::new(seed as u64);
        let pixels = random.pixels(input);
        assert!(summary.state_bytes(input.dtype) > 0, "{summary:?} of {input:?} takes no memory");
        let whole = summarise(Arc::clone(summary), pixels.as_ref());
        let parts = in_parts(Arc::clone(summary), pixels.as_ref(), &mut random);
        assert_eq!(parts, whole, "{summary:?} of {input:?} in parts differs from the whole");
    }
    assert!(accepted > 0, "{summary:?} accepts no pixel type");
}

/// All passes over random parts.
fn in_parts(mut summary: Arc<dyn Summary>, pixels: PixelsRef<'_>, random: &mut Random) -> Result<Value, OpError> {
    for _ in 0..MOST_PASSES {
        summary = again(summary.as_ref());
        let mut merged = summary.start(pixels.dtype())?;
        for part in parts(pixels, random) {
            let mut state = summary.start(pixels.dtype())?;
            state.add(part.as_ref())?;
            let saved = state.save();
            damaged_states_are_refused(summary.as_ref(), &saved, random);
            merged.merge(summary.load(&saved)?)?;
        }
        let (passes, bytes) = (summary.passes(pixels.dtype()), summary.state_bytes(pixels.dtype()));
        match summary.end(merged)? {
            Step::Again(next) => {
                let (left, later) = (next.passes(pixels.dtype()), next.state_bytes(pixels.dtype()));
                let fits = passes.start() - 1 <= *left.start() && left.end() < passes.end();
                assert!(fits, "{next:?} has {left:?} passes left, {passes:?} with the one before");
                assert!(later <= bytes, "{next:?} takes {later} bytes, {bytes} were promised before");
                summary = next;
            }
            Step::Done(answer) => {
                assert!(passes.contains(&1), "{summary:?} has ended, and had {passes:?} passes to go");
                return Ok(answer);
            }
        }
    }
    panic!("{summary:?} has not ended after {MOST_PASSES} passes");
}

/// The summary from its name and its parameters as text.
fn again(summary: &dyn Summary) -> Arc<dyn Summary> {
    let text = summary.params().to_string();
    let params = serde_json::from_str(&text).expect("parameters are JSON");
    build_summary(summary.name(), &params).unwrap_or_else(|error| panic!("{text} does not come back: {error}"))
}

/// The pixels, cut at random places along a random axis, and maybe again; one part may be empty.
fn parts(pixels: PixelsRef<'_>, random: &mut Random) -> Vec<Pixels> {
    let mut regions = vec![Region::of(pixels.shape())];
    for _ in 0..random.below(4) {
        let region = regions.swap_remove(random.below(regions.len() as u64) as usize);
        let axis = Axis::ALL[random.below(6) as usize];
        let middle = region.start(axis) + random.below(region.len(axis) + 1);
        regions.push(region.with(axis, region.start(axis), middle));
        regions.push(region.with(axis, middle, region.end(axis)));
    }
    regions.iter().map(|region| cut(pixels, region)).collect()
}

fn damaged_states_are_refused(summary: &dyn Summary, saved: &[u8], random: &mut Random) {
    let short = &saved[..random.below(saved.len() as u64) as usize];
    assert!(summary.load(short).is_err(), "{summary:?} takes {} of the {} bytes of a state", short.len(), saved.len());
    let mut damaged = saved.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(damaged.len() as u64) as usize;
        damaged[at] ^= 1 << random.below(8);
    }
    // Damage that makes another state of the same form is not seen here; whoever keeps states keeps a checksum.
    let Ok(mut state) = summary.load(&damaged) else { return };
    let Ok(other) = summary.load(&damaged) else { return };
    if state.merge(other).is_ok() {
        let _ = summary.end(state);
    }
}
