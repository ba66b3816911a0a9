//! Small TIFF files made by hand: little-endian, classic, 8 bit unless the tags say otherwise.

/// A page: tags beside those that are set here, and its strips or tiles.
#[derive(Clone, Default)]
pub(crate) struct PageSpec {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) tags: Vec<(u16, Vec<u32>)>,
    pub(crate) text: Option<String>,
    pub(crate) strips: Vec<Vec<u8>>,
    pub(crate) subs: Vec<PageSpec>,
}

/// A page of one strip with the value `fill` everywhere.
pub(crate) fn page(width: u32, height: u32, fill: u8) -> PageSpec {
    PageSpec { width, height, strips: vec![vec![fill; (width * height) as usize]], ..PageSpec::default() }
}

/// The file of these pages. Pixels of the last page come last.
pub(crate) fn tiff(pages: &[PageSpec]) -> Vec<u8> {
    let mut file = b"II*\0\0\0\0\0".to_vec();
    let mut link = 4;
    for page in pages {
        let subs: Vec<u32> = page.subs.iter().map(|sub| write(&mut file, sub, &[]).0).collect();
        let (at, next) = write(&mut file, page, &subs);
        file[link..link + 4].copy_from_slice(&at.to_le_bytes());
        link = next;
    }
    file
}

/// Appends tags, then their values, then pixels; gives the offsets of the IFD and of its link to the next.
fn write(file: &mut Vec<u8>, page: &PageSpec, subs: &[u32]) -> (u32, usize) {
    let tiled = page.tags.iter().any(|t| t.0 == 322);
    let (offsets, sizes) = if tiled { (324, 325) } else { (273, 279) };
    let lengths: Vec<u32> = page.strips.iter().map(|s| s.len() as u32).collect();
    let mut tags = vec![(256, vec![page.width]), (257, vec![page.height]), (258, vec![8]), (262, vec![1])];
    tags.extend([(offsets, lengths.clone()), (sizes, lengths)]);
    if !subs.is_empty() {
        tags.push((330, subs.to_vec()));
    }
    for tag in &page.tags {
        tags.retain(|t| t.0 != tag.0);
        tags.push(tag.clone());
    }
    let text = page.text.clone().map(|t| t + "\0").unwrap_or_default();
    let at = file.len();
    let entries = tags.len() + usize::from(!text.is_empty());
    let mut values_at = at + 2 + entries * 12 + 4;
    let stored: usize = tags.iter().filter(|t| t.1.len() > 1).map(|t| t.1.len() * 4).sum();
    let mut pixels_at = values_at + stored + text.len();
    let mut values = Vec::new();
    file.extend((entries as u16).to_le_bytes());
    for (tag, mut list) in tags {
        if tag == offsets {
            // A strip of no bytes has offset 0: it was never written.
            list =
                list.iter().map(|&n| if n == 0 { 0 } else { (pixels_at as u32, pixels_at += n as usize).0 }).collect();
        }
        let inline = if let [one] = list[..] { one } else { values_at as u32 };
        file.extend([tag.to_le_bytes(), 4u16.to_le_bytes()].concat());
        file.extend([(list.len() as u32).to_le_bytes(), inline.to_le_bytes()].concat());
        if list.len() > 1 {
            values_at += list.len() * 4;
            values.extend(list.iter().flat_map(|v| v.to_le_bytes()));
        }
    }
    if !text.is_empty() {
        file.extend([270u16.to_le_bytes(), 2u16.to_le_bytes()].concat());
        file.extend([(text.len() as u32).to_le_bytes(), (values_at as u32).to_le_bytes()].concat());
    }
    let link = file.len();
    file.extend([0; 4]);
    file.extend(values);
    file.extend(text.as_bytes());
    page.strips.iter().for_each(|s| file.extend(s));
    (at as u32, link)
}
