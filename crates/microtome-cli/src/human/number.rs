//! Counts, sizes and times in few words.

/// A count with `_` between thousands: `91_226_112`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let head = digits.len() % 3;
    let mut out = digits[..head].to_owned();
    for (place, group) in digits.as_bytes()[head..].chunks(3).enumerate() {
        if head > 0 || place > 0 {
            out.push('_');
        }
        out.extend(group.iter().map(|&b| char::from(b)));
    }
    out
}

/// A count of things: `1 scene`, `3 scenes`.
pub(super) fn things(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", count(n)) }
}

/// A size in binary units with three digits: `2.81 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return things(n, "byte");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    // A value that would be rounded up to 1000 and more goes into the next unit when it reaches 1024 there.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
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
    fn thousands_are_apart() {
        assert_eq!(count(7), "7");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_000), "1_000");
        assert_eq!(count(91_226_112), "91_226_112");
    }

    #[test]
    fn sizes_have_three_digits() {
        assert_eq!(bytes(1), "1 byte");
        assert_eq!(bytes(1023), "1_023 bytes");
        assert_eq!(bytes(1024), "1.00 KiB");
        assert_eq!(bytes(2_949_120), "2.81 MiB");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(1_048_570), "1.00 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

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
