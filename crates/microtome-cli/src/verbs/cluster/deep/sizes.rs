//! Batches of several sizes: how many items a second, and how much of the threads' time is work.

use std::time::{Duration, Instant};

use microtome::{Handler, TaskErrorKind};

use super::super::probe::SchedulerLost;
use super::Ended;
use super::reading::{Reading, read_plane};

/// Sizes that are tried, as far as a batch takes no longer than [`LONGEST`] seconds.
const SIZES: [u64; 6] = [1, 4, 16, 64, 256, 1024];
const LONGEST: f64 = 1.0;
/// How long items of a size are sent: as long as the image was read before, within these.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(1);

/// What came of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tried {
    pub(crate) batch_size: u64,
    pub(crate) items: u64,
    pub(crate) seconds: f64,
    pub(crate) items_per_second: f64,
    /// The share of the threads' time in which they read.
    pub(crate) useful: f64,
}

/// Tries each size with the same image.
pub(super) fn tried(handler: &Handler, reading: &Reading, threads: usize) -> Result<Vec<Tried>, Ended> {
    let sensible = |size: &u64| *size == 1 || *size as f64 * reading.seconds_each <= LONGEST;
    SIZES.into_iter().filter(sensible).map(|size| try_one(handler, (reading, size), threads)).collect()
}

fn try_one(handler: &Handler, (reading, size): (&Reading, u64), threads: usize) -> Result<Tried, Ended> {
    // As many as would take the time if nothing were lost, and two batches for each thread.
    let long = Duration::from_secs_f64(reading.seconds.max(0.0)).clamp(SHORT, LONG);
    let fitting = long.as_secs_f64() * threads as f64 / reading.seconds_each;
    let most = (fitting as u64).max(2 * size * threads as u64);
    let start = Instant::now();
    let paths = (0..most).take_while(|n| *n < size * threads as u64 || start.elapsed() < long);
    let paths = paths.map(|_| reading.image_there.clone());
    let (mut items, mut busy) = (0_u64, 0.0);
    for result in handler.batched_map(read_plane, paths).batch_size(size) {
        match result {
            Ok(plane) => {
                items += 1;
                busy += plane.seconds;
            }
            Err(error) if matches!(error.kind(), TaskErrorKind::SchedulerLost { .. }) => {
                return Err(SchedulerLost.into());
            }
            // Told already, by what read it before.
            Err(_) => {}
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let useful = busy / (seconds * threads.max(1) as f64);
    Ok(Tried { batch_size: size, items, seconds, items_per_second: items as f64 / seconds, useful })
}
