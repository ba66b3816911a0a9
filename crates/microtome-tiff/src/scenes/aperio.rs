//! Aperio SVS: tiled pages are levels and planes of focus; what lies in strips are pictures of the slide.

use super::Draft;
use super::fit::micrometers;
use super::slide::{Slide, magnifying, picture};
use crate::page::Layout;
use crate::set::Set;

pub(super) fn arrange(set: &mut Set, text: &str) -> Option<Vec<Draft>> {
    let later = std::mem::take(&mut set.later);
    let index = &set.main().index;
    if !index.layout(0)?.is_tiled() {
        return None;
    }
    let (mut slide, mut pictures, mut skipped) = (Slide::default(), Vec::new(), Vec::new());
    for page in 0..index.chain() {
        let layout = match index.kind(page) {
            Ok(layout) => layout,
            Err(why) => {
                skipped.push(format!("page {page} is left out: {why}"));
                continue;
            }
        };
        let level = layout.is_tiled() && layout.tags.subfile & 1 == 0;
        if !(level && slide.take(set, page, layout)) {
            let described = later.binary_search_by_key(&page, |(of, _)| *of).ok().map(|at| later[at].1.as_str());
            pictures.push(picture(page, name(page, layout, described.unwrap_or_default())));
        }
    }
    set.warnings.append(&mut skipped);
    let mut draft = slide.draft(set)?;
    "Baseline".clone_into(&mut draft.name);
    let size = setting(text, "MPP").and_then(|v| v.parse().ok());
    draft.pixel_size = micrometers([None, size, size]);
    if let Some(magnification) = setting(text, "AppMag") {
        set.told.push(format!("the magnification of the objective ({magnification})"));
        draft.objective = magnifying(magnification.parse().ok());
    }
    Some(std::iter::once(draft).chain(pictures).collect())
}

/// What a page beside the slide shows, by the second line of its description or the kind of page.
fn name(page: u32, layout: &Layout, text: &str) -> &'static str {
    let line = text.lines().nth(1).unwrap_or_default().trim_start();
    match layout.tags.subfile {
        _ if line.starts_with("label") => "Label",
        _ if line.starts_with("macro") => "Macro",
        9 => "Macro",
        1 => "Label",
        _ if page == 1 => "Thumbnail",
        _ => "",
    }
}

/// The value of `key = value` between bars.
fn setting<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split('|').filter_map(|part| part.split_once('=')).find(|(k, _)| k.trim() == key).map(|(_, v)| v.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_lie_between_bars() {
        let text = "Aperio Image Library v11\r\n46000x32914 JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990|User = a=b";
        assert_eq!((setting(text, "MPP"), setting(text, "AppMag")), (Some("0.4990"), Some("20")));
        assert_eq!((setting(text, "User"), setting(text, "Q")), (Some("a=b"), None));
    }
}
