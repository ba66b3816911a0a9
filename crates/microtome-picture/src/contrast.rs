//! Which values are shown black and which white.

/// Values at both ends of the grey scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Shown black, as all below it.
    pub low: f64,
    /// Shown white, as all above it.
    pub high: f64,
}

impl Window {
    /// Where a value lies between black (0) and white (1). NaN is black; where both ends are equal, what is above is white.
    ///
    /// # Examples
    /// ```
    /// use microtome_picture::Window;
    /// let window = Window { low: 100.0, high: 300.0 };
    /// assert_eq!([50.0, 100.0, 200.0, 900.0].map(|value| window.place(value)), [0.0, 0.0, 0.5, 1.0]);
    /// assert_eq!(window.place(f64::NAN), 0.0);
    /// ```
    pub fn place(&self, value: f64) -> f64 {
        let width = self.high - self.low;
        if width > 0.0 {
            let place = (value - self.low) / width;
            if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
        } else {
            f64::from(u8::from(value > self.low))
        }
    }
}

/// The window between two percentiles of some values, found as NumPy's `percentile` finds them: between the two nearest by
/// straight line. What is not finite is left out; without a finite value it is 0 to 1. O(n).
///
/// # Examples
/// ```
/// use microtome_picture::{Window, window};
/// let values: Vec<f64> = (0..=1000).map(f64::from).chain([f64::NAN, f64::INFINITY]).collect();
/// assert_eq!(window(&values, [1.0, 99.5]), Window { low: 10.0, high: 995.0 });
/// ```
pub fn window(values: &[f64], percentiles: [f64; 2]) -> Window {
    let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if finite.is_empty() {
        return Window { low: 0.0, high: 1.0 };
    }
    let mut at = |percentile: f64| {
        let rank = percentile.clamp(0.0, 100.0) / 100.0 * (finite.len() - 1) as f64;
        let below = rank.floor() as usize;
        let (_, low, above) = finite.select_nth_unstable_by(below, f64::total_cmp);
        let low = *low;
        let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
        low + (high - low) * (rank - below as f64)
    };
    Window { low: at(percentiles[0]), high: at(percentiles[1]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_on_the_line_between_neighbours() {
        assert_eq!(window(&[3.0, 1.0, 2.0, 10.0], [0.0, 100.0]), Window { low: 1.0, high: 10.0 });
        assert_eq!(window(&[3.0, 1.0, 2.0, 10.0], [50.0, 75.0]), Window { low: 2.5, high: 4.75 });
        assert_eq!(window(&[5.0], [1.0, 99.0]), Window { low: 5.0, high: 5.0 });
    }

    #[test]
    fn what_has_no_width_or_no_value_is_shown_all_the_same() {
        let flat = window(&[7.0; 9], [0.1, 99.9]);
        assert_eq!([6.0, 7.0, 8.0].map(|v| flat.place(v)), [0.0, 0.0, 1.0]);
        let nothing = window(&[f64::NAN, f64::INFINITY], [0.1, 99.9]);
        assert_eq!(nothing, Window { low: 0.0, high: 1.0 });
        assert_eq!(nothing.place(f64::INFINITY), 1.0);
    }
}
