//! What the axes of `NDTiff` mean: `time`, `channel`, `z` are T, C and Z; positions, rows and columns are scenes.

use std::collections::{HashMap, HashSet};

use microtome_array::Axis;
use serde_json::{Map, Value};

use super::index::Entry;

/// The axes of images, with their values in order.
#[derive(Debug)]
pub(super) struct Axes {
    /// Of T, C and Z: the name of the axis and its values; an empty name for an axis that is not there.
    pub(super) planes: [(String, Vec<Value>); 3],
    /// Those that tell scenes apart.
    scenes: Vec<(String, Vec<Value>)>,
}

/// Names of axes that tell scenes apart.
const SCENES: [&str; 3] = ["position", "row", "column"];

impl Axes {
    /// Orders the axes of all entries. An axis of another name is the first free one of T, Z and C; a fourth one tells scenes
    /// apart.
    pub(super) fn of(entries: &[Entry], warnings: &mut Vec<String>) -> Axes {
        let mut names: Vec<String> = Vec::new();
        let mut values: HashMap<String, Vec<Value>> = HashMap::new();
        let mut seen: HashSet<(String, String)> = HashSet::new();
        for (name, value) in entries.iter().flat_map(|entry| &entry.axes) {
            if seen.insert((name.clone(), value.to_string())) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
                values.entry(name.clone()).or_default().push(value.clone());
            }
        }
        // Numbers are sorted, names stay in the order in which they were acquired.
        for list in values.values_mut().filter(|list| list.iter().all(Value::is_number)) {
            list.sort_by(|a, b| a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)));
        }
        let mut axes = Axes { planes: std::array::from_fn(|_| (String::new(), vec![Value::Null])), scenes: Vec::new() };
        let known = [("time", Axis::T), ("channel", Axis::C), ("z", Axis::Z)];
        let mut others = Vec::new();
        for name in names {
            let list = values.remove(&name).unwrap_or_default();
            match known.iter().find(|(word, _)| *word == name) {
                Some((_, axis)) => axes.planes[axis.index()] = (name, list),
                None if SCENES.contains(&name.as_str()) => axes.scenes.push((name, list)),
                None => others.push((name, list)),
            }
        }
        for (name, list) in others.into_iter().filter(|(_, list)| list.len() > 1) {
            let free = [Axis::T, Axis::Z, Axis::C].into_iter().find(|axis| axes.planes[axis.index()].0.is_empty());
            let taken = free.map_or_else(|| "scenes".to_owned(), |axis| axis.letter().to_string());
            warnings.push(format!("the axis {name:?} of {} values is taken as {taken}", list.len()));
            match free {
                Some(axis) => axes.planes[axis.index()] = (name, list),
                None => axes.scenes.push((name, list)),
            }
        }
        axes
    }

    /// Number of planes along T, C, Z.
    pub(super) fn size(&self) -> [u64; 3] {
        [0, 1, 2].map(|n| self.planes[n].1.len() as u64)
    }

    /// Places of values: axes that an image does not have are at their first value.
    pub(super) fn places(&self) -> Places<'_> {
        fn table((name, list): &(String, Vec<Value>)) -> (&str, HashMap<String, usize>) {
            (name, list.iter().map(Value::to_string).zip(0..).collect())
        }
        Places { planes: [0, 1, 2].map(|n| table(&self.planes[n])), scenes: self.scenes.iter().map(table).collect() }
    }

    /// What a scene is called: its position, or its values by name.
    pub(super) fn scene_name(&self, key: &[usize]) -> String {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let of = |((name, list), &n): (&(String, Vec<Value>), &usize)| match list.len() {
            1 if !list[0].is_string() => None,
            _ if name == "position" && list[n].is_string() => Some(text(&list[n])),
            _ => Some(format!("{name} {}", text(&list[n]))),
        };
        let parts: Vec<String> = self.scenes.iter().zip(key).filter_map(of).collect();
        parts.join(", ")
    }
}

/// Where the values of axes stand.
pub(super) struct Places<'a> {
    planes: [(&'a str, HashMap<String, usize>); 3],
    scenes: Vec<(&'a str, HashMap<String, usize>)>,
}

impl Places<'_> {
    /// The key of the scene, and T, C, Z.
    pub(super) fn of(&self, axes: &Map<String, Value>) -> (Vec<usize>, [u64; 3]) {
        let place = |(name, table): &(&str, HashMap<String, usize>)| {
            axes.get(*name).and_then(|value| table.get(&value.to_string())).copied().unwrap_or(0)
        };
        (self.scenes.iter().map(place).collect(), [0, 1, 2].map(|n| place(&self.planes[n]) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(axes: &str) -> Entry {
        let axes = serde_json::from_str(axes).unwrap();
        Entry { axes, file: 0, offset: 0, width: 1, height: 1, kind: 0, metadata: (0, 0) }
    }

    #[test]
    fn names_keep_their_order_and_numbers_are_sorted() {
        let texts = [r#"{"time":1,"channel":"b","z":-1}"#, r#"{"time":0,"channel":"a","z":10}"#, r#"{"z":2,"foo":7}"#];
        let mut warnings = Vec::new();
        let entries = texts.map(entry);
        let axes = Axes::of(&entries, &mut warnings);
        assert_eq!((axes.size(), warnings.len()), ([2, 2, 3], 0));
        let places = axes.places();
        let found: Vec<_> = entries.iter().map(|entry| places.of(&entry.axes).1).collect();
        assert_eq!(found, [[1, 0, 0], [0, 1, 2], [0, 0, 1]]);
    }

    #[test]
    fn positions_are_scenes_and_other_axes_take_what_is_free() {
        let entries = [r#"{"position":"A1","angle":0,"z":0}"#, r#"{"position":"B1","angle":90,"z":1}"#].map(entry);
        let mut warnings = Vec::new();
        let axes = Axes::of(&entries, &mut warnings);
        assert_eq!((axes.size(), warnings.len()), ([2, 1, 2], 1));
        let (key, plane) = axes.places().of(&entries[1].axes);
        assert_eq!((axes.scene_name(&key), plane), ("B1".to_owned(), [1, 0, 1]));
    }
}
