//! Predictors 2 and 3 of TIFF: differences along a row, and the planes of bytes of floating point numbers.

/// Undoes horizontal differences in rows of values in the machine's byte order.
///
/// `bytes` holds whole rows of `row` bytes; values have `size` bytes, pixels `samples` values.
pub(crate) fn undo_horizontal(bytes: &mut [u8], row: usize, samples: usize, size: usize) {
    for row in bytes.chunks_exact_mut(row.max(1)) {
        match size {
            1 => add::<1>(row, samples, |a, b| [a[0].wrapping_add(b[0])]),
            2 => add::<2>(row, samples, |a, b| u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b)).to_le_bytes()),
            4 => add::<4>(row, samples, |a, b| u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b)).to_le_bytes()),
            8 => add::<8>(row, samples, |a, b| u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b)).to_le_bytes()),
            _ => {}
        }
    }
}

/// Makes rows of values horizontal differences, as [`undo_horizontal`] undoes them.
pub(crate) fn horizontal(bytes: &mut [u8], row: usize, samples: usize, size: usize) {
    for row in bytes.chunks_exact_mut(row.max(1)) {
        match size {
            1 => subtract::<1>(row, samples, |a, b| [a[0].wrapping_sub(b[0])]),
            2 => subtract::<2>(row, samples, |a, b| {
                u16::from_le_bytes(a).wrapping_sub(u16::from_le_bytes(b)).to_le_bytes()
            }),
            4 => subtract::<4>(row, samples, |a, b| {
                u32::from_le_bytes(a).wrapping_sub(u32::from_le_bytes(b)).to_le_bytes()
            }),
            _ => {}
        }
    }
}

/// From the end, so that each value is still there when it is subtracted.
fn subtract<const N: usize>(row: &mut [u8], samples: usize, difference: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (values, _) = row.as_chunks_mut::<N>();
    for n in (samples..values.len()).rev() {
        values[n] = difference(values[n], values[n - samples]);
    }
}

fn add<const N: usize>(row: &mut [u8], samples: usize, sum: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (values, _) = row.as_chunks_mut::<N>();
    if samples == 1 {
        // The common case keeps the running sum in a register.
        let mut last = [0; N];
        for value in values {
            last = sum(last, *value);
            *value = last;
        }
        return;
    }
    for n in samples..values.len() {
        values[n] = sum(values[n - samples], values[n]);
    }
}

/// Undoes the floating point predictor in one row: differences of bytes, then the bytes of a value back together.
///
/// The bytes of values are stored as planes, the most significant first, whatever the byte order of the file; the result
/// has the machine's byte order. `scratch` is as long as the row.
pub(crate) fn undo_float(row: &mut [u8], samples: usize, size: usize, scratch: &mut [u8]) {
    for n in samples..row.len() {
        row[n] = row[n].wrapping_add(row[n - samples]);
    }
    scratch.copy_from_slice(row);
    let values = row.len() / size.max(1);
    for (n, value) in row.chunks_exact_mut(size.max(1)).enumerate() {
        for (byte, out) in value.iter_mut().rev().enumerate() {
            *out = scratch[byte * values + n];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_add_up_in_each_sample() {
        let mut row = [1, 10, 1, 10, 1, 10, 5, 50, 255, 1];
        undo_horizontal(&mut row, 6, 2, 1);
        assert_eq!(row[..6], [1, 10, 2, 20, 3, 30]);
        let mut wide = [0xff, 0x00, 0x01, 0x00];
        undo_horizontal(&mut wide, 4, 1, 2);
        assert_eq!(wide, [0xff, 0x00, 0x00, 0x01]);
    }

    #[test]
    fn differences_are_undone() {
        let bytes: Vec<u8> = (0..240u32).map(|n| (n * n * 7 % 251) as u8).collect();
        for (samples, size) in [(1, 1), (3, 1), (1, 2), (4, 2), (1, 4), (2, 4)] {
            let mut row = bytes.clone();
            horizontal(&mut row, 120, samples, size);
            assert!(row != bytes);
            undo_horizontal(&mut row, 120, samples, size);
            assert!(row == bytes, "{samples} samples of {size} bytes");
        }
    }

    #[test]
    fn planes_of_bytes_become_values() {
        // 1.0 and 2.0 as f32: planes 3f 40 | 80 00 | 00 00 | 00 00, then differences of neighbours.
        let planes = [0x3f, 0x40, 0x80, 0x00, 0, 0, 0, 0u8];
        let mut row = planes;
        for n in (1..8).rev() {
            row[n] = planes[n].wrapping_sub(planes[n - 1]);
        }
        undo_float(&mut row, 1, 4, &mut [0; 8]);
        assert_eq!(row[..4], 1.0f32.to_le_bytes());
        assert_eq!(row[4..], 2.0f32.to_le_bytes());
    }
}
