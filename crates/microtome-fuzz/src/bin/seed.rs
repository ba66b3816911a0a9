//! Makes inputs of files: `seed FOLDER FILE.tif…` adds each file to the targets of files under FOLDER, and its first strip
//! or tile to the target of its codec.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use microtome_fuzz::codec_seed;
use microtome_tiff::bare::Strip;

/// Files larger than this are left out: a fuzzer is the faster the smaller its inputs are.
const MOST: usize = 4 << 10;

fn main() -> ExitCode {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(folder) = paths.next() else { return ExitCode::from(2) };
    let failed = paths.filter(|file| add(&folder, file).is_none()).count();
    ExitCode::from(u8::from(failed > 0))
}

fn add(folder: &Path, file: &Path) -> Option<()> {
    let name = file.file_stem()?.to_str()?;
    let bytes = std::fs::read(file).ok()?;
    if bytes.len() <= MOST {
        keep(folder, "pages", name, &bytes)?;
        keep(folder, "open-and-read", name, &bytes)?;
    }
    if let Ok((strip, stream)) = Strip::first_of(file)
        && let Some((target, seed)) = codec_seed(&strip, &stream)
        && seed.len() <= MOST
    {
        keep(folder, target, name, &seed)?;
    }
    Some(())
}

fn keep(folder: &Path, target: &str, name: &str, bytes: &[u8]) -> Option<()> {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder).ok()?;
    std::fs::write(folder.join(name), bytes).ok()
}
