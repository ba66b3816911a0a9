//! Units of length and time: from what people and programs write to the words of NGFF.

/// A unit by its NGFF word, and how much of it is a base unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// The word of NGFF (`micrometer`, `second`), or the text as it stands for units NGFF does not know.
    pub name: String,
    /// Size in picometres or picoseconds; `None` for units without a fixed size (`pixel`, `reference frame`).
    pub size: Option<f64>,
}

impl Unit {
    /// Converts a value of this unit to another one, if both have a fixed size.
    ///
    /// # Examples
    /// ```
    /// use microtome_io::ome::length_unit;
    /// assert_eq!(length_unit("nm").to(&length_unit("µm"), 65.0), Some(0.065));
    /// assert_eq!(length_unit("pixel").to(&length_unit("µm"), 1.0), None);
    /// ```
    pub fn to(&self, other: &Unit, value: f64) -> Option<f64> {
        if self.name == other.name {
            return Some(value);
        }
        Some(value * self.size? / other.size?)
    }
}

/// SI prefixes: symbol, word, power of ten.
const PREFIXES: [(&str, &str, i32); 21] = [
    ("Y", "yotta", 24),
    ("Z", "zetta", 21),
    ("E", "exa", 18),
    ("P", "peta", 15),
    ("T", "tera", 12),
    ("G", "giga", 9),
    ("M", "mega", 6),
    ("k", "kilo", 3),
    ("h", "hecto", 2),
    ("da", "deca", 1),
    ("", "", 0),
    ("d", "deci", -1),
    ("c", "centi", -2),
    ("m", "milli", -3),
    ("u", "micro", -6),
    ("n", "nano", -9),
    ("p", "pico", -12),
    ("f", "femto", -15),
    ("a", "atto", -18),
    ("z", "zepto", -21),
    ("y", "yocto", -24),
];

/// Lengths that are not SI: words for them, NGFF word, picometres.
const LENGTHS: [(&[&str], &str, f64); 8] = [
    (&["å", "angstrom", "ångström", "ångstrom"], "angstrom", 100.0),
    (&["in", "inch", "inches", "\""], "inch", 2.54e10),
    (&["ft", "foot", "feet"], "foot", 3.048e11),
    (&["yd", "yard"], "yard", 9.144e11),
    (&["mi", "mile"], "mile", 1.609_344e15),
    (&["pc", "parsec"], "parsec", 3.085_677_581_491_367e28),
    (&["micron", "microns"], "micrometer", 1e6),
    (&["ly"], "light year", 9.460_730_472_580_8e27),
];

/// Times that are not SI: words for them, NGFF word, picoseconds.
const TIMES: [(&[&str], &str, f64); 4] = [
    (&["sec", "secs", "seconds"], "second", 1e12),
    (&["min", "mins", "minute", "minutes"], "minute", 60e12),
    (&["h", "hr", "hrs", "hour", "hours"], "hour", 3600e12),
    (&["d", "day", "days"], "day", 86400e12),
];

/// The unit of length a text names.
///
/// # Examples
/// ```
/// use microtome_io::ome::length_unit;
/// assert_eq!(length_unit("µm").name, "micrometer"); // U+00B5
/// assert_eq!(length_unit("μm").name, "micrometer"); // U+03BC
/// assert_eq!(length_unit("Mm").name, "megameter");
/// assert_eq!(length_unit("reference frame").size, None);
/// ```
pub fn length_unit(text: &str) -> Unit {
    let text = clean(text);
    match text.to_lowercase().as_str() {
        "pixel" | "pixels" | "px" => return Unit { name: "pixel".to_owned(), size: None },
        _ => {}
    }
    named(&text, &LENGTHS).or_else(|| si(&text, "m", &["meter", "metre"])).unwrap_or(Unit { name: text, size: None })
}

/// The unit of time a text names.
///
/// # Examples
/// ```
/// use microtome_io::ome::time_unit;
/// assert_eq!(time_unit("s").name, "second");
/// assert_eq!(time_unit("ms").name, "millisecond");
/// assert_eq!(time_unit("hr").size, Some(3600e12));
/// ```
pub fn time_unit(text: &str) -> Unit {
    let text = clean(text);
    named(&text, &TIMES).or_else(|| si(&text, "s", &["second"])).unwrap_or(Unit { name: text, size: None })
}

/// The symbol of OME for a unit of length; `None` for units that OME does not have.
///
/// # Examples
/// ```
/// use microtome_io::ome::length_symbol;
/// assert_eq!(length_symbol("micrometer").as_deref(), Some("µm"));
/// assert_eq!(length_symbol("angstrom").as_deref(), Some("Å"));
/// assert_eq!(length_symbol("furlong"), None);
/// ```
pub fn length_symbol(text: &str) -> Option<String> {
    let name = length_unit(text).name;
    let other = match name.as_str() {
        "angstrom" => "Å",
        "inch" => "in",
        "foot" => "ft",
        "yard" => "yd",
        "mile" => "mi",
        "parsec" => "pc",
        "light year" => "ly",
        "pixel" | "reference frame" => &name,
        _ => return si_symbol(&name, "meter", "m"),
    };
    Some(other.to_owned())
}

/// The symbol of OME for a unit of time; `None` for units that OME does not have.
///
/// # Examples
/// ```
/// use microtome_io::ome::time_symbol;
/// assert_eq!(time_symbol("millisecond").as_deref(), Some("ms"));
/// assert_eq!(time_symbol("hours").as_deref(), Some("h"));
/// ```
pub fn time_symbol(text: &str) -> Option<String> {
    let name = time_unit(text).name;
    match name.as_str() {
        "minute" => Some("min".to_owned()),
        "hour" => Some("h".to_owned()),
        "day" => Some("d".to_owned()),
        _ => si_symbol(&name, "second", "s"),
    }
}

fn si_symbol(name: &str, word: &str, symbol: &str) -> Option<String> {
    let prefix = name.strip_suffix(word)?;
    let (short, _, _) = PREFIXES.iter().find(|(_, long, _)| *long == prefix)?;
    Some(format!("{}{symbol}", if *short == "u" { "µ" } else { short }))
}

/// One letter for micro, whichever way it is written; ImageJ escapes it.
fn clean(text: &str) -> String {
    let text = text.replace("\\u00B5", "u").replace("\\u03BC", "u").replace(['µ', 'μ'], "u");
    text.trim().trim_end_matches('\0').to_owned()
}

fn named(text: &str, table: &[(&[&str], &str, f64)]) -> Option<Unit> {
    let lower = text.to_lowercase();
    let (_, name, size) = table.iter().find(|(words, _, _)| words.contains(&lower.as_str()))?;
    Some(Unit { name: (*name).to_owned(), size: Some(*size) })
}

fn si(text: &str, symbol: &str, words: &[&str]) -> Option<Unit> {
    let lower = text.to_lowercase();
    let singular = lower.strip_suffix('s').unwrap_or(&lower);
    let fits = |(short, long, _): &&(&str, &str, i32)| {
        text.strip_suffix(symbol) == Some(*short) || words.iter().any(|w| singular.strip_suffix(w) == Some(*long))
    };
    let (_, long, power) = PREFIXES.iter().find(fits)?;
    Some(Unit { name: format!("{long}{}", words[0]), size: Some(10f64.powi(power + 12)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_symbols_mean_the_same() {
        for text in ["nm", "nanometer", "nanometres", "Nanometer"] {
            assert_eq!(length_unit(text), Unit { name: "nanometer".to_owned(), size: Some(1000.0) }, "{text}");
        }
        assert_eq!(length_unit("micron").name, "micrometer");
        assert_eq!(length_unit("\\u00B5m").name, "micrometer");
        assert_eq!(length_unit("cm").to(&length_unit("um"), 2.0), Some(20_000.0));
        assert_eq!(length_unit("Å").name, "angstrom");
    }

    #[test]
    fn what_is_unknown_stays_as_it_is() {
        assert_eq!(length_unit("furlong"), Unit { name: "furlong".to_owned(), size: None });
        assert_eq!(time_unit("").name, "");
    }
}
