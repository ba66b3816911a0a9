//! A picture for people: red, green and blue of 8 bits, made of planes.
//!
//! *Invariant:* a picture has three bytes a pixel, rows from the top.

use std::io::{BufWriter, Write};
use std::path::Path;

use microtome_io::WriteError;

use crate::{Window, file};

/// Red, green and blue of 8 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Picture {
        Picture { width, height, rgb: color.repeat(width * height) }
    }

    /// Pixels across.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> usize {
        self.height
    }

    /// A pixel.
    ///
    /// # Panics
    /// If it lies outside.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    /// Adds a plane in a colour: light adds up, as channels of a fluorescence image do.
    ///
    /// # Panics
    /// If there is not a value for each pixel: a bug in the caller.
    ///
    /// # Examples
    /// ```
    /// use microtome_picture::{Picture, Window};
    /// let mut picture = Picture::filled(2, 1, [0, 0, 0]);
    /// let window = Window { low: 0.0, high: 10.0 };
    /// picture.add(&[10.0, 5.0], window, [255, 0, 0]);
    /// picture.add(&[0.0, 10.0], window, [0, 255, 255]);
    /// assert_eq!([picture.pixel(0, 0), picture.pixel(1, 0)], [[255, 0, 0], [128, 255, 255]]);
    /// ```
    pub fn add(&mut self, values: &[f64], window: Window, color: [u8; 3]) {
        assert_eq!(values.len() * 3, self.rgb.len(), "a value for each pixel");
        for (pixel, value) in self.rgb.chunks_exact_mut(3).zip(values) {
            let light = window.place(*value);
            for (part, full) in pixel.iter_mut().zip(color) {
                *part = part.saturating_add((light * f64::from(full)).round() as u8);
            }
        }
    }

    /// Gives each pixel a colour.
    ///
    /// # Panics
    /// If there is not one for each pixel: a bug in the caller.
    pub fn paint(&mut self, colors: impl ExactSizeIterator<Item = [u8; 3]>) {
        assert_eq!(colors.len() * 3, self.rgb.len(), "a colour for each pixel");
        for (pixel, color) in self.rgb.chunks_exact_mut(3).zip(colors) {
            pixel.copy_from_slice(&color);
        }
    }

    /// Pictures side by side in rows of `columns`, with a gap between them, each at the top left of a cell that holds the
    /// largest.
    pub fn sheet(pictures: &[Picture], columns: usize, gap: usize) -> Picture {
        let columns = columns.clamp(1, pictures.len().max(1));
        let cell = |side: fn(&Picture) -> usize| pictures.iter().map(side).max().unwrap_or(1);
        let (wide, high) = (cell(Picture::width), cell(Picture::height));
        let rows = pictures.len().div_ceil(columns).max(1);
        let mut out = Picture::filled(columns * (wide + gap) - gap, rows * (high + gap) - gap, [64, 64, 64]);
        for (n, picture) in pictures.iter().enumerate() {
            let (x, y) = (n % columns * (wide + gap), n / columns * (high + gap));
            for row in 0..picture.height {
                let from = &picture.rgb[row * picture.width * 3..][..picture.width * 3];
                out.rgb[((y + row) * out.width + x) * 3..][..from.len()].copy_from_slice(from);
            }
        }
        out
    }

    /// Writes it into a PNG file, which appears when it is whole.
    ///
    /// # Errors
    /// [`WriteError`] if something is there that may not be replaced, or the file cannot be written.
    pub fn save(&self, path: &Path, overwrite: bool) -> Result<(), WriteError> {
        let mut file = file::beside(path)?;
        let mut buffered = BufWriter::new(file.as_file_mut());
        self.write(&mut buffered).and_then(|()| buffered.flush()).map_err(|e| WriteError::os(path, "write", e))?;
        drop(buffered);
        file::name(file.into_temp_path(), path, overwrite)
    }

    /// Writes it as PNG.
    ///
    /// # Errors
    /// What the writer says, and where a side is longer than PNG allows.
    pub fn write(&self, out: impl Write) -> std::io::Result<()> {
        let side = |extent: usize| u32::try_from(extent).map_err(|_| std::io::Error::other("too large for PNG"));
        let mut encoder = png::Encoder::new(out, side(self.width)?, side(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        Ok(writer.finish()?)
    }
}

/// The colour of an object of a label image, by its number: 0, the background, is black; others are bright, and neighbours
/// far apart on the colour wheel.
///
/// # Examples
/// ```
/// use microtome_picture::label_color;
/// assert_eq!(label_color(0), [0, 0, 0]);
/// assert_ne!(label_color(1), label_color(2));
/// ```
pub fn label_color(label: u64) -> [u8; 3] {
    if label == 0 {
        return [0, 0, 0];
    }
    // Steps of the golden ratio never come near where they were.
    let hue = (label as f64 * 0.618_033_988_749_895).fract() * 6.0;
    let part = |shift: f64| {
        let place = (hue + shift) % 6.0;
        let light = (place - 3.0).abs() - 1.0;
        (55.0 + 200.0 * light.clamp(0.0, 1.0)) as u8
    };
    [part(0.0), part(4.0), part(2.0)]
}

/// A colour written `RRGGBB`.
///
/// # Examples
/// ```
/// assert_eq!(microtome_picture::parse_color("00FF80"), Some([0, 255, 128]));
/// assert_eq!(microtome_picture::parse_color("green"), None);
/// ```
pub fn parse_color(text: &str) -> Option<[u8; 3]> {
    let number = (text.len() == 6).then(|| u32::from_str_radix(text, 16).ok()).flatten()?;
    let [_, red, green, blue] = number.to_be_bytes();
    Some([red, green, blue])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_holds_every_picture_in_its_cell() {
        let (red, blue) = (Picture::filled(4, 3, [255, 0, 0]), Picture::filled(2, 5, [0, 0, 255]));
        let sheet = Picture::sheet(&[red.clone(), blue.clone(), red], 2, 1);
        assert_eq!((sheet.width(), sheet.height()), (4 + 1 + 4, 5 + 1 + 5));
        assert_eq!(sheet.pixel(0, 0), [255, 0, 0]);
        assert_eq!(sheet.pixel(5, 4), [0, 0, 255]);
        assert_eq!(sheet.pixel(3, 8), [255, 0, 0]);
        for empty in [(4, 0), (0, 3), (7, 0), (5, 6)] {
            assert_eq!(sheet.pixel(empty.0, empty.1), [64, 64, 64], "{empty:?}");
        }
        assert_eq!(Picture::sheet(&[blue], 9, 1).width(), 2);
    }

    #[test]
    fn what_is_written_is_read_by_a_decoder() {
        let mut picture = Picture::filled(3, 2, [1, 2, 3]);
        picture.paint((0..6u8).map(|n| [n, 10 * n, 255 - n]));
        let mut bytes = Vec::new();
        picture.write(&mut bytes).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Rgb));
        assert_eq!(pixels, picture.rgb);
    }

    #[test]
    fn labels_are_bright_and_their_neighbours_differ() {
        for label in 1..2000 {
            let (own, next) = (label_color(label), label_color(label + 1));
            assert!(own.iter().any(|part| *part > 150), "{label} is dark: {own:?}");
            let apart: i32 = own.iter().zip(next).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).sum();
            assert!(apart > 100, "{label} and its neighbour look alike: {own:?} {next:?}");
        }
    }
}
