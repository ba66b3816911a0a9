//! `ScanImage`: lines `SI.key = value` of MATLAB in the tag Software, or `state.…` and `scanimage.SI…` in the description.
//!
//! Pages follow each other by channel, then by frame of a slice, then by slice, then by volume.

use microtome_array::Axis;
use microtome_io::Quantity;

use super::Draft;
use super::fit::{Said, fit, micrometers};
use crate::set::{PlaneRef, Set};

/// The tag Software.
const SOFTWARE: u16 = 305;

/// The settings, if the file is one of `ScanImage`.
pub(super) fn settings(set: &Set, description: &str) -> Option<String> {
    let software = set.first.has(SOFTWARE).then(|| set.text(SOFTWARE)).flatten().filter(|s| s.starts_with("SI."));
    let own = description.starts_with("state.") || description.contains("scanimage.SI");
    software.or_else(|| own.then(|| description.to_owned()))
}

pub(super) fn arrange(set: &mut Set, settings: &str) -> Option<Vec<Draft>> {
    let found = Settings(settings);
    let pages = u64::from(set.main().index.chain());
    let Some(channels) = found.channels() else {
        set.warn("the ScanImage metadata do not say which channels were saved; pages are shown in file order");
        return None;
    };
    let count = |keys: &[&str]| keys.iter().find_map(|key| found.number(key)).filter(|n| n.is_finite() && *n >= 1.0);
    let slices =
        count(&["hStackManager.actualNumSlices", "hStackManager.numSlices", "acq.numberOfZSlices", "stackNumSlices"]);
    let frames = count(&["hStackManager.framesPerSlice", "acq.numberOfFrames", "acqNumFrames"]);
    let each = channels.max(1);
    let [frames, slices] = match (frames.map(|n| n as u64), slices.map(|n| n as u64)) {
        // Without an end, or without a stack: all that was taken is frames.
        (None, _) => [(pages / each).max(1), 1],
        (Some(frames), Some(slices)) => [frames, slices],
        (Some(frames), None) => [frames, (pages / each.saturating_mul(frames)).max(1)],
    };
    let volume = each.saturating_mul(frames).saturating_mul(slices);
    let volumes = (pages / volume.max(1)).max(1);
    // Frames of a slice in several volumes would be two axes of time.
    let (size, order) = match (frames, volumes) {
        (1, volumes) => ([volumes, each, slices], [Axis::C, Axis::Z, Axis::T]),
        (frames, 1) => ([frames, each, slices], [Axis::C, Axis::T, Axis::Z]),
        (frames, volumes) if slices == 1 => ([frames.saturating_mul(volumes), each, 1], [Axis::C, Axis::T, Axis::Z]),
        _ => {
            set.warn(
                "several frames of each slice in several volumes are two axes of time; pages are shown in file order",
            );
            return None;
        }
    };
    let planes = (0..pages as u32).map(|page| PlaneRef::new(0, page)).collect();
    let mut draft = fit(set, &Said { what: "the ScanImage metadata", size, order }, planes);
    let names = found.names();
    for (channel, name) in draft.channels.iter_mut().zip(names) {
        channel.name = name;
    }
    let step = found.number("hStackManager.stackZStepSize").map(f64::abs).filter(|_| slices > 1);
    draft.pixel_size = micrometers([step, None, None]);
    let rate = if volumes > 1 { "hRoiManager.scanVolumeRate" } else { "hRoiManager.scanFrameRate" };
    let rate = found.number(rate).filter(|rate| *rate > 0.0 && rate.is_finite() && draft.size[0] > 1);
    draft.time_increment = rate.map(|rate| Quantity { value: 1.0 / rate, unit: "second".to_owned() });
    Some(vec![draft])
}

/// Lines `prefix.key = value`.
struct Settings<'a>(&'a str);

impl<'a> Settings<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let lines = self.0.split(['\n', '\r']).filter_map(|line| line.split_once('='));
        let own = |name: &str| name.strip_suffix(key).is_some_and(|before| before.ends_with('.'));
        lines.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| own(name)).map(|(_, value)| value)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.get(key)?.parse().ok()
    }

    /// How many channels were saved: numbers in brackets, or one.
    fn channels(&self) -> Option<u64> {
        if let Some(count) = self.number("acq.numberOfChannelsSave") {
            return Some(count as u64).filter(|&n| n > 0);
        }
        let list = self.get("channelSave").or_else(|| self.get("channelsSave"))?;
        Some(numbers(list).len() as u64).filter(|&n| n > 0)
    }

    /// Names of the channels that were saved, `{'a';'b'}`.
    fn names(&self) -> Vec<String> {
        let Some(all) = self.get("hChannels.channelName") else { return Vec::new() };
        let names: Vec<&str> = all.split('\'').skip(1).step_by(2).collect();
        let saved = self.get("channelSave").map(numbers).unwrap_or_default();
        saved.iter().map(|&n| names.get(n.wrapping_sub(1)).map_or_else(String::new, |s| (*s).to_owned())).collect()
    }
}

fn numbers(list: &str) -> Vec<usize> {
    let parts = list.trim_matches(['[', ']']).split([';', ',', ' ']);
    parts.filter_map(|part| part.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_lines_of_matlab() {
        let found =
            Settings("SI.hChannels.channelSave = [1;3]\nSI.hChannels.channelName = {'red';'x';'blue'}\nSI.a.b = Inf");
        assert_eq!((found.channels(), found.names()), (Some(2), vec!["red".to_owned(), "blue".to_owned()]));
        assert_eq!((found.number("a.b"), found.get("hannels.channelSave")), (Some(f64::INFINITY), None));
        assert_eq!(Settings("state.acq.numberOfChannelsSave=2\r").channels(), Some(2));
        assert_eq!(Settings("SI.hChannels.channelSave = 1").channels(), Some(1));
    }
}
