//! Many counters as few bytes: most of them are 0 or small.
//!
//! The counters in their order, as a row of numbers: how many zeros, a count, how many zeros, a count, … each number in
//! seven bits a byte, lowest first, with the eighth bit set on all but its last byte (LEB128).

/// Appends counters.
pub(crate) fn encode(counts: &[u64], bytes: &mut Vec<u8>) {
    let mut zeros = 0;
    for &count in counts {
        if count == 0 {
            zeros += 1;
        } else {
            number(zeros, bytes);
            number(count, bytes);
            zeros = 0;
        }
    }
    number(zeros, bytes);
}

/// Reads as many counters as there are in `counts`, to the last byte; `None` if the bytes are no such counters.
pub(crate) fn decode(mut bytes: &[u8], counts: &mut [u64]) -> Option<()> {
    counts.fill(0);
    let mut at = usize::try_from(take(&mut bytes)?).ok()?;
    while at < counts.len() {
        counts[at] = take(&mut bytes)?;
        let zeros = usize::try_from(take(&mut bytes)?).ok()?;
        at = at.checked_add(1)?.checked_add(zeros)?;
    }
    (at == counts.len() && bytes.is_empty()).then_some(())
}

fn number(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counters_come_back(counts in proptest::collection::vec(prop_oneof![4 => Just(0), 2 => 0..300u64, 1 => any::<u64>()], 0..50)) {
            let (mut bytes, mut found) = (Vec::new(), vec![7; counts.len()]);
            encode(&counts, &mut bytes);
            prop_assert!(decode(&bytes, &mut found).is_some());
            prop_assert_eq!(&found, &counts);
            for len in 0..bytes.len() {
                prop_assert!(decode(&bytes[..len], &mut found).is_none());
            }
        }

        #[test]
        fn any_bytes_are_counters_or_refused(bytes: Vec<u8>, len in 0usize..40) {
            let _ = decode(&bytes, &mut vec![0; len]);
        }
    }

    #[test]
    fn zeros_take_no_room() {
        let mut bytes = Vec::new();
        encode(&vec![0; 65536], &mut bytes);
        assert_eq!(bytes, [0x80, 0x80, 0x04]);
    }
}
