//! The traits that an operation implements.

use std::fmt::Debug;
use std::sync::Arc;

use microtome_array::{ArraySpec, Axis, BufferPool, PixelType, PixelsMut, PixelsRef, Region, Shape};

use crate::{Neighbourhood, OpError, Summary};

/// An operation with its parameters.
pub trait Op: Debug + Send + Sync {
    /// Its name in the list of operations.
    fn name(&self) -> &'static str;

    /// Its parameters; with the name they make the same operation again and decide every bit of its result.
    fn params(&self) -> serde_json::Value;

    /// Shape and type of the result.
    ///
    /// # Errors
    /// [`OpError`] if the operation is not defined for such an input.
    fn output(&self, input: &ArraySpec) -> Result<ArraySpec, OpError>;

    /// The input pixels that decide the output pixels of `output`: inside the input array.
    fn input_region(&self, output: &Region, input: &ArraySpec) -> Region;

    /// The output pixels that any pixel of `input_region` takes part in: inside the output array, maybe empty.
    fn output_region(&self, input_region: &Region, input: &ArraySpec) -> Region;

    /// What it does.
    fn body(&self) -> Body<'_>;

    /// The summary of its whole input that must be known before it can run; `None` for most operations.
    ///
    /// Shape, type and regions are known without. Running it before is [`OpError::Unanswered`].
    fn asks(&self) -> Option<Arc<dyn Summary>> {
        None
    }

    /// The operation that runs, given the answer to what it [`asks`](Op::asks).
    ///
    /// # Errors
    /// [`OpError::Answer`] if nothing was asked or `answer` is none to it; and what the operation cannot do with it.
    fn answered(&self, answer: &serde_json::Value) -> Result<Arc<dyn Op>, OpError> {
        Err(OpError::Answer { op: self.name(), answer: answer.to_string() })
    }
}

/// The four ways to compute.
#[derive(Debug)]
pub enum Body<'a> {
    /// Each output pixel from the input pixel at the same place.
    Map(&'a dyn Map),
    /// Each output pixel from all input pixels along an axis.
    Fold(&'a dyn Fold),
    /// Each output pixel from a box of input pixels around its place.
    Neighbourhood(&'a dyn Neighbourhood),
    /// Each output pixel is an input pixel: the region from [`Op::input_region`], unchanged.
    Index,
}

/// A pixelwise operation. Shapes of input and output are equal.
pub trait Map: Debug + Send + Sync {
    /// Computes `output` from `input`, both contiguous and of equal shape, of the types of [`Op::output`].
    ///
    /// # Errors
    /// [`OpError`] if a value has no result.
    fn run(&self, input: PixelsRef<'_>, output: &mut PixelsMut<'_>) -> Result<(), OpError>;
}

/// An operation along one axis, fed in order of the pixel index on that axis.
pub trait Fold: Debug + Send + Sync {
    /// The axis: T, C or Z. Its extent in the output is 1.
    fn axis(&self) -> Axis;

    /// Most bytes of state for an output box of `pixels` values folded over `length` input pixels of type `input`.
    fn state_bytes(&self, input: PixelType, pixels: u64, length: u64) -> u64;

    /// Starts folding a box.
    ///
    /// `output` is the box's shape, of extent 1 on the axis. State comes from `pool`.
    ///
    /// # Errors
    /// [`OpError`] if the pixel type is refused.
    fn start(
        &self,
        input: PixelType,
        output: Shape,
        length: u64,
        pool: &BufferPool,
    ) -> Result<Box<dyn FoldState>, OpError>;
}

/// A fold under way.
pub trait FoldState: Send {
    /// Takes the next pixels along the axis: the box's shape, with one or more pixels on the axis.
    ///
    /// # Errors
    /// [`OpError`] if a value has no result.
    fn add(&mut self, pixels: PixelsRef<'_>) -> Result<(), OpError>;

    /// Writes the result of the box.
    ///
    /// # Errors
    /// [`OpError`] if the result does not fit the type.
    fn finish(self: Box<Self>, output: &mut PixelsMut<'_>) -> Result<(), OpError>;
}

/// A line of the list of operations.
#[derive(Debug)]
pub struct OpEntry {
    /// The name in pipelines and on the command line.
    pub name: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// Parameters that make a valid operation, as JSON.
    pub example: &'static str,
    /// Makes the operation from its parameters.
    pub build: fn(&serde_json::Value) -> Result<Arc<dyn Op>, OpError>,
}
