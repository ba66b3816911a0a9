//! Numbers of metadata in the units that scenes have.

use microtome_io::PixelSize;

/// Sizes in micrometres, without those that are none.
pub(super) fn micrometers([z, y, x]: [Option<f64>; 3]) -> PixelSize {
    let true_size = |v: Option<f64>| v.filter(|v| v.is_finite() && *v > 0.0);
    let sizes = [z, y, x].map(true_size);
    let unit = sizes.iter().any(Option::is_some).then(|| "micrometer".to_owned());
    let [z, y, x] = sizes;
    PixelSize { z, y, x, unit }
}
