//! `lzma` of numcodecs: the formats xz, lzma and raw of liblzma, with the filters that Python names by number.

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};
use serde_json::Value;

use super::{Codec, Damage, Tools, integer};

/// The most a decoder may allocate: presets up to 9 ask for 65 MiB. Of a dictionary only what is written to becomes
/// resident, which is never more than the chunk.
const MOST_MEMORY: u64 = 80 << 20;
/// Largest dictionary of a raw stream, whose parameters stand in the metadata.
const MOST_DICTIONARY: u32 = 64 << 20;
/// Most filters that a stream may have.
const MOST_FILTERS: usize = 4;
/// What a decoder takes beside its dictionary, in round figures.
const DECODER: u64 = 256 << 10;

/// Python's `lzma.FORMAT_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Auto,
    Xz,
    Alone,
    Raw,
}

/// The codec.
#[derive(Debug)]
struct Lzma {
    format: Format,
    /// Of a raw stream, checked when the codec was made.
    filters: Vec<Filter>,
}

/// Python's `lzma.FILTER_*`.
#[derive(Clone, Copy, Debug)]
enum Filter {
    Delta { distance: u32 },
    Lzma1 { preset: u32, dictionary: Option<u32>, lc: Option<u32>, lp: Option<u32>, pb: Option<u32> },
    Lzma2 { preset: u32, dictionary: Option<u32> },
    X86,
}

pub(super) fn build(_element: usize, parameters: &Value) -> Result<Box<dyn Codec>, String> {
    let format = match integer(parameters, "format").unwrap_or(1) {
        0 => Format::Auto,
        1 => Format::Xz,
        2 => Format::Alone,
        3 => Format::Raw,
        other => return Err(format!("lzma of format {other}")),
    };
    let list = parameters.get("filters").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let filters = if format == Format::Raw { list } else { &[] };
    if filters.len() > MOST_FILTERS || (format == Format::Raw && filters.is_empty()) {
        return Err(format!("raw lzma with {} filters", filters.len()));
    }
    let filters = filters.iter().map(filter).collect::<Result<_, _>>()?;
    Ok(Box::new(Lzma { format, filters }))
}

fn filter(value: &Value) -> Result<Filter, String> {
    let number = |key: &str| integer(value, key).and_then(|n| u32::try_from(n).ok());
    let (preset, dictionary) = (number("preset").unwrap_or(6), number("dict_size"));
    if preset & 0x1f > 9 || dictionary.is_some_and(|bytes| bytes > MOST_DICTIONARY) {
        return Err(format!("lzma of preset {preset} with a dictionary of {dictionary:?} bytes"));
    }
    match integer(value, "id") {
        Some(3) => Ok(Filter::Delta { distance: number("dist").unwrap_or(1) }),
        Some(4) => Ok(Filter::X86),
        Some(0x21) => Ok(Filter::Lzma2 { preset, dictionary }),
        Some(0x4000_0000_0000_0001) => {
            Ok(Filter::Lzma1 { preset, dictionary, lc: number("lc"), lp: number("lp"), pb: number("pb") })
        }
        id => Err(format!("the lzma filter {id:?}")),
    }
}

fn damage(why: impl ToString) -> Damage {
    Damage::Codec { codec: "lzma", why: why.to_string() }
}

impl Lzma {
    fn stream(&self) -> Result<Stream, Damage> {
        match self.format {
            Format::Auto => Stream::new_auto_decoder(MOST_MEMORY, 0),
            Format::Xz => Stream::new_stream_decoder(MOST_MEMORY, 0),
            Format::Alone => Stream::new_lzma_decoder(MOST_MEMORY),
            Format::Raw => Stream::new_raw_decoder(&self.raw_filters()?),
        }
        .map_err(damage)
    }

    fn raw_filters(&self) -> Result<Filters, Damage> {
        let mut all = Filters::new();
        for filter in &self.filters {
            match *filter {
                Filter::Delta { distance } => {
                    let distance = u8::try_from(distance.clamp(1, 256) - 1).unwrap_or(u8::MAX);
                    all.delta_properties(&[distance]).map_err(damage)?;
                }
                Filter::X86 => drop(all.x86()),
                Filter::Lzma1 { preset, dictionary, lc, lp, pb } => {
                    let mut options = options(preset, dictionary)?;
                    lc.map(|n| options.literal_context_bits(n));
                    lp.map(|n| options.literal_position_bits(n));
                    pb.map(|n| options.position_bits(n));
                    all.lzma1(&options);
                }
                Filter::Lzma2 { preset, dictionary } => drop(all.lzma2(&options(preset, dictionary)?)),
            }
        }
        Ok(all)
    }
}

fn options(preset: u32, dictionary: Option<u32>) -> Result<LzmaOptions, Damage> {
    let mut options = LzmaOptions::new_preset(preset).map_err(damage)?;
    if let Some(bytes) = dictionary {
        options.dict_size(bytes);
    }
    Ok(options)
}

impl Codec for Lzma {
    fn name(&self) -> String {
        "lzma".to_owned()
    }

    fn most_encoded(&self, decoded: u64) -> u64 {
        decoded + decoded / 8 + 1024
    }

    /// The dictionary as far as it is filled.
    fn work_bytes(&self, decoded: u64) -> u64 {
        decoded.min(MOST_MEMORY) + DECODER
    }

    fn decode(&self, encoded: &[u8], out: &mut [u8], _tools: &mut Tools) -> Result<usize, Damage> {
        let mut stream = self.stream()?;
        // A chunk of more than `out` ends in the spare byte.
        let mut spare = [0];
        loop {
            let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
            let (target, action) = (out.get_mut(written..).filter(|rest| !rest.is_empty()), Action::Finish);
            let ended = match target {
                Some(rest) => stream.process(&encoded[read..], rest, action),
                None => stream.process(&encoded[read..], &mut spare, action),
            }
            .map_err(damage)?;
            let now = stream.total_out() as usize;
            if now > out.len() {
                return Err(damage(format_args!("decodes to more than the {} bytes expected", out.len())));
            }
            if ended == Status::StreamEnd || (self.format == Format::Raw && now == out.len() && now == written) {
                return Ok(now);
            }
            if (read, written) == (stream.total_in() as usize, now) {
                return Err(damage(format_args!("the data end after {now} bytes")));
            }
        }
    }
}
