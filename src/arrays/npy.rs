//! The `.npy` format. Source: NumPy Enhancement Proposal 1 and `numpy/lib/format.py`, versions 1 to 3.

use crate::data::{DType, Tensor, TensorData};

/// How every `.npy` file begins; two version bytes follow.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes a header may have; NumPy's own limit is 10,000.
const HEADER_BYTES_MAX: usize = 1 << 16;

/// Why bytes are not an array, or not one that we can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NpyError {
    /// The header breaks the format's rules.
    #[error("damaged .npy header: {why}")]
    Header {
        /// What was expected.
        why: &'static str,
    },
    /// An element type without a counterpart here.
    #[error("elements of type {descr} are not read: {why}")]
    DType {
        /// NumPy's description, as in `<c16`.
        descr: String,
        /// What to do instead.
        why: &'static str,
    },
    /// The file ends early or goes on after the array.
    #[error("shape {shape:?} of {descr} needs {needed} bytes, the file has {found}")]
    Length {
        /// The header's shape.
        shape: Vec<usize>,
        /// The header's type.
        descr: String,
        /// Bytes that the shape needs.
        needed: usize,
        /// Bytes after the header.
        found: usize,
    },
    /// The shape's product is beyond any memory.
    #[error("shape {shape:?} is too large")]
    Shape {
        /// The header's shape.
        shape: Vec<usize>,
    },
    /// One element cannot be held.
    #[error("element {index} {why}")]
    Element {
        /// Place in C order.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A `.npy` file's array.
///
/// # Errors
/// Says what is damaged, or which type has no counterpart.
pub fn decode(bytes: &[u8]) -> Result<Tensor, NpyError> {
    let (header, data) = header(bytes)?;
    let Header { descr, fortran_order, shape } = header;
    let (order, kind) = split_descr(&descr)?;
    let too_large = || NpyError::Shape { shape: shape.clone() };
    let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(too_large)?;
    let needed = count.checked_mul(kind.size).ok_or_else(too_large)?;
    if needed != data.len() || (kind.size == 0 && count > 1) {
        return Err(NpyError::Length { shape, descr, needed, found: data.len() });
    }
    let reordered;
    let data = if fortran_order && shape.len() > 1 {
        reordered = c_order(data, kind.size, &shape);
        &reordered
    } else {
        data
    };
    let values = elements(&descr, kind, order == '>', data, count)?;
    Tensor::new(shape.clone(), values).map_err(|_| too_large())
}

/// The array as a `.npy` file: version 1, little-endian, C order.
pub fn encode(tensor: &Tensor) -> Vec<u8> {
    let (descr, data) = match tensor.data() {
        TensorData::F32(v) => ("<f4".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::F64(v) => ("<f8".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::I8(v) => ("|i1".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::U8(v) => ("|u1".to_owned(), v.clone()),
        TensorData::I16(v) => ("<i2".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::I32(v) => ("<i4".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::I64(v) => ("<i8".to_owned(), bytes_of(v, |x| x.to_le_bytes())),
        TensorData::Bool(v) => ("|b1".to_owned(), bytes_of(v, |x| [u8::from(x)])),
        TensorData::Str(v) => {
            let width = v.iter().map(|s| s.chars().count()).max().unwrap_or(0).max(1);
            let mut data = Vec::with_capacity(v.len() * width * 4);
            for text in v {
                let end = data.len() + width * 4;
                data.extend(text.chars().flat_map(|c| u32::from(c).to_le_bytes()));
                data.resize(end, 0);
            }
            (format!("<U{width}"), data)
        }
    };
    let shape: String = tensor.shape().iter().map(|d| format!("{d}, ")).collect();
    let shape =
        if tensor.shape().len() == 1 { shape.trim_end() } else { shape.trim_end_matches(", ") };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // The data begins at a multiple of 64, so that it can be mapped.
    let padding = 64 - (MAGIC.len() + 4 + header.len() + 1) % 64;
    header.extend(std::iter::repeat_n(' ', padding % 64));
    header.push('\n');
    let length = u16::try_from(header.len()).expect("a shape's few numbers fit into 64 KiB");
    [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), &data].concat()
}

/// The header's three entries.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

fn header(bytes: &[u8]) -> Result<(Header, &[u8]), NpyError> {
    let broken = |why| NpyError::Header { why };
    let rest = bytes.strip_prefix(MAGIC).ok_or(broken("does not begin with \\x93NUMPY"))?;
    let ([major, _minor], rest) = rest
        .split_first_chunk()
        .map(|(&version, rest)| (version, rest))
        .ok_or(broken("no version"))?;
    let short = broken("ends within the header");
    let (length, rest) = match major {
        1 => match rest.split_first_chunk() {
            Some((&length, rest)) => (usize::from(u16::from_le_bytes(length)), rest),
            None => return Err(short),
        },
        2 | 3 => match rest.split_first_chunk() {
            Some((&length, rest)) => (u32::from_le_bytes(length) as usize, rest),
            None => return Err(short),
        },
        _ => return Err(broken("is of a version other than 1, 2 or 3")),
    };
    if length > HEADER_BYTES_MAX {
        return Err(broken("is longer than 64 KiB"));
    }
    let (text, data) = rest.split_at_checked(length).ok_or(short)?;
    let text = std::str::from_utf8(text).map_err(|_| broken("is not UTF-8"))?;
    Ok((Scan { rest: text }.header()?, data))
}

/// Reads the Python literal that a header is: a dict of a string, a bool and a tuple of numbers.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn header(mut self) -> Result<Header, NpyError> {
        let missing = |why| NpyError::Header { why };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect("{", "is not a Python dict")?;
        while !self.eat("}") {
            let key = self.string()?;
            self.expect(":", "has a key without a value")?;
            match key {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran_order = Some(self.bool()?),
                "shape" => shape = Some(self.shape()?),
                _ => return Err(missing("has a key other than descr, fortran_order and shape")),
            }
            if !self.eat(",") {
                self.expect("}", "is not a Python dict")?;
                break;
            }
        }
        Ok(Header {
            descr: descr.ok_or(missing("lacks descr"))?,
            fortran_order: fortran_order.ok_or(missing("lacks fortran_order"))?,
            shape: shape.ok_or(missing("lacks shape"))?,
        })
    }

    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(token) else { return false };
        self.rest = rest;
        true
    }

    fn expect(&mut self, token: &str, why: &'static str) -> Result<(), NpyError> {
        if self.eat(token) { Ok(()) } else { Err(NpyError::Header { why }) }
    }

    fn string(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.eat("'") { '\'' } else { '"' };
        let why = "has a key or a type that is not a string";
        if quote == '"' {
            self.expect("\"", why)?;
        }
        let (text, rest) = self.rest.split_once(quote).ok_or(NpyError::Header { why })?;
        self.rest = rest;
        Ok(text)
    }

    fn descr(&mut self) -> Result<String, NpyError> {
        if self.eat("[") {
            let why = "save each field as an array of its own";
            return Err(NpyError::DType { descr: "record".into(), why });
        }
        self.string().map(str::to_owned)
    }

    fn bool(&mut self) -> Result<bool, NpyError> {
        if self.eat("True") {
            return Ok(true);
        }
        self.expect("False", "says neither True nor False for fortran_order")?;
        Ok(false)
    }

    fn shape(&mut self) -> Result<Vec<usize>, NpyError> {
        let why = "has a shape that is not a tuple of numbers";
        self.expect("(", why)?;
        let mut shape = Vec::new();
        while !self.eat(")") {
            self.rest = self.rest.trim_start();
            let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = self.rest.split_at(digits);
            shape.push(number.parse().map_err(|_| NpyError::Header { why })?);
            self.rest = rest;
            self.eat("L"); // Python 2's long
            if !self.eat(",") {
                self.expect(")", why)?;
                break;
            }
        }
        Ok(shape)
    }
}

/// NumPy's kind letter, and bytes of one element.
#[derive(Clone, Copy)]
struct Kind {
    letter: char,
    size: usize,
    dtype: DType,
}

/// Splits `<f4` into byte order and kind.
fn split_descr(descr: &str) -> Result<(char, Kind), NpyError> {
    let refuse = |why| NpyError::DType { descr: descr.into(), why };
    let mut chars = descr.chars();
    let (order, letter) = match (chars.next(), chars.next()) {
        (Some(order @ ('<' | '>' | '|' | '=')), Some(letter)) => (order, letter),
        _ => return Err(refuse("it is not one of NumPy's")),
    };
    let width: usize = match (letter, chars.as_str().parse()) {
        ('O', _) => return Err(refuse("Python objects are code; save numbers or strings")),
        ('M' | 'm', _) => return Err(refuse("save times as numbers")),
        (_, Ok(width)) => width,
        (_, Err(_)) => return Err(refuse("it is not one of NumPy's")),
    };
    let dtype = match (letter, width) {
        ('f', 2 | 4) => DType::F32,
        ('f', 8) => DType::F64,
        ('i', 1) => DType::I8,
        ('u', 1) => DType::U8,
        ('i', 2) => DType::I16,
        ('i', 4) | ('u', 2) => DType::I32,
        ('i', 8) | ('u', 4 | 8) => DType::I64,
        ('b', 1) => DType::Bool,
        ('U' | 'S', _) => DType::Str,
        ('c', _) => return Err(refuse("save real and imaginary parts as two arrays")),
        _ => return Err(refuse("save them as another type, such as float64 or int64")),
    };
    let unit = if letter == 'U' { 4 } else { 1 };
    let size = width.checked_mul(unit).ok_or_else(|| refuse("its strings are too long"))?;
    Ok((order, Kind { letter, size, dtype }))
}

fn elements(
    descr: &str,
    kind: Kind,
    big: bool,
    data: &[u8],
    count: usize,
) -> Result<TensorData, NpyError> {
    Ok(match (kind.dtype, kind.letter, kind.size) {
        (DType::F32, _, 2) => {
            TensorData::F32(values(data, big, |b| half_to_f32(u16::from_le_bytes(b))))
        }
        (DType::F32, ..) => TensorData::F32(values(data, big, f32::from_le_bytes)),
        (DType::F64, ..) => TensorData::F64(values(data, big, f64::from_le_bytes)),
        (DType::I8, ..) => TensorData::I8(values(data, big, i8::from_le_bytes)),
        (DType::U8, ..) => TensorData::U8(data.to_vec()),
        (DType::I16, ..) => TensorData::I16(values(data, big, i16::from_le_bytes)),
        (DType::I32, 'u', _) => {
            TensorData::I32(values(data, big, |b| i32::from(u16::from_le_bytes(b))))
        }
        (DType::I32, ..) => TensorData::I32(values(data, big, i32::from_le_bytes)),
        (DType::I64, 'u', 4) => {
            TensorData::I64(values(data, big, |b| i64::from(u32::from_le_bytes(b))))
        }
        (DType::I64, 'u', _) => {
            let wide = values(data, big, u64::from_le_bytes);
            let narrow = wide.iter().map(|&v| i64::try_from(v)).collect::<Result<_, _>>();
            TensorData::I64(narrow.map_err(|_| NpyError::DType {
                descr: descr.into(),
                why: "a value is above the largest int64",
            })?)
        }
        (DType::I64, ..) => TensorData::I64(values(data, big, i64::from_le_bytes)),
        (DType::Bool, ..) => TensorData::Bool(data.iter().map(|&b| b != 0).collect()),
        (DType::Str, _, 0) => TensorData::Str(vec![String::new(); count]),
        (DType::Str, letter, size) => {
            let texts = data.chunks_exact(size).enumerate();
            let texts = texts.map(|(index, raw)| {
                let text = if letter == 'U' { utf32(raw, big) } else { bytes_text(raw) };
                text.ok_or(NpyError::Element { index, why: "is not a Unicode string" })
            });
            TensorData::Str(texts.collect::<Result<_, _>>()?)
        }
    })
}

fn values<const N: usize, T>(data: &[u8], big: bool, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = data.as_chunks::<N>();
    let each = chunks.iter().map(|&chunk| {
        let mut chunk = chunk;
        if big {
            chunk.reverse();
        }
        read(chunk)
    });
    each.collect()
}

fn bytes_of<T: Copy, const N: usize>(values: &[T], write: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&value| write(value)).collect()
}

/// IEEE 754 binary16 to binary32; every value has an exact counterpart.
fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let mantissa = f32::from(half & 0x3ff);
    sign * match half >> 10 & 0x1f {
        0 => mantissa * 2f32.powi(-24),
        0x1f if mantissa == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        exponent => (1024.0 + mantissa) * 2f32.powi(i32::from(exponent) - 25),
    }
}

fn utf32(raw: &[u8], big: bool) -> Option<String> {
    let codes = values(raw, big, u32::from_le_bytes);
    let end = codes.iter().rposition(|&code| code != 0).map_or(0, |last| last + 1);
    codes[..end].iter().map(|&code| char::from_u32(code)).collect()
}

fn bytes_text(raw: &[u8]) -> Option<String> {
    let end = raw.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    std::str::from_utf8(&raw[..end]).ok().map(str::to_owned)
}

/// Moves elements of `size` bytes from Fortran order (first index fastest) to C order.
fn c_order(data: &[u8], size: usize, shape: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut index = vec![0usize; shape.len()];
    let mut strides = vec![1usize; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    while out.len() < data.len() {
        let from: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.extend_from_slice(&data[from * size..(from + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn every_type_survives_writing_and_reading() {
        for data in [
            TensorData::F32(vec![1.5, -0.0]),
            TensorData::F64(vec![f64::MAX, 1e-300]),
            TensorData::I8(vec![-128, 127]),
            TensorData::U8(vec![0, 255]),
            TensorData::I16(vec![i16::MIN, 7]),
            TensorData::I32(vec![i32::MIN, 7]),
            TensorData::I64(vec![i64::MIN, 7]),
            TensorData::Bool(vec![true, false]),
            TensorData::Str(vec!["größer".into(), String::new()]),
        ] {
            let tensor = Tensor::new(vec![2, 1], data).unwrap();
            assert_eq!(decode(&encode(&tensor)).unwrap(), tensor);
        }
    }

    #[test]
    fn data_begins_at_a_multiple_of_64_bytes() {
        for rank in 0..30 {
            let tensor = Tensor::new(vec![1; rank], TensorData::U8(vec![9])).unwrap();
            assert_eq!(encode(&tensor).len() % 64, 1, "rank {rank}");
        }
    }

    #[test]
    fn scalar_and_vector_shapes_are_python_tuples() {
        let text = |shape: Vec<usize>| {
            let tensor = Tensor::new(shape, TensorData::U8(vec![9])).unwrap();
            String::from_utf8_lossy(&encode(&tensor)).into_owned()
        };
        assert!(text(vec![]).contains("'shape': ()"));
        assert!(text(vec![1]).contains("'shape': (1,)"));
        assert!(text(vec![1, 1]).contains("'shape': (1, 1)"));
    }

    #[test]
    fn fortran_order_is_turned_into_c_order() {
        // [[1, 2, 3], [4, 5, 6]] is stored column by column.
        let bytes = npy("|u1", "True", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
        assert_eq!(decode(&bytes).unwrap().data(), &TensorData::U8(vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn big_endian_is_read() {
        let bytes = npy(">i2", "False", "(2,)", &[0x01, 0x02, 0xff, 0xfe]);
        assert_eq!(decode(&bytes).unwrap().data(), &TensorData::I16(vec![0x0102, -2]));
    }

    #[test]
    fn float16_becomes_float32_exactly() {
        // 1, -2, smallest subnormal, infinity; IEEE 754 binary16
        let halves = [0x3c00u16, 0xc000, 0x0001, 0x7c00];
        let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_le_bytes()).collect();
        let tensor = decode(&npy("<f2", "False", "(4,)", &bytes)).unwrap();
        let expected = vec![1.0, -2.0, 5.960_464_5e-8, f32::INFINITY];
        assert_eq!(tensor.data(), &TensorData::F32(expected));
    }

    #[test]
    fn unsigned_integers_widen_and_too_large_ones_are_refused() {
        let tensor = decode(&npy("<u4", "False", "(1,)", &[255; 4])).unwrap();
        assert_eq!(tensor.data(), &TensorData::I64(vec![i64::from(u32::MAX)]));
        let error = decode(&npy("<u8", "False", "(1,)", &[255; 8])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "elements of type <u8 are not read: a value is above the largest int64"
        );
    }

    #[test]
    fn objects_and_records_are_refused_by_name() {
        let error = decode(&npy("|O", "False", "(1,)", &[0; 8])).unwrap_err();
        assert!(error.to_string().contains("Python objects"), "{error}");
        let text = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }";
        let error = Scan { rest: text }.header().unwrap_err();
        assert!(error.to_string().contains("record"), "{error}");
    }

    #[test]
    fn shape_that_the_file_does_not_hold_is_refused_before_memory_is_taken() {
        let error = decode(&npy("<f4", "False", "(1000000, 1000000)", &[0; 4])).unwrap_err();
        assert!(matches!(error, NpyError::Length { found: 4, .. }), "{error}");
        let huge = format!("({0}, {0})", u64::MAX);
        assert!(matches!(
            decode(&npy("<f4", "False", &huge, &[0; 4])),
            Err(NpyError::Shape { .. })
        ));
        let error = decode(&npy("<U0", "False", "(1000000000000,)", &[])).unwrap_err();
        assert!(matches!(error, NpyError::Length { .. }), "{error}");
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_an_error_or_an_array() {
        let tensor = Tensor::new(vec![2, 3], TensorData::F32(vec![1.0; 6])).unwrap();
        let whole = encode(&tensor);
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "cut at {end}");
        }
        for place in 0..whole.len() {
            for flip in [1u8, 0x20, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[place] ^= flip;
                let _: Result<Tensor, NpyError> = decode(&bytes);
            }
        }
    }
}
