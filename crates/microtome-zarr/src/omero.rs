//! What NGFF's `omero` says of a channel where the image itself says nothing: it wants a colour and a window all the same.
//!
//! *Invariant:* what is written in place of nothing is read back as nothing.

use microtome_array::PixelType;
use microtome_io::ShownRange;
use serde_json::{Value, json};

/// Marks a channel whose colour is ours, because the image has none.
pub(crate) const NO_COLOR: &str = "_no_color";

/// The range of a pixel type as a viewer wants it; complex pixels have none.
pub(crate) fn whole_window(dtype: PixelType) -> Option<Value> {
    let bits = dtype.size() as u32 * 8;
    let (min, max) = match dtype {
        _ if dtype.is_unsigned_integer() => (json!(0), json!(u64::MAX >> (64 - bits))),
        _ if dtype.is_signed_integer() => (json!(i64::MIN >> (64 - bits)), json!(i64::MAX >> (64 - bits))),
        _ if dtype.is_complex() => return None,
        _ => (json!(0), json!(1)),
    };
    Some(json!({"min": min, "max": max, "start": min, "end": max}))
}

/// A window that is stated; `None` for one that is the range of the pixel type, which says nothing.
pub(crate) fn stated_window(found: &Value, dtype: PixelType) -> Option<ShownRange> {
    let numbers = |window: &Value| {
        let number = |key: &str| window.get(key).and_then(Value::as_f64).filter(|n| n.is_finite());
        let (start, end) = (number("start")?, number("end")?);
        Some(ShownRange { min: number("min").unwrap_or(start), max: number("max").unwrap_or(end), start, end })
    };
    let whole = whole_window(dtype).as_ref().and_then(numbers);
    numbers(found).filter(|window| Some(*window) != whole)
}

/// A window as NGFF writes it, whole numbers without a point.
pub(crate) fn window_json(window: &ShownRange) -> Value {
    let number = |n: f64| if n.fract() == 0.0 && n.abs() < 9e15 { json!(n as i64) } else { json!(n) };
    json!({
        "min": number(window.min), "max": number(window.max), "start": number(window.start), "end": number(window.end),
    })
}
