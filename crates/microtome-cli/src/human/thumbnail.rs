//! `thumbnail` for people.

use std::path::Path;

use microtome::{Axis, SceneInfo, ShownChannel, Thumbnail};

use super::table::{Align, Table};

/// What was written, which planes it shows, and which values of each channel are black and white.
pub(crate) fn thumbnail(path: &Path, scene: &SceneInfo, sheet: Option<Axis>, shown: &Thumbnail) -> String {
    let (width, height) = (shown.picture.width(), shown.picture.height());
    let mut rows = Vec::new();
    if let Some(axis) = sheet {
        let planes: Vec<String> = shown.planes.iter().map(u64::to_string).collect();
        rows.push(["planes".to_owned(), format!("{} {}", axis.to_string().to_lowercase(), planes.join(" "))]);
    }
    rows.extend(shown.channels.iter().filter_map(|channel| row(scene, channel)));
    let table = Table { columns: [Align::Left, Align::Left], rows };
    format!("{} is written: {width} × {height} pixels\n{table}", path.display())
}

fn row(scene: &SceneInfo, shown: &ShownChannel) -> Option<[String; 2]> {
    let (window, number) = (shown.window?, shown.channel);
    let name = scene.channels.get(number as usize).map_or("", |channel| channel.name.as_str());
    let color = shown.color.map(|part| format!("{part:02X}")).concat();
    let title = format!("channel {number} {name}").trim_end().to_owned();
    Some([title, format!("{} to {} as black to {color}", short(window.low), short(window.high))])
}

/// A value with the digits that an eye can tell apart.
fn short(value: f64) -> String {
    if value.fract() == 0.0 {
        return value.to_string();
    }
    let digits = 3 - value.abs().max(1e-300).log10().floor().clamp(-9.0, 3.0) as i32;
    format!("{value:.*}", digits.max(0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_four_digits_or_those_before_the_point() {
        let all = [0.0, 0.001_234_56, 1.5, 123.456, 65_535.4, -20.0];
        assert_eq!(all.map(short), ["0", "0.001235", "1.500", "123.5", "65535", "-20"]);
    }
}
