//! Pixel types, and the one macro that turns a type tag into a Rust type.

use std::fmt;
use std::str::FromStr;

use bytemuck::Pod;
use half::f16;
use num_complex::{Complex32, Complex64};
use serde::{Deserialize, Serialize};

use crate::ArrayError;

/// Type of one pixel value. Names are NumPy's. A `bool` is one byte, 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each name says its type")]
pub enum PixelType {
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F16,
    F32,
    F64,
    C64,
    C128,
}

impl PixelType {
    /// Every pixel type.
    pub const ALL: [PixelType; 14] = [
        PixelType::Bool,
        PixelType::U8,
        PixelType::U16,
        PixelType::U32,
        PixelType::U64,
        PixelType::I8,
        PixelType::I16,
        PixelType::I32,
        PixelType::I64,
        PixelType::F16,
        PixelType::F32,
        PixelType::F64,
        PixelType::C64,
        PixelType::C128,
    ];

    /// Size of one value in bytes.
    pub const fn size(self) -> usize {
        match self {
            PixelType::Bool | PixelType::U8 | PixelType::I8 => 1,
            PixelType::U16 | PixelType::I16 | PixelType::F16 => 2,
            PixelType::U32 | PixelType::I32 | PixelType::F32 => 4,
            PixelType::U64 | PixelType::I64 | PixelType::F64 | PixelType::C64 => 8,
            PixelType::C128 => 16,
        }
    }

    /// Size in bytes of what byte order applies to: the two parts of a complex number are ordered apart.
    pub const fn component_size(self) -> usize {
        match self {
            PixelType::C64 => 4,
            PixelType::C128 => 8,
            _ => self.size(),
        }
    }

    /// NumPy's name.
    pub const fn name(self) -> &'static str {
        match self {
            PixelType::Bool => "bool",
            PixelType::U8 => "uint8",
            PixelType::U16 => "uint16",
            PixelType::U32 => "uint32",
            PixelType::U64 => "uint64",
            PixelType::I8 => "int8",
            PixelType::I16 => "int16",
            PixelType::I32 => "int32",
            PixelType::I64 => "int64",
            PixelType::F16 => "float16",
            PixelType::F32 => "float32",
            PixelType::F64 => "float64",
            PixelType::C64 => "complex64",
            PixelType::C128 => "complex128",
        }
    }

    /// Whether this is a signed or unsigned integer (not `bool`).
    pub const fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// Whether this is one of uint8…uint64.
    pub const fn is_unsigned_integer(self) -> bool {
        matches!(self, PixelType::U8 | PixelType::U16 | PixelType::U32 | PixelType::U64)
    }

    /// Whether this is one of int8…int64.
    pub const fn is_signed_integer(self) -> bool {
        matches!(self, PixelType::I8 | PixelType::I16 | PixelType::I32 | PixelType::I64)
    }

    /// Whether this is one of float16…float64.
    pub const fn is_float(self) -> bool {
        matches!(self, PixelType::F16 | PixelType::F32 | PixelType::F64)
    }

    /// Whether this is complex64 or complex128.
    pub const fn is_complex(self) -> bool {
        matches!(self, PixelType::C64 | PixelType::C128)
    }
}

impl fmt::Display for PixelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PixelType {
    type Err = ArrayError;
    fn from_str(name: &str) -> Result<Self, ArrayError> {
        PixelType::ALL
            .into_iter()
            .find(|t| t.name() == name)
            .ok_or_else(|| ArrayError::UnknownPixelType { name: name.to_owned() })
    }
}

impl Serialize for PixelType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for PixelType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// A Rust type that pixels can be. `bool` pixels are viewed as `u8`.
pub trait Pixel: Pod + Send + Sync + PartialOrd + Default + fmt::Debug {
    /// The tag of this type.
    const TYPE: PixelType;
}

/// A complex number, which has no order, is a [`Pod`] but not a [`Pixel`] of ordered kernels; readers and copies use
/// bytes instead.
macro_rules! pixel {
    ($($rust:ty => $tag:ident),*) => {$(
        impl Pixel for $rust {
            const TYPE: PixelType = PixelType::$tag;
        }
    )*};
}
pixel!(u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
       f16 => F16, f32 => F32, f64 => F64);

/// Whether a view as `T` fits pixels of `tag`: the type itself, or `u8` for `bool`.
pub(crate) fn views_as<T: Pixel>(tag: PixelType) -> bool {
    T::TYPE == tag || (T::TYPE == PixelType::U8 && tag == PixelType::Bool)
}

/// Sizes of the complex types must be those of their tags.
const _: () = assert!(size_of::<Complex32>() == 8 && size_of::<Complex64>() == 16);

/// Runs an expression with a Rust type in the place of a [`PixelType`].
///
/// `dispatch!(tag, T => expr, else other)`: `T` is `u8` for `bool`; `other` is evaluated for the complex types.
///
/// # Examples
/// ```
/// use microtome_array::{dispatch, PixelType};
/// let size = |tag| dispatch!(tag, T => Some(size_of::<T>()), else None);
/// assert_eq!(size(PixelType::U16), Some(2));
/// assert_eq!(size(PixelType::C64), None);
/// ```
#[macro_export]
macro_rules! dispatch {
    ($tag:expr, $T:ident => $body:expr, else $other:expr) => {
        match $tag {
            $crate::PixelType::Bool | $crate::PixelType::U8 => {
                type $T = u8;
                $body
            }
            $crate::PixelType::U16 => {
                type $T = u16;
                $body
            }
            $crate::PixelType::U32 => {
                type $T = u32;
                $body
            }
            $crate::PixelType::U64 => {
                type $T = u64;
                $body
            }
            $crate::PixelType::I8 => {
                type $T = i8;
                $body
            }
            $crate::PixelType::I16 => {
                type $T = i16;
                $body
            }
            $crate::PixelType::I32 => {
                type $T = i32;
                $body
            }
            $crate::PixelType::I64 => {
                type $T = i64;
                $body
            }
            $crate::PixelType::F16 => {
                type $T = $crate::reexport::f16;
                $body
            }
            $crate::PixelType::F32 => {
                type $T = f32;
                $body
            }
            $crate::PixelType::F64 => {
                type $T = f64;
                $body
            }
            $crate::PixelType::C64 | $crate::PixelType::C128 => $other,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for tag in PixelType::ALL {
            assert_eq!(tag.name().parse::<PixelType>().unwrap(), tag);
        }
    }

    #[test]
    fn dispatch_gives_a_type_of_the_right_size() {
        for tag in PixelType::ALL {
            assert_eq!(dispatch!(tag, T => size_of::<T>(), else tag.size()), tag.size());
        }
    }
}
