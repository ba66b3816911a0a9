//! What is said of a plane in a table: number of values, smallest, largest, sum, mean, standard deviation.
//!
//! Integers are summed exactly, and so are squares of those of up to 16 bits. Of all others each row is summed in float64 in an order
//! that its length alone decides; rows are joined in a dyadic tree on their number, as `project` joins pixels.
//!
//! *Invariant:* the result depends on the plane alone, not on how many rows come at a time.

use microtome_array::{ArrayError, Axis, Pixel, PixelType, PixelsRef, dispatch};
use serde::{Deserialize, Serialize};

use crate::OpError;
use crate::number::Number;

/// Values that are summed one after the other in each of some lanes.
const LANES: usize = 8;
/// Values of a row that are not split any more.
const RUN: usize = 128;

/// A number as pixels have it: an integer, exactly, or a float.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Travelling", into = "Travelling")]
pub enum Scalar {
    /// An integer.
    Int(i128),
    /// A float.
    Float(f64),
}

impl Scalar {
    /// As float64, rounded where it must be.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Int(value) => value as f64,
            Scalar::Float(value) => value,
        }
    }
}

impl std::fmt::Display for Scalar {
    /// In the fewest digits that mean the same value; `NaN`, `inf` and `-inf` as NumPy has them, but for the capitals.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Int(value) => write!(f, "{value}"),
            Scalar::Float(value) => write!(f, "{value:?}"),
        }
    }
}

/// A [`Scalar`] in words that every format of messages has.
#[derive(Serialize, Deserialize)]
enum Travelling {
    Int(i64, u64),
    Float(f64),
}

impl From<Scalar> for Travelling {
    fn from(scalar: Scalar) -> Travelling {
        match scalar {
            Scalar::Int(value) => Travelling::Int((value >> 64) as i64, value as u64),
            Scalar::Float(value) => Travelling::Float(value),
        }
    }
}

impl From<Travelling> for Scalar {
    fn from(travelling: Travelling) -> Scalar {
        match travelling {
            Travelling::Int(high, low) => Scalar::Int(i128::from(high) << 64 | i128::from(low)),
            Travelling::Float(value) => Scalar::Float(value),
        }
    }
}

/// What is said of a plane, or of one sample of its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Number of values.
    pub count: u64,
    /// The smallest value; NaN if one is.
    pub min: Scalar,
    /// The largest value; NaN if one is.
    pub max: Scalar,
    /// The sum: of integers exactly.
    pub sum: Scalar,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of all values: the root of the mean square distance from the mean (NumPy's `ddof=0`).
    pub std: f64,
}

/// A plane that is being looked at, rows after rows.
#[derive(Debug)]
pub struct PlaneStatistics {
    dtype: PixelType,
    samples: Vec<Box<dyn Tally>>,
}

impl PlaneStatistics {
    /// Of a plane of pixels of a type, each of some samples.
    ///
    /// # Errors
    /// [`OpError::PixelType`] for complex pixels, which have no order.
    ///
    /// # Examples
    /// ```
    /// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
    /// use microtome_ops::{PlaneStatistics, Scalar};
    /// let mut rows = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 1, 2, 2, 1])?, dtype: PixelType::U16 });
    /// rows.as_mut().slice_mut::<u16>()?.copy_from_slice(&[1, 2, 3, 6]);
    /// let mut plane = PlaneStatistics::new(PixelType::U16, 1)?;
    /// plane.add_rows(rows.as_ref())?;
    /// let found = plane.end()[0];
    /// assert_eq!((found.min, found.max, found.sum), (Scalar::Int(1), Scalar::Int(6), Scalar::Int(12)));
    /// assert_eq!((found.mean, found.std), (3.0, 3.5_f64.sqrt()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(dtype: PixelType, samples: u64) -> Result<PlaneStatistics, OpError> {
        let one = || -> Result<Box<dyn Tally>, OpError> {
            let hint = "complex values have no order; measure their real part or magnitude elsewhere";
            dispatch!(dtype, T => Ok(tally::<T>()), else Err(OpError::PixelType { op: "measure", dtype, hint }))
        };
        Ok(PlaneStatistics { dtype, samples: (0..samples.max(1)).map(|_| one()).collect::<Result<_, _>>()? })
    }

    /// Takes the next rows (1 × 1 × 1 × Y × X × S), whole.
    ///
    /// # Errors
    /// [`OpError::Array`] for pixels of another type or other samples: a bug in the caller.
    pub fn add_rows(&mut self, rows: PixelsRef<'_>) -> Result<(), OpError> {
        let (samples, width) = (rows.shape().get(Axis::S), rows.shape().get(Axis::X));
        if rows.dtype() != self.dtype {
            return Err(ArrayError::PixelType { expected: self.dtype, found: rows.dtype() }.into());
        }
        if samples != self.samples.len() as u64 {
            return Err(ArrayError::Length { expected: self.samples.len() as u64, found: samples }.into());
        }
        let row = width * samples * self.dtype.size() as u64;
        for row in rows.bytes().chunks_exact(row.max(1) as usize) {
            for (sample, tally) in self.samples.iter_mut().enumerate() {
                tally.add_row(row, sample, samples as usize);
            }
        }
        Ok(())
    }

    /// What was found, a line for each sample.
    pub fn end(self) -> Vec<Statistics> {
        self.samples.into_iter().map(Tally::end).collect()
    }
}

/// What is known of the rows so far of one sample.
trait Tally: std::fmt::Debug + Send {
    /// Takes a sample of a row of pixels.
    fn add_row(&mut self, row: &[u8], sample: usize, samples: usize);
    fn end(self: Box<Self>) -> Statistics;
}

fn tally<T: Number>() -> Box<dyn Tally> {
    if T::INTEGER && size_of::<T>() <= 2 { Box::new(Exact::<T>::default()) } else { Box::new(Joined::<T>::default()) }
}

/// The values of one sample, one behind the other.
fn values<'r, T: Pixel>(row: &'r [u8], sample: usize, samples: usize, room: &'r mut Vec<T>) -> &'r [T] {
    let all: &[T] = bytemuck::cast_slice(row);
    if samples == 1 {
        return all;
    }
    room.clear();
    room.extend(all.iter().skip(sample).step_by(samples));
    room
}

/// Smallest and largest of values, and of what was known before.
fn extremes<T: Number>(values: &[T], known: Option<(T, T)>) -> Option<(T, T)> {
    let first = *values.first()?;
    let (mut low, mut high) = known.unwrap_or((first, first));
    for &value in values {
        // As NumPy's minimum and maximum: a NaN comes in and stays.
        low = if low <= value || low.is_nan() { low } else { value };
        high = if high >= value || high.is_nan() { high } else { value };
    }
    Some((low, high))
}

fn scalar<T: Number>(value: T) -> Scalar {
    if T::INTEGER { Scalar::Int(value.wide()) } else { Scalar::Float(value.to_f64()) }
}

/// Integers of up to 16 bits: sums of values and of squares, exactly.
#[derive(Debug, Default)]
struct Exact<T> {
    count: u64,
    extremes: Option<(T, T)>,
    sum: i128,
    squares: u128,
    room: Vec<T>,
}

impl<T: Number> Tally for Exact<T> {
    fn add_row(&mut self, row: &[u8], sample: usize, samples: usize) {
        let values = values::<T>(row, sample, samples, &mut self.room);
        self.extremes = extremes(values, self.extremes);
        self.count += values.len() as u64;
        // So many values of 16 bits fit 31 bits, and the square of one fits 32.
        for run in values.chunks(1 << 15) {
            let (mut sum, mut squares) = (0_i32, 0_u64);
            for value in run {
                let value = value.wide() as i32;
                sum += value;
                squares += u64::from(value.unsigned_abs() * value.unsigned_abs());
            }
            self.sum += i128::from(sum);
            self.squares += u128::from(squares);
        }
    }

    fn end(self: Box<Self>) -> Statistics {
        let (low, high) = self.extremes.unwrap_or((T::default(), T::default()));
        let count = u128::from(self.count);
        // n Σx² − (Σx)², which is never below 0.
        let spread = (count * self.squares).saturating_sub(self.sum.unsigned_abs().pow(2));
        Statistics {
            count: self.count,
            min: scalar(low),
            max: scalar(high),
            sum: Scalar::Int(self.sum),
            mean: self.sum as f64 / self.count as f64,
            std: (spread as f64).sqrt() / self.count as f64,
        }
    }
}

/// Some rows of values whose squares are not summed exactly.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    count: u64,
    /// Of integers.
    whole: i128,
    /// Of floats.
    sum: f64,
    /// Sum of the squared distances from the mean.
    spread: f64,
}

impl Rows {
    fn of<T: Number>(values: &[T]) -> Rows {
        let count = values.len() as u64;
        let whole = if T::INTEGER { values.iter().map(|value| value.wide()).sum() } else { 0 };
        let sum = if T::INTEGER { whole as f64 } else { sum(values, &|value| value.to_f64()) };
        let mean = sum / count as f64;
        let spread = sum_of_squares(values, mean);
        Rows { count, whole, sum, spread }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// These rows and those behind them.
    fn and(self, later: Rows) -> Rows {
        let (count, whole) = (self.count + later.count, self.whole + later.whole);
        let apart = later.mean() - self.mean();
        let between = apart * apart * (self.count as f64 * (later.count as f64 / count as f64));
        // Sums of integers are exact, and rounded anew from what they are.
        let sum = if self.whole == 0 && later.whole == 0 { self.sum + later.sum } else { whole as f64 };
        Rows { count, whole, sum, spread: self.spread + later.spread + between }
    }
}

/// The sum of what is made of values, in an order that their number alone decides.
fn sum<T: Copy>(values: &[T], of: &impl Fn(T) -> f64) -> f64 {
    if values.len() > RUN {
        let (first, rest) = values.split_at((values.len() / 2).next_multiple_of(LANES));
        return sum(first, of) + sum(rest, of);
    }
    let mut lanes = [0.0; LANES];
    for step in values.chunks(LANES) {
        for (lane, value) in lanes.iter_mut().zip(step) {
            *lane += of(*value);
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

fn sum_of_squares<T: Number>(values: &[T], mean: f64) -> f64 {
    sum(values, &|value| {
        let apart = value.to_f64() - mean;
        apart * apart
    })
}

/// Wide integers and floats: rows joined in a dyadic tree.
#[derive(Debug, Default)]
struct Joined<T> {
    extremes: Option<(T, T)>,
    rows: u64,
    /// `levels[k]` holds 2^k rows where bit k of their number is set.
    levels: Vec<Option<Rows>>,
    room: Vec<T>,
}

impl<T: Number> Tally for Joined<T> {
    fn add_row(&mut self, row: &[u8], sample: usize, samples: usize) {
        let values = values::<T>(row, sample, samples, &mut self.room);
        self.extremes = extremes(values, self.extremes);
        let mut carried = Rows::of(values);
        let carries = self.rows.trailing_ones() as usize;
        if self.levels.len() == carries {
            self.levels.push(None);
        }
        for level in self.levels[..carries].iter_mut().filter_map(Option::take) {
            carried = level.and(carried);
        }
        self.levels[carries] = Some(carried);
        self.rows += 1;
    }

    fn end(self: Box<Self>) -> Statistics {
        let (low, high) = self.extremes.unwrap_or((T::default(), T::default()));
        let all = self.levels.into_iter().flatten().reduce(|later, earlier| earlier.and(later)).unwrap_or_default();
        Statistics {
            count: all.count,
            min: scalar(low),
            max: scalar(high),
            sum: if T::INTEGER { Scalar::Int(all.whole) } else { Scalar::Float(all.sum) },
            mean: all.mean(),
            std: (all.spread / all.count as f64).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microtome_array::{ArraySpec, Pixels, Shape};

    fn found<T: Pixel>(dtype: PixelType, width: usize, samples: usize, values: &[T], rows: usize) -> Vec<Statistics> {
        let mut plane = PlaneStatistics::new(dtype, samples as u64).unwrap();
        for band in values.chunks(width * samples * rows) {
            let height = (band.len() / width / samples) as u64;
            let shape = Shape::new([1, 1, 1, height, width as u64, samples as u64]).unwrap();
            let mut pixels = Pixels::zeroed(ArraySpec { shape, dtype });
            pixels.as_mut().slice_mut::<T>().unwrap().copy_from_slice(band);
            plane.add_rows(pixels.as_ref()).unwrap();
        }
        plane.end()
    }

    #[test]
    fn integers_of_16_bits_are_exact_at_their_ends() {
        for value in [u16::MAX, 0, 1] {
            let all = vec![value; 70_000];
            let one = found(PixelType::U16, 70_000, 1, &all, 1)[0];
            assert_eq!((one.sum, one.std), (Scalar::Int(i128::from(value) * 70_000), 0.0));
        }
        let halves: Vec<i16> = (0..65_536).map(|n| if n % 2 == 0 { i16::MIN } else { i16::MAX }).collect();
        let one = found(PixelType::I16, 32_768, 1, &halves, 1)[0];
        assert_eq!((one.min, one.max), (Scalar::Int(-32_768), Scalar::Int(32_767)));
        assert_eq!((one.sum, one.mean, one.std), (Scalar::Int(-32_768), -0.5, 32_767.5));
    }

    #[test]
    fn rows_may_come_in_any_number_and_samples_are_told_apart() {
        let values: Vec<f32> =
            (0..3 * 37 * 41_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 8) as f32 * 1e-3).collect();
        let whole = found(PixelType::F32, 37, 3, &values, 41);
        for rows in [1, 2, 7, 40] {
            assert_eq!(found(PixelType::F32, 37, 3, &values, rows), whole, "{rows} rows at a time");
        }
        for (sample, whole) in whole.iter().enumerate() {
            let alone: Vec<f32> = values.iter().copied().skip(sample).step_by(3).collect();
            assert_eq!(found(PixelType::F32, 37, 1, &alone, 41)[0], *whole);
        }
    }

    #[test]
    fn wide_integers_are_summed_exactly() {
        let all = [u64::MAX, u64::MAX - 1, 3, u64::MAX];
        let one = found(PixelType::U64, 2, 1, &all, 1)[0];
        assert_eq!((one.sum, one.max), (Scalar::Int(3 * i128::from(u64::MAX) + 2), Scalar::Int(i128::from(u64::MAX))));
    }

    #[test]
    fn what_is_no_number_is_told_and_complex_pixels_are_refused() {
        let one = found(PixelType::F64, 3, 1, &[1.0, f64::NAN, -2.0], 1)[0];
        assert!([one.min.as_f64(), one.max.as_f64(), one.mean, one.std].iter().all(|value| value.is_nan()));
        assert!(PlaneStatistics::new(PixelType::C64, 1).is_err());
        assert_eq!(Scalar::Float(f64::NAN).to_string(), "NaN");
    }

    #[test]
    fn numbers_travel_unchanged() {
        for value in [i128::from(u64::MAX) + 5, -1, i128::MIN, 0] {
            assert_eq!(Scalar::from(Travelling::from(Scalar::Int(value))), Scalar::Int(value));
        }
    }
}
