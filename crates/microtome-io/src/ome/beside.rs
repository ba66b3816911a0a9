//! What a document says beside what is understood of it: an output keeps it as text alone.

use std::collections::BTreeSet;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements that are understood, or say nothing of their own.
const UNDERSTOOD: [&[u8]; 9] =
    [b"OME", b"Image", b"Pixels", b"Channel", b"TiffData", b"UUID", b"BinData", b"MetadataOnly", b"BinaryOnly"];
/// Most names that are told.
const MOST: usize = 64;

/// The names of elements that a document of ours does not have, sorted, each once; of those that hold others the outermost.
/// Empty for a document that is none.
///
/// # Examples
/// ```
/// use microtome_io::ome::beside;
/// let xml = "<OME><Instrument><Objective/></Instrument><Image><Pixels><Channel/><Plane/><Plane/></Pixels></Image></OME>";
/// assert_eq!(beside(xml), ["Instrument", "Plane"]);
/// ```
pub fn beside(xml: &str) -> Vec<String> {
    let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut reader = Reader::from_str(xml.trim_start_matches('\u{feff}'));
    // How deep the walk is inside an element that is told as a whole.
    let mut inside = 0u64;
    loop {
        let (element, opens) = match reader.read_event() {
            Ok(Event::Start(element)) => (element, true),
            Ok(Event::Empty(element)) => (element, false),
            Ok(Event::End(_)) => {
                inside = inside.saturating_sub(1);
                continue;
            }
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => continue,
        };
        let name = element.local_name();
        let name = name.as_ref();
        if inside > 0 {
            inside += u64::from(opens);
            continue;
        }
        if !UNDERSTOOD.contains(&name) {
            if found.len() < MOST {
                found.insert(name.to_vec());
            }
            inside = u64::from(opens);
        }
    }
    found.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect()
}
