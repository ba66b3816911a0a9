//! Numbers as people write them: counts with `_`, sizes with units.

use microtome::MOST_THREADS;

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    match count(text)? {
        0 => Err("at least 1".to_owned()),
        n if n > MOST_THREADS as u64 => Err(format!("at most {MOST_THREADS}")),
        n => Ok(n as usize),
    }
}

/// A count, as `0` or `1_000_000`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let digits = text.trim().replace('_', "");
    digits.parse().map_err(|_| format!("`{text}` is no count; write 8 or 1_000"))
}

/// A size in bytes, as `4G`, `4GiB`, `500MB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    microtome::parse_size(text).ok_or_else(|| format!("`{text}` is no size; write 500MB, 4G or 4GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_take_underscores() {
        assert_eq!(count("1_000_000"), Ok(1_000_000));
        assert_eq!(threads("7"), Ok(7));
        assert!(threads("0").is_err());
        assert!(threads("1_000_000").is_err());
        assert!(count("-3").is_err());
        assert!(count("many").is_err());
    }

    #[test]
    fn sizes_are_binary_unless_they_end_in_b() {
        assert_eq!(size("4G"), Ok(4 << 30));
        assert_eq!(size("4GiB"), Ok(4 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert!(size("lots").is_err());
    }
}
