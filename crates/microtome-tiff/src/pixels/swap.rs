//! Byte order and bit order.

/// Turns the bytes of each value of `size` bytes round.
pub(crate) fn swap(bytes: &mut [u8], size: usize) {
    match size {
        2 => each::<2>(bytes),
        4 => each::<4>(bytes),
        8 => each::<8>(bytes),
        _ => {}
    }
}

fn each<const N: usize>(bytes: &mut [u8]) {
    let (values, _) = bytes.as_chunks_mut::<N>();
    for value in values {
        value.reverse();
    }
}

/// Turns the bits of each byte round, for the tag `FillOrder` = 2.
pub(crate) fn reverse_bits(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = byte.reverse_bits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_turned_and_a_rest_is_left() {
        let mut bytes = [1, 2, 3, 4, 5];
        swap(&mut bytes, 2);
        assert_eq!(bytes, [2, 1, 4, 3, 5]);
        swap(&mut bytes[..4], 4);
        assert_eq!(bytes, [3, 4, 1, 2, 5]);
    }
}
