//! Constant tensors: raw, typed or in a file beside the model; as little-endian bytes of our types.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::file::{TensorFile, malformed};
use super::schema::{self, tensor as number};
use crate::data::DType;
use crate::engine::native::graph::width;
use crate::engine::native::limits::{ARENA_MAX, Budget, RANK_MAX};
use crate::engine::native::protobuf::{Message, Scalar};
use crate::engine::{EngineError, EngineKind};

/// A constant: type, shape and elements.
#[derive(Clone, Debug)]
pub(super) struct Constant<'a> {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    /// Exactly as many as the shape says. Borrowed where the file has them as they are.
    pub(super) data: Cow<'a, [u8]>,
}

/// What the file says of a tensor besides its elements.
#[derive(Clone, Debug, Default)]
struct Header<'a> {
    data_type: i64,
    dims: Vec<usize>,
    raw: Option<&'a [u8]>,
    external: bool,
    location: Option<&'a str>,
    offset: u64,
    length: Option<u64>,
}

impl<'a> TensorFile<'a> {
    /// Decodes the tensor; `folder` is where the model lies, for elements in a file of their own.
    pub(super) fn decode(
        &self,
        folder: Option<&Path>,
        budget: &Budget,
    ) -> Result<Constant<'a>, EngineError> {
        self.decode_inner(folder, budget).map_err(|error| match error {
            EngineError::Malformed { format, why } => {
                EngineError::Malformed { format, why: format!("{}: {why}", self.shown()) }
            }
            other => other,
        })
    }

    fn shown(&self) -> String {
        let name: String = self.name.chars().take(100).collect();
        format!("tensor \"{}\"", name.escape_debug())
    }

    fn refuse(&self, why: String) -> EngineError {
        EngineError::Unsupported {
            engine: EngineKind::Native,
            node: self.shown(),
            op: "initializer".to_owned(),
            why,
        }
    }

    fn decode_inner(
        &self,
        folder: Option<&Path>,
        budget: &Budget,
    ) -> Result<Constant<'a>, EngineError> {
        let header = self.header()?;
        let Some(dtype) = schema::dtype(header.data_type) else {
            return Err(self.refuse(format!("element type number {}", header.data_type)));
        };
        let elements = header.dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        let bytes = elements.and_then(|n| n.checked_mul(width(dtype)?));
        let bytes = bytes.filter(|&bytes| bytes <= ARENA_MAX).ok_or_else(|| {
            let (what, limit) = ("one tensor", ARENA_MAX);
            EngineError::TooLarge { what, needed: usize::MAX, limit }
        })?;
        let elements = elements.unwrap_or_default();
        let data = if header.external {
            let raw = bytes / width(dtype).unwrap_or(1) * stored_width(header.data_type);
            budget.take(raw)?;
            widen(header.data_type, Cow::Owned(self.external(&header, folder, raw)?), budget)?
        } else if let Some(raw) = header.raw {
            widen(header.data_type, Cow::Borrowed(raw), budget)?
        } else {
            typed(header.data_type, &self.message, elements, budget)?
        };
        if data.len() != bytes {
            let dims = &header.dims;
            return Err(malformed(format!("{} bytes of elements for shape {dims:?}", data.len())));
        }
        Ok(Constant { dtype, shape: header.dims, data })
    }

    /// Bytes of elements that lie in the model's own file.
    pub(super) fn stored_bytes(&self) -> usize {
        let fields = self.message.fields().flatten();
        let data = fields.filter(|field| {
            use number::{DOUBLE_DATA, FLOAT_DATA, INT32_DATA, INT64_DATA, RAW_DATA, UINT64_DATA};
            let number = field.number;
            [RAW_DATA, FLOAT_DATA, INT32_DATA, INT64_DATA, DOUBLE_DATA, UINT64_DATA]
                .contains(&number)
        });
        data.map(|field| field.bytes().map_or(8, <[u8]>::len)).fold(0, usize::saturating_add)
    }

    fn header(&self) -> Result<Header<'a>, EngineError> {
        let mut header = Header::default();
        for dim in self.message.scalars::<i64>(number::DIMS) {
            let dim = dim?;
            let dim = usize::try_from(dim).map_err(|_| malformed(format!("a dimension of {dim}")));
            header.dims.push(dim?);
            if header.dims.len() > RANK_MAX {
                return Err(malformed(format!("it has more than {RANK_MAX} dimensions")));
            }
        }
        for field in self.message.fields() {
            let field = field?;
            match field.number {
                number::DATA_TYPE => header.data_type = field.int()?,
                number::RAW_DATA => header.raw = Some(field.bytes()?),
                number::DATA_LOCATION => header.external = field.int()? == 1,
                number::SEGMENT => return Err(malformed("it is a segment of a tensor")),
                number::EXTERNAL_DATA => {
                    let (key, value) = entry(field.message()?)?;
                    let place = || {
                        let what = format!("external data at {key} \"{}\"", value.escape_debug());
                        value.parse::<u64>().map_err(|_| malformed(what))
                    };
                    match key {
                        "location" => header.location = Some(value),
                        "offset" => header.offset = place()?,
                        "length" => header.length = Some(place()?),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(header)
    }

    /// `len` bytes of the file that the tensor names, which has to lie in `folder`.
    fn external(
        &self,
        header: &Header<'_>,
        folder: Option<&Path>,
        len: usize,
    ) -> Result<Vec<u8>, EngineError> {
        let Some(folder) = folder else {
            let why = "its values are in another file: load the model from its folder, or save it \
                       as one file";
            return Err(self.refuse(why.to_owned()));
        };
        let location = header.location.ok_or_else(|| malformed("external data without a file"))?;
        let path = inside(folder, location)?;
        let unreadable = |error: std::io::Error| {
            malformed(format!("cannot read external data in {}: {error}", path.display()))
        };
        if header.length.is_some_and(|length| length != len as u64) {
            let length = header.length.unwrap_or_default();
            return Err(malformed(format!("{length} bytes of external data instead of {len}")));
        }
        let mut file = File::open(&path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let end = header.offset.checked_add(len as u64);
        if end.is_none_or(|end| end > size) {
            return Err(malformed(format!(
                "{} has {size} bytes; {len} at {} are asked for",
                path.display(),
                header.offset
            )));
        }
        let mut data = vec![0; len];
        file.seek(SeekFrom::Start(header.offset)).map_err(unreadable)?;
        file.read_exact(&mut data).map_err(unreadable)?;
        Ok(data)
    }
}

/// The regular file `location` in `folder`; nothing that leads out of it, by name or by link.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, EngineError> {
    let shown = location.escape_debug();
    let outside =
        || malformed(format!("external data \"{shown}\" is not below the model's folder"));
    let relative = Path::new(location);
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || location.contains(['\\', '\0']) || !relative.components().all(plain) {
        return Err(outside());
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let missing = |error: std::io::Error| malformed(format!("external data \"{shown}\": {error}"));
    let path = folder.join(relative).canonicalize().map_err(missing)?;
    if !path.starts_with(folder.canonicalize().map_err(missing)?) {
        return Err(outside());
    }
    // Opening a pipe would wait for its other end.
    if !fs::metadata(&path).map_err(missing)?.is_file() {
        return Err(malformed(format!("external data \"{shown}\" is not a file")));
    }
    Ok(path)
}

fn entry(message: Message<'_>) -> Result<(&str, &str), EngineError> {
    let (mut key, mut value) = ("", "");
    for field in message.fields() {
        let field = field?;
        match field.number {
            schema::entry::KEY => key = field.text()?,
            schema::entry::VALUE => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Bytes of one element in raw and external data.
fn stored_width(data_type: i64) -> usize {
    match data_type {
        schema::UINT8 | schema::INT8 | schema::BOOL => 1,
        schema::UINT16 | schema::INT16 | schema::FLOAT16 | schema::BFLOAT16 => 2,
        schema::FLOAT | schema::INT32 | schema::UINT32 => 4,
        _ => 8,
    }
}

/// Raw elements in our type for them.
fn widen<'a>(
    data_type: i64,
    raw: Cow<'a, [u8]>,
    budget: &Budget,
) -> Result<Cow<'a, [u8]>, EngineError> {
    let grown = |factor: usize| budget.take(raw.len().saturating_mul(factor));
    let halves = || raw.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    let data: Vec<u8> = match data_type {
        schema::FLOAT16 => {
            grown(2)?;
            halves().flat_map(|bits| half(bits).to_le_bytes()).collect()
        }
        schema::BFLOAT16 => {
            grown(2)?;
            halves().flat_map(|bits| (u32::from(bits) << 16).to_le_bytes()).collect()
        }
        schema::UINT16 => {
            grown(2)?;
            halves().flat_map(|value| i32::from(value).to_le_bytes()).collect()
        }
        schema::UINT32 => {
            grown(2)?;
            let words = raw.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
            words.flat_map(|value| i64::from(value).to_le_bytes()).collect()
        }
        schema::UINT64 if raw.as_chunks::<8>().0.iter().any(|bytes| bytes[7] > 0x7f) => {
            return Err(malformed("an element beyond 2^63"));
        }
        schema::BOOL if raw.iter().any(|&byte| byte > 1) => {
            return Err(malformed("a truth value that is neither 0 nor 1"));
        }
        _ => return Ok(raw),
    };
    Ok(Cow::Owned(data))
}

/// Elements in the fields for single types; at most `elements` are read.
fn typed<'a>(
    data_type: i64,
    message: &Message<'a>,
    elements: usize,
    budget: &Budget,
) -> Result<Cow<'a, [u8]>, EngineError> {
    // Lie in the file as they lie in memory.
    let fixed = match data_type {
        schema::FLOAT => Some(number::FLOAT_DATA),
        schema::DOUBLE => Some(number::DOUBLE_DATA),
        _ => None,
    };
    if let Some(packed) = fixed.map(|number| message.packed(number)).transpose()?.flatten() {
        return Ok(Cow::Borrowed(packed));
    }
    budget.take(elements.saturating_mul(8))?;
    let from = Typed { message, elements };
    let narrow = |value: i64| malformed(format!("an element of {value} in a smaller type"));
    macro_rules! integers {
        ($number:ident, $stored:ty, $ours:ty) => {
            from.each::<i64>(number::$number, |value, data| {
                let value = <$stored>::try_from(value).map_err(|_| narrow(value))?;
                data.extend(<$ours>::from(value).to_le_bytes());
                Ok(())
            })?
        };
    }
    let data = match data_type {
        schema::FLOAT => from.each::<f32>(number::FLOAT_DATA, |value, data| {
            data.extend(value.to_le_bytes());
            Ok(())
        })?,
        schema::DOUBLE => from.each::<f64>(number::DOUBLE_DATA, |value, data| {
            data.extend(value.to_le_bytes());
            Ok(())
        })?,
        schema::INT8 => integers!(INT32_DATA, i8, i8),
        schema::UINT8 => integers!(INT32_DATA, u8, u8),
        schema::INT16 => integers!(INT32_DATA, i16, i16),
        schema::UINT16 => integers!(INT32_DATA, u16, i32),
        schema::INT32 => integers!(INT32_DATA, i32, i32),
        schema::INT64 => integers!(INT64_DATA, i64, i64),
        schema::UINT32 => integers!(UINT64_DATA, u32, i64),
        schema::UINT64 => integers!(UINT64_DATA, i64, i64),
        schema::BOOL => from.each::<i64>(number::INT32_DATA, |value, data| {
            data.push(u8::from(value != 0));
            Ok(())
        })?,
        // Their bits, in a wider integer.
        schema::FLOAT16 => from.each::<i64>(number::INT32_DATA, |value, data| {
            let bits = u16::try_from(value).map_err(|_| narrow(value))?;
            data.extend(half(bits).to_le_bytes());
            Ok(())
        })?,
        schema::BFLOAT16 => from.each::<i64>(number::INT32_DATA, |value, data| {
            let bits = u16::try_from(value).map_err(|_| narrow(value))?;
            data.extend((u32::from(bits) << 16).to_le_bytes());
            Ok(())
        })?,
        other => return Err(malformed(format!("element type number {other}"))),
    };
    Ok(Cow::Owned(data))
}

struct Typed<'a, 'b> {
    message: &'b Message<'a>,
    elements: usize,
}

impl Typed<'_, '_> {
    fn each<T: Scalar>(
        &self,
        number: u32,
        mut push: impl FnMut(T, &mut Vec<u8>) -> Result<(), EngineError>,
    ) -> Result<Vec<u8>, EngineError> {
        let mut data = Vec::new();
        let mut count = 0usize;
        for value in self.message.scalars::<T>(number) {
            count += 1;
            if count > self.elements {
                return Err(malformed(format!("more elements than the {} stated", self.elements)));
            }
            push(value?, &mut data)?;
        }
        Ok(data)
    }
}

/// The value of a 16-bit float. Source: IEEE 754-2019, binary16.
fn half(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let magnitude = match exponent {
        // Steps of 2^-24.
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `TensorProto` of `fields`: tag bytes and contents already encoded.
    fn decode(fields: &[u8], folder: Option<&Path>) -> Result<Constant<'static>, EngineError> {
        let file = TensorFile::read(Message::root(fields))?;
        let constant = file.decode(folder, &Budget::default())?;
        let Constant { dtype, shape, data } = constant;
        Ok(Constant { dtype, shape, data: Cow::Owned(data.into_owned()) })
    }

    fn text(number: u8, text: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, text.len() as u8], text].concat()
    }

    fn external(location: &str, offset: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            text(13, &[text(1, key.as_bytes()), text(2, value.as_bytes())].concat())
        };
        // dims [2], int16, external.
        let head = vec![0x08, 2, 0x10, 5, 0x70, 1];
        [head, entry("location", location), entry("offset", offset)].concat()
    }

    #[test]
    fn raw_and_typed_elements_are_the_same() {
        let raw = decode(&[0x08, 2, 0x10, 6, 0x4a, 8, 1, 0, 0, 0, 255, 255, 255, 255], None);
        let mut typed = vec![0x08, 2, 0x10, 6, 0x2a, 11, 1];
        typed.extend([0xff; 9]);
        typed.push(1);
        let (raw, typed) = (raw.unwrap(), decode(&typed, None).unwrap());
        assert_eq!((raw.dtype, &raw.shape), (DType::I32, &vec![2]));
        assert_eq!(raw.data, typed.data);
        assert!(decode(&[0x08, 3, 0x10, 6, 0x4a, 4, 1, 0, 0, 0], None).is_err());
        assert!(decode(&[0x08, 1, 0x10, 3, 0x2a, 2, 0xc8, 1], None).is_err(), "200 is no int8");
    }

    #[test]
    fn sixteen_bit_floats_have_their_values() {
        let cases = [0x3c00, 0xc000, 0x0001, 0x7bff, 0x0400, 0x8000].map(half);
        assert_eq!(cases, [1.0, -2.0, 5.960_464_5e-8, 65504.0, 6.103_515_6e-5, -0.0]);
        assert!(half(0x7c00).is_infinite() && half(0x7e00).is_nan());
    }

    #[test]
    fn a_shape_beyond_every_memory_is_refused() {
        let mut huge = vec![];
        for _ in 0..4 {
            huge.extend([0x08, 0xff, 0xff, 0xff, 0xff, 0x07]);
        }
        huge.extend([0x10, 1]);
        assert!(matches!(decode(&huge, None), Err(EngineError::TooLarge { .. })));
    }

    #[test]
    fn external_data_is_read_from_the_models_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("model");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(inner.join("w.bin"), [9, 1, 0, 2, 0]).unwrap();
        std::fs::write(folder.path().join("secret"), [0; 9]).unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inner.join("link")).unwrap();
        let at = |location: &str, offset: &str| decode(&external(location, offset), Some(&inner));
        assert_eq!(at("w.bin", "1").unwrap().data[..], [1, 0, 2, 0]);
        for (location, offset, why) in [
            ("w.bin", "2", "has 5 bytes; 4 at 2"),
            ("w.bin", "18446744073709551615", "has 5 bytes"),
            ("../secret", "0", "not below"),
            ("/etc/passwd", "0", "not below"),
            ("link", "0", "not below"),
            (".", "0", "not a file"),
            ("none", "0", "external data \"none\""),
            ("w.bin", "-1", "at offset"),
        ] {
            let error = at(location, offset).unwrap_err().to_string();
            assert!(error.contains(why), "{location}: {error}");
        }
        let error = decode(&external("w.bin", "1"), None).unwrap_err().to_string();
        assert!(error.contains("load the model from its folder"), "{error}");
    }
}
