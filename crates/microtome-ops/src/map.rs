//! What all maps do: check what they were given, and loop.

use microtome_array::{PixelsMut, PixelsRef};

use crate::check::check_spec;
use crate::{Op, OpError};

/// Checks that `output` has the shape and type that `op` makes of `input`.
pub(crate) fn check_output(op: &impl Op, input: PixelsRef<'_>, output: &PixelsMut<'_>) -> Result<(), OpError> {
    let expected = op.output(&input.spec())?;
    Ok(check_spec(&expected, &output.spec())?)
}

/// Writes `f` of each input value. A plain loop, which the compiler turns into SIMD where `f` allows it.
pub(crate) fn apply<A: Copy, B>(input: &[A], output: &mut [B], f: impl Fn(A) -> B) {
    for (b, &a) in output.iter_mut().zip(input) {
        *b = f(a);
    }
}
