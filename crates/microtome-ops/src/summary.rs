//! Summaries: something small that is known only when all pixels of an array have been seen.
//!
//! A summary is data, as an operation is. It is made in passes: each starts a state for every part of the array, adds the
//! part's pixels, merges the states in the order of the parts, and is ended; the end is an answer, or another pass over the
//! same pixels that knows what this one found.
//!
//! *Invariant:* an answer depends on the pixels alone, never on how they were cut into parts; name and parameters make the
//! same summary, in the same pass, again.

use std::any::Any;
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::sync::Arc;

use microtome_array::{PixelType, PixelsRef};
use serde_json::Value;

use crate::OpError;

/// A summary with its parameters, and with what earlier passes have found.
pub trait Summary: Debug + Send + Sync {
    /// Its name in the list of summaries.
    fn name(&self) -> &'static str;

    /// Its parameters; with the name they make the same summary in the same pass again.
    fn params(&self) -> Value;

    /// How many passes over all pixels are left at least and at most, this one among them; more than one number where it
    /// depends on the pixels.
    fn passes(&self, input: PixelType) -> RangeInclusive<u64>;

    /// Most bytes that the state of a part takes in this pass and in those that follow, however many pixels are added. A
    /// saved one is seldom as long.
    fn state_bytes(&self, input: PixelType) -> u64;

    /// The state of a part of which nothing has been seen yet.
    ///
    /// # Errors
    /// [`OpError::PixelType`] if the summary is not defined for such pixels.
    fn start(&self, input: PixelType) -> Result<Box<dyn SummaryState>, OpError>;

    /// A state from what [`SummaryState::save`] gave.
    ///
    /// # Errors
    /// [`OpError::State`] for bytes that are damaged or from another pass.
    fn load(&self, saved: &[u8]) -> Result<Box<dyn SummaryState>, OpError>;

    /// What follows from all states of this pass, merged.
    ///
    /// # Errors
    /// [`OpError::NoValue`] if there is nothing to summarise, [`OpError::State`] for a state that is not of this pass.
    fn end(&self, merged: Box<dyn SummaryState>) -> Result<Step, OpError>;
}

/// The end of a pass.
#[derive(Clone, Debug)]
pub enum Step {
    /// Another pass over the same pixels.
    Again(Arc<dyn Summary>),
    /// The answer.
    Done(Value),
}

/// What is known of a part of the pixels in a pass.
pub trait SummaryState: Any + Debug + Send {
    /// Takes pixels of the part, all of the type the state was started for.
    ///
    /// # Errors
    /// [`OpError::Array`] for pixels of another type: a bug in the caller.
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError>;

    /// Takes what is known of the part that follows.
    ///
    /// # Errors
    /// [`OpError::State`] for a state that is not of the same pass.
    fn merge(&mut self, later: Box<dyn SummaryState>) -> Result<(), OpError>;

    /// The state as bytes.
    fn save(&self) -> Vec<u8>;
}

/// A line of the list of summaries.
#[derive(Debug)]
pub struct SummaryEntry {
    /// The name.
    pub name: &'static str,
    /// What it tells, in a few words.
    pub summary: &'static str,
    /// Parameters that make a valid summary, as JSON.
    pub example: &'static str,
    /// Makes the summary from its parameters.
    pub build: fn(&Value) -> Result<Arc<dyn Summary>, OpError>,
}

/// The answer of a summary over pixels in memory: all its passes, one part.
///
/// # Errors
/// What the summary says.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use microtome_array::{ArraySpec, Pixels, PixelType, Shape};
/// use microtome_ops::{Percentiles, summarise};
/// let mut line = Pixels::zeroed(ArraySpec { shape: Shape::new([1, 1, 1, 1, 5, 1])?, dtype: PixelType::I64 });
/// line.as_mut().slice_mut::<i64>()?.copy_from_slice(&[50, -10, 20, 40, 30]);
/// let answer = summarise(Arc::new(Percentiles::new(vec![0.0, 10.0, 50.0])?), line.as_ref())?;
/// assert_eq!(answer["values"], serde_json::json!([-10.0, 2.0, 30.0]));
/// # Ok::<(), microtome_ops::OpError>(())
/// ```
pub fn summarise(mut summary: Arc<dyn Summary>, pixels: PixelsRef<'_>) -> Result<Value, OpError> {
    loop {
        let mut state = summary.start(pixels.dtype())?;
        state.add(pixels)?;
        match summary.end(state)? {
            Step::Again(next) => summary = next,
            Step::Done(answer) => return Ok(answer),
        }
    }
}
