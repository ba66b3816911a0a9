//! The machine stops: a file system that forgets what was not brought to its disk, as it does without power.
//!
//! Other than killing a program, this tells whether bytes were synced before they were relied on: every unit that the journal
//! names must have its bytes afterwards. 3 moments here, 100 where `MICROTOME_DEEP` is set.

mod cli;

use std::path::Path;

use cli::resumed::{Subject, is_deep, records};
use cli::skip;

const MANY: &str = "--chunk-shape 1,1,1,80,96 --shard-shape none";
/// On one thread the journal of a TIFF has no holes, so that all that it names must be gone on from.
const TILES: &str = "--chunk-shape 1,1,1,64,64 --levels 2 --threads 1";

/// A file as an ext4 disk, which is shut down without writing anything more (`EXT4_IOC_SHUTDOWN`, `GOING_FLAGS_NOLOGFLUSH`), and
/// is looked at again.
const SCRIPT: &str = r#"
    image="$WORK.img"
    rm -f "$image"; truncate -s 64m "$image" && mkfs.ext4 -q "$image" && mount -o loop "$image" "$WORK" || exit 99
    CONVERT --durability "$DURABILITY" 2>/dev/null & convert=$!
    sleep "$TIME"
    python3 -c '
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack("I", 2))' "$WORK" || exit 98
    wait "$convert"
    umount "$WORK" && mount -o loop "$image" "$WORK" || exit 97
    rm -rf saved.journal saved; cp "$JOURNAL" saved.journal 2>/dev/null
    CONVERT --resume=verify --json || exit 96
    cp -a "$OUT" saved
    find "$WORK" -mindepth 1 -maxdepth 1 ! -name lost+found -printf "%f\n"
    umount "$WORK"; rm -f "$image"
"#;

#[test]
fn what_the_journal_names_is_there_when_the_machine_stopped() {
    stopped(Subject::new(MANY).as_ref());
}

#[test]
fn what_the_journal_of_a_tiff_names_is_there_when_the_machine_stopped() {
    stopped(Subject::named("out.ome.tif", TILES).as_ref());
}

fn stopped(subject: Option<&Subject>) {
    let Some(subject) = subject else { return };
    let start = std::time::Instant::now();
    assert!(subject.command(&["--quiet"]).status().unwrap().success());
    let whole = start.elapsed();
    subject.clear();
    let moments = if is_deep() { 100 } else { 3 };
    let mut kept = 0;
    for n in 0..moments {
        let time = whole.mul_f64((f64::from(n) + 0.7) / f64::from(moments)).as_secs_f64().to_string();
        let durability = ["batch", "unit"][n as usize % 2];
        let journal = subject.journal();
        let variables = [("TIME", &*time), ("DURABILITY", durability), ("JOURNAL", journal.to_str().unwrap())];
        let Some(ran) = subject.mounted("the machine stops", SCRIPT, &variables) else { return };
        if ran.code == 99 || ran.code == 98 {
            skip("the machine stops", "no ext4 can be made, mounted and shut down here");
            return;
        }
        let what = format!("stopped after {time} s of {whole:?}, durability {durability}");
        assert_eq!(ran.code, 0, "{what}: {}", ran.stderr);
        let mut lines = ran.stdout.lines();
        let report: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let resumed = report["units"]["resumed"].as_u64().unwrap();
        if report["tasks"]["planned"] != 0 {
            let named = records(&subject.bench.path("saved.journal"));
            assert_eq!(resumed, named, "{what}: all that the journal names proves to be right: {report}");
            kept += u64::from(resumed > 0);
        }
        assert_eq!(lines.collect::<Vec<_>>(), [subject.name], "{what}: nothing is left beside the output");
        std::fs::rename(subject.bench.path("saved"), subject.out()).unwrap();
        assert!(subject.is_published(&what));
        subject.clear();
        assert!(!Path::new(&format!("{}.img", subject.folder().display())).exists());
    }
    println!("{kept} of {moments} moments lay between the first unit and the last");
    assert!(kept > 0 || !is_deep());
}
