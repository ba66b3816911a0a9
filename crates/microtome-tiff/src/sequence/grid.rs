//! Where each file of a sequence belongs: which scene, and which T, C and Z of it.
//!
//! *Invariant:* no two files have the same place, and every place of the grid has a file or is known to have none.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use microtome_io::{ReadError, Well};

use super::pattern::{Field, Pattern, Values};
use super::search::{Found, natural_order};

/// Most places of all scenes together.
const MOST: usize = 1 << 20;

/// The scenes and axes of a sequence.
#[derive(Debug)]
pub(super) struct Grid {
    /// The values of T, C and Z in order; one empty text where the pattern does not have the field.
    pub(super) axes: [Vec<String>; 3],
    pub(super) scenes: Vec<SceneKey>,
    /// The number of the file at each place: by scene, T, C, Z, the last fastest.
    pub(super) files: Vec<Option<usize>>,
    pub(super) warnings: Vec<String>,
    /// Whether the names of channels are in the names of files.
    pub(super) names_channels: bool,
}

/// What tells a scene from others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SceneKey {
    pub(super) name: String,
    pub(super) well: Option<Well>,
    values: Values,
}

impl Grid {
    pub(super) fn new(pattern: &Pattern, found: &[Found]) -> Result<Grid, ReadError> {
        let mut warnings = Vec::new();
        let fields = [(Field::T, "t"), (Field::C, "c"), (Field::Z, "z")];
        let mut axes = fields.map(|(field, name)| Values1::of(field, name, found, &mut warnings));
        if pattern.has(Field::Star) {
            axes[0] = Values1::of(Field::Star, "*", found, &mut warnings);
        }
        let mut scenes: Vec<SceneKey> = Vec::new();
        let mut known: HashMap<Values, usize> = HashMap::new();
        for file in found {
            let key = scene_values(&file.values);
            known.entry(key.clone()).or_insert_with(|| {
                scenes.push(SceneKey::new(key));
                scenes.len() - 1
            });
        }
        scenes.sort_by(SceneKey::order);
        let numbers: HashMap<Values, usize> = scenes.iter().enumerate().map(|(n, s)| (s.values.clone(), n)).collect();
        let size = [0, 1, 2].map(|n| axes[n].texts.len());
        let places = size.iter().try_fold(scenes.len(), |p, &n| p.checked_mul(n)).filter(|&n| n <= MOST);
        let Some(places) = places else {
            let (what, limit) = ("number of places for files".to_owned(), MOST as u64);
            let path = found[0].path.clone();
            return Err(ReadError::OverLimit { path, what, location: String::new(), found: limit + 1, limit });
        };
        let mut files = vec![None; places];
        for (number, file) in found.iter().enumerate() {
            let scene = numbers[&scene_values(&file.values)];
            let [t, c, z] = [0, 1, 2].map(|n| axes[n].place(&file.values));
            let slot: &mut Option<usize> = &mut files[((scene * size[0] + t) * size[1] + c) * size[2] + z];
            if let Some(other) = slot.replace(number) {
                let why = "their names say the same place in it; name one of them otherwise".to_owned();
                return Err(ReadError::Mismatch { path: found[other].path.clone(), other: file.path.clone(), why });
            }
        }
        let names_channels = pattern.has(Field::C) && !axes[1].numbers;
        Ok(Grid { axes: axes.map(|axis| axis.texts), scenes, files, warnings, names_channels })
    }

    /// Number of places along T, C, Z.
    pub(super) fn size(&self) -> [u64; 3] {
        [0, 1, 2].map(|n| self.axes[n].len() as u64)
    }

    /// The files of a scene, by T, C, Z.
    pub(super) fn of_scene(&self, scene: usize) -> &[Option<usize>] {
        let count = self.files.len() / self.scenes.len();
        &self.files[scene * count..(scene + 1) * count]
    }

    /// The name of the file that would be at a place.
    pub(super) fn name(&self, pattern: &Pattern, scene: usize, place: usize) -> PathBuf {
        let [_, c, z] = self.size().map(|n| n as usize);
        let mut values = self.scenes[scene].values.clone();
        for (field, text) in [
            (Field::T, &self.axes[0][place / (c * z)]),
            (Field::C, &self.axes[1][place / z % c]),
            (Field::Z, &self.axes[2][place % z]),
        ] {
            if pattern.has(field) {
                values[field as usize] = Some(text.clone());
            }
        }
        pattern.filled(&values)
    }
}

/// The values that tell scenes apart; rows of wells are called alike in capital letters and small ones.
fn scene_values(all: &Values) -> Values {
    let mut values = all.clone();
    for field in [Field::T, Field::C, Field::Z, Field::Star] {
        values[field as usize] = None;
    }
    values
}

impl SceneKey {
    fn new(values: Values) -> SceneKey {
        let get = |field: Field| values[field as usize].clone();
        let whole = get(Field::Well).unwrap_or_default();
        let cut = whole.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let row = get(Field::Row).or_else(|| get(Field::Well).map(|_| whole[..cut].to_owned()));
        let column = get(Field::Column).or_else(|| get(Field::Well).map(|_| whole[cut..].to_owned()));
        let field = get(Field::Site);
        let well = row.zip(column).map(|(row, column)| {
            let (row, column) = (plain(&row).to_uppercase(), plain(&column).to_owned());
            let index = |name: &str| name.parse().unwrap_or(1u32).saturating_sub(1);
            let field = field.as_deref().map_or("0", plain).to_owned();
            let row_index = if row.bytes().all(|b| b.is_ascii_digit()) { index(&row) } else { letters(&row) };
            Well { plate: String::new(), row_index, column_index: index(&column), row, column, field }
        });
        let scene = get(Field::Scene);
        let place = well.as_ref().map(|well| format!("{}/{}/{}", well.row, well.column, well.field));
        let name = [place.or(values[Field::Site as usize].clone()), scene].into_iter().flatten();
        SceneKey { name: name.collect::<Vec<_>>().join(" "), well, values }
    }

    fn order(&self, other: &SceneKey) -> std::cmp::Ordering {
        let place = |key: &SceneKey| key.well.as_ref().map(|well| (well.row_index, well.column_index));
        place(self).cmp(&place(other)).then_with(|| natural_order(&self.name, &other.name))
    }
}

/// A number without zeros before it.
fn plain(text: &str) -> &str {
    let short = text.trim_start_matches('0');
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return text;
    }
    if short.is_empty() { &text[text.len() - 1..] } else { short }
}

/// `A` is 0, `Z` 25, `AA` 26.
fn letters(row: &str) -> u32 {
    row.bytes().fold(0, |n, b| n * 26 + u32::from(b.to_ascii_uppercase().saturating_sub(b'A')) + 1).saturating_sub(1)
}

/// The values that one field has.
#[derive(Debug)]
struct Values1 {
    field: Field,
    texts: Vec<String>,
    places: HashMap<String, usize>,
    numbers: bool,
}

impl Values1 {
    fn of(field: Field, name: &str, found: &[Found], warnings: &mut Vec<String>) -> Values1 {
        let all: Vec<&str> = found.iter().filter_map(|file| file.values[field as usize].as_deref()).collect();
        let mut distinct: Vec<&str> = all.clone();
        distinct.sort_by(|a, b| natural_order(a, b));
        distinct.dedup();
        let numbers: Option<BTreeMap<u64, &str>> = distinct.iter().map(|&text| Some((number(text)?, text))).collect();
        let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty() && field != Field::Star) else {
            let texts: Vec<String> = if distinct.is_empty() { vec![String::new()] } else { owned(&distinct) };
            let places = texts.iter().cloned().zip(0..).collect();
            return Values1 { field, texts, places, numbers: false };
        };
        let texts = filled(&numbers).unwrap_or_else(|| {
            let (first, last) = (distinct[0], distinct[distinct.len() - 1]);
            warnings.push(format!(
                "{{{name}}} has {} values from {first} to {last}, and most numbers between are not there; they are taken to be \
                 numbers of no order, and none to be missing",
                distinct.len()
            ));
            numbers.values().map(|&text| text.to_owned()).collect()
        });
        let places = texts.iter().zip(0..).filter_map(|(text, n)| Some((number(text)?.to_string(), n))).collect();
        Values1 { field, texts, places, numbers: true }
    }

    /// The place of the value that a file has.
    fn place(&self, values: &Values) -> usize {
        let Some(text) = &values[self.field as usize] else { return 0 };
        let key = if self.numbers { number(text).map(|n| n.to_string()) } else { None };
        self.places.get(&key.unwrap_or_else(|| text.clone())).copied().unwrap_or(0)
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Numbers in steps of what divides all their distances, written as those that are there; `None` if more than half of them
/// would not be there.
fn filled(numbers: &BTreeMap<u64, &str>) -> Option<Vec<String>> {
    let (first, last) = (*numbers.first_key_value()?.0, *numbers.last_key_value()?.0);
    let step = numbers.keys().fold(0, |step, n| gcd(step, n - first)).max(1);
    let count = (last - first) / step + 1;
    if count > 2 * numbers.len() as u64 {
        return None;
    }
    let width = numbers.values().map(|text| text.len()).min().unwrap_or(0);
    let text = |n: u64| numbers.get(&n).map_or_else(|| format!("{n:0width$}"), |&text| text.to_owned());
    Some((0..count).map(|k| text(first + k * step)).collect())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn grid(pattern: &str, names: &[&str]) -> Result<Grid, ReadError> {
        let pattern = Pattern::parse(Path::new(pattern)).unwrap();
        let found = |name: &&str| {
            let mut values = Values::default();
            assert!(pattern.fits(0, name.as_ref(), &mut values), "{name}");
            Found { path: PathBuf::from(name), values }
        };
        Grid::new(&pattern, &names.iter().map(found).collect::<Vec<_>>())
    }

    #[test]
    fn a_number_that_is_left_out_is_missing() {
        let pattern = Pattern::parse(Path::new("t{t}_{c}.tif")).unwrap();
        let found = grid("t{t}_{c}.tif", &["t08_a.tif", "t09_b.tif", "t11_a.tif", "t08_b.tif"]).unwrap();
        assert_eq!(found.axes[0], ["08", "09", "10", "11"]);
        assert_eq!(found.files, [Some(0), Some(3), None, Some(1), None, None, Some(2), None]);
        assert_eq!(found.name(&pattern, 0, 2), Path::new("t09_a.tif"));
        assert_eq!(found.name(&pattern, 0, 4), Path::new("t10_a.tif"));
        assert!(found.names_channels && found.warnings.is_empty());
    }

    #[test]
    fn even_steps_leave_nothing_out_and_stamps_of_time_neither() {
        let found = grid("t{t}.tif", &["t0.tif", "t5.tif", "t15.tif"]).unwrap();
        assert_eq!(found.axes[0], ["0", "5", "10", "15"]);
        let found = grid("t{t}.tif", &["t1690001.tif", "t1690417.tif", "t1690900.tif"]).unwrap();
        assert_eq!((found.axes[0].len(), found.warnings.len()), (3, 1));
    }

    #[test]
    fn two_files_of_one_place_are_refused() {
        let error = grid("t{t}.tif", &["t1.tif", "t01.tif"]).unwrap_err();
        assert!(
            error.to_string().starts_with("t1.tif and t01.tif are not of one image: their names say the same place")
        );
    }

    #[test]
    fn wells_come_in_the_order_of_plates() {
        let found = grid("{well}_s{field}.tif", &["B10_s1.tif", "b02_s2.tif", "AA1_s1.tif", "A03_s1.tif"]).unwrap();
        let names: Vec<&str> = found.scenes.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["A/3/1", "B/2/2", "B/10/1", "AA/1/1"]);
        let well = found.scenes[3].well.as_ref().unwrap();
        assert_eq!((well.row_index, well.column_index), (26, 0));
    }
}
