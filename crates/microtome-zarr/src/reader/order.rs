//! The order in which people count paths: `2` before `10`.

use std::cmp::Ordering;

/// Compares two paths part by part; parts that are whole numbers by their value, before all others.
pub(super) fn natural(one: &str, other: &str) -> Ordering {
    let number = |part: &str| part.parse::<u64>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
    let key = |part: &'_ str| (number(part).is_none(), number(part));
    let parts = |path: &'_ str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (one, other) = (parts(one), parts(other));
    let differs = one.iter().zip(&other).map(|(a, b)| key(a).cmp(&key(b)).then_with(|| a.cmp(b)));
    differs.into_iter().find(|order| order.is_ne()).unwrap_or_else(|| one.len().cmp(&other.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_words_are_spelt() {
        let mut paths = ["A/10/0", "B/1/0", "A/2/0", "10/0", "2/0", "2", "02", "a2", "A/2/0/labels/x"];
        paths.sort_by(|a, b| natural(a, b));
        assert_eq!(paths, ["02", "2", "2/0", "10/0", "A/2/0", "A/2/0/labels/x", "A/10/0", "B/1/0", "a2"]);
    }
}
