//! Counts, sizes and times in few words.

/// A count with `_` between thousands: `91_226_112`.
pub(crate) fn count(n: u64) -> String {
    microtome::format_count(n)
}

/// A count of things: `1 scene`, `3 scenes`.
pub(super) fn things(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", count(n)) }
}

/// A size in binary units with three digits: `2.81 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    microtome::format_size(n)
}

/// A time: `0.04 s`, `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 0.9995 {
        return format!("{:.0} ms", (seconds * 1000.0).max(0.0));
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole / 60 {
        minutes if minutes < 60 => format!("{minutes} min {} s", whole % 60),
        minutes => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// A number without needless digits: `0.108`, `30`.
pub(super) fn decimal(value: f64) -> String {
    let rounded = format!("{value:.6}");
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() || short == "0" || value.abs() >= 1e9 { format!("{value}") } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_grow_into_larger_units() {
        assert_eq!(duration(0.0421), "42 ms");
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(59.97), "1 min 0 s");
        assert_eq!(duration(7800.0), "2 h 10 min");
    }

    #[test]
    fn decimals_are_short() {
        assert_eq!(decimal(0.108), "0.108");
        assert_eq!(decimal(30.0), "30");
        assert_eq!(decimal(0.325_000_000_01), "0.325");
        assert_eq!(decimal(1e-9), "0.000000001");
    }
}
