//! Valid TIFFs damaged in ways that hurt readers, through the real binary: every answer is an error in words or the part
//! that can be read, within 5 s of CPU and 256 MiB more than a small image takes; no panic, no signal; and no file outside
//! the image's own folder is opened, which strace sees.
//!
//! `tests/python/mutate_tiffs.py` makes the mutants, the same ones each time: some here, 5,000 where `MICROTOME_DEEP` is set.

mod cli;

use cli::resumed::{has_strace, is_deep};
use cli::{Bench, repository};

#[test]
fn damaged_files_are_answered_soon_in_little_memory_and_lead_nowhere() {
    let Some(bench) = Bench::new() else { return };
    let count: u64 = if is_deep() { 5000 } else { 300 };
    let traces = has_strace("files that damaged images open");
    let folder = bench.path("mutants");
    std::fs::create_dir(&folder).unwrap();
    let binary = std::env::var("MICROTOME_BIN").unwrap();
    let (folder, count_text) = (folder.to_str().unwrap().to_owned(), count.to_string());
    let mut args = vec![binary, folder, count_text, "1".to_owned()];
    args.extend(valid());
    let Some(report) = bench.python("mutate_tiffs.py", &args.iter().map(String::as_str).collect::<Vec<_>>()) else {
        return;
    };
    println!("{report}");
    assert_eq!(report["faults"], serde_json::json!([]), "of {count} mutants");
    let kinds = report["mutants"].as_object().unwrap();
    assert_eq!((kinds.len(), kinds.values().filter_map(serde_json::Value::as_u64).sum()), (7, count));
    // Both answers are common, or the mutants would be of one kind.
    for answer in ["inspect 0", "inspect 4", "checksum 0", "checksum 4"] {
        assert!(report["answers"][answer].as_u64().unwrap_or(0) > count / 20, "{answer} of {}", report["answers"]);
    }
    assert!(!traces || report["traced"] == kinds["escape"], "{report}");
}

/// The bundled TIFFs, and those among the inputs for a fuzzer that have a name, one or more for each codec and layout.
fn valid() -> Vec<String> {
    let root = repository().join("fixtures");
    let bundled = cli::FIXTURES.iter().filter(|name| name.contains(".tif")).map(|name| root.join(name));
    let inputs = std::fs::read_dir(root.join("fuzz/open-and-read")).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = inputs.filter(|path| is_named(path)).collect();
    inputs.sort();
    let paths = bundled.chain(inputs);
    paths.map(|path| path.to_str().unwrap().to_owned()).collect()
}

/// Whether a file is called what it is, not by a hexadecimal number.
fn is_named(path: &std::path::Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    !(name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
