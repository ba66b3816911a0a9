//! The program of libFuzzer: `MICROTOME_FUZZ_TARGET` names the target, everything else are libFuzzer's own arguments.
//!
//! Panics that are caught, as those of decoders of others are, end nothing; any other ends the program.
#![no_main]
#![expect(unsafe_code, reason = "the functions that libFuzzer calls have names of C; nothing else here")]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use microtome_fuzz::Target;

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("MICROTOME_FUZZ_TARGET").unwrap_or_default();
    Target::find(&name).unwrap_or_else(|| {
        let names: Vec<&str> = Target::all().iter().map(|target| target.name).collect();
        panic!("MICROTOME_FUZZ_TARGET is {name:?}, and none of {}", names.join(", "))
    })
}

fuzz_target!(
    init: {
        // libfuzzer-sys ends the program at every panic, also where one is caught: its hook is taken out again.
        drop(std::panic::take_hook());
        TARGET.get_or_init(target);
    },
    |bytes: &[u8]| { TARGET.get_or_init(target).run(bytes); }
);
