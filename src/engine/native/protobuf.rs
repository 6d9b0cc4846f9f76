//! Protocol Buffers, read where they lie: every tag and length is checked, nothing is copied.
//!
//! Only reading, and only what ONNX files use. A message is a list of fields in the file's order; it is
//! walked each time it is asked, so nothing is kept and a file cannot make memory grow. Groups, which no
//! schema of ours has, are refused. Source: Protocol Buffers, "Encoding".

/// A read that left its message, or a field that is not what the schema says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub(super) struct ProtoError {
    /// Offset in the file.
    at: usize,
    /// What was being read.
    what: &'static str,
}

/// Shorthand of this module.
type Read<T> = Result<T, ProtoError>;

/// The bytes of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// Where they begin in the file.
    at: usize,
}

/// One field: its number in the schema, and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
    /// Where its value begins in the file.
    at: usize,
}

/// A field's value, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    /// A text, bytes, a message, or packed scalars.
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a> Message<'a> {
    /// The message that fills a file.
    pub(super) fn root(file: &'a [u8]) -> Self {
        Self { bytes: file, at: 0 }
    }

    /// Its fields in order. After an error there are no more.
    pub(super) fn fields(&self) -> Fields<'a> {
        Fields { file: Cursor { bytes: self.bytes, at: self.at } }
    }

    /// The elements of the repeated scalar `number`, packed, unpacked or mixed.
    pub(super) fn scalars<T: Scalar>(&self, number: u32) -> Scalars<'a, T> {
        Scalars { fields: self.fields(), number, packed: None, of: std::marker::PhantomData }
    }

    /// The bytes of the repeated fixed-size scalar `number`, if they lie in one piece; empty where the
    /// field is absent.
    pub(super) fn packed(&self, number: u32) -> Read<Option<&'a [u8]>> {
        let mut found = None;
        for field in self.fields() {
            let field = field?;
            match (field.number == number, field.value, found) {
                (false, ..) => {}
                (true, Value::Bytes(bytes), None) => found = Some(bytes),
                (true, ..) => return Ok(None),
            }
        }
        Ok(Some(found.unwrap_or_default()))
    }
}

impl<'a> Field<'a> {
    fn wrong<T>(&self) -> Read<T> {
        Err(ProtoError { at: self.at, what: "a field of another type than the schema's" })
    }

    /// The message in it.
    pub(super) fn message(&self) -> Read<Message<'a>> {
        match self.value {
            Value::Bytes(bytes) => Ok(Message { bytes, at: self.at }),
            _ => self.wrong(),
        }
    }

    /// The bytes in it.
    pub(super) fn bytes(&self) -> Read<&'a [u8]> {
        Ok(self.message()?.bytes)
    }

    /// The text in it.
    pub(super) fn text(&self) -> Read<&'a str> {
        let what = "a text that is not UTF-8";
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtoError { at: self.at, what })
    }

    /// The integer in it, of any of the signed types but the zigzag ones.
    pub(super) fn int(&self) -> Read<i64> {
        match self.value {
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => self.wrong(),
        }
    }

    /// The `float` in it.
    pub(super) fn float(&self) -> Read<f32> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => self.wrong(),
        }
    }
}

/// Walks the fields of a message.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    file: Cursor<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Read<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.file.bytes.is_empty() {
            return None;
        }
        let field = self.file.field();
        if field.is_err() {
            self.file.bytes = &[];
        }
        Some(field)
    }
}

/// What is left of a message.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Read<&'a [u8]> {
        let (taken, rest) =
            self.bytes.split_at_checked(len).ok_or(ProtoError { at: self.at, what })?;
        (self.bytes, self.at) = (rest, self.at + len);
        Ok(taken)
    }

    /// Seven bits in each byte, the lowest first.
    fn varint(&mut self) -> Read<u64> {
        let (at, what) = (self.at, "a number of more than 64 bits");
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1, "a number that ends too early")?[0];
            if shift == 63 && byte > 1 {
                return Err(ProtoError { at, what });
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtoError { at, what })
    }

    fn field(&mut self) -> Read<Field<'a>> {
        let at = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or(ProtoError { at, what: "a field number out of range" })?;
        let mut value_at = self.at;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(fixed(self.take(8, "a field that ends too early")?)),
            2 => {
                let what = "a field longer than what it is in";
                let len = usize::try_from(self.varint()?);
                value_at = self.at;
                let len = len.map_err(|_| ProtoError { at: value_at, what })?;
                Value::Bytes(self.take(len, what)?)
            }
            5 => Value::Fixed32(fixed(self.take(4, "a field that ends too early")?)),
            _ => return Err(ProtoError { at, what: "a group or an unknown wire type" }),
        };
        Ok(Field { number, value, at: value_at })
    }
}

/// The first `N` bytes; zeros where there are fewer, which no caller has.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// An element of a repeated scalar.
pub(super) trait Scalar: Copy {
    /// The value of an unpacked field; `None` where its wire type is another one.
    fn of(value: Value<'_>) -> Option<Self>;
    /// The wire type of packed elements, with no value in it.
    const WIRE: Wire;
}

/// How packed elements lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Four,
    Eight,
}

impl Scalar for i64 {
    const WIRE: Wire = Wire::Varint;
    fn of(value: Value<'_>) -> Option<Self> {
        if let Value::Varint(value) = value { Some(value.cast_signed()) } else { None }
    }
}

impl Scalar for f32 {
    const WIRE: Wire = Wire::Four;
    fn of(value: Value<'_>) -> Option<Self> {
        if let Value::Fixed32(bytes) = value { Some(Self::from_le_bytes(bytes)) } else { None }
    }
}

impl Scalar for f64 {
    const WIRE: Wire = Wire::Eight;
    fn of(value: Value<'_>) -> Option<Self> {
        if let Value::Fixed64(bytes) = value { Some(Self::from_le_bytes(bytes)) } else { None }
    }
}

/// Walks a repeated scalar. After an error there are no more.
#[derive(Clone, Debug)]
pub(super) struct Scalars<'a, T> {
    fields: Fields<'a>,
    number: u32,
    packed: Option<Cursor<'a>>,
    of: std::marker::PhantomData<T>,
}

impl<T: Scalar> Iterator for Scalars<'_, T> {
    type Item = Read<T>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(packed) = self.packed.as_mut().filter(|packed| !packed.bytes.is_empty()) {
                let (at, what) = (packed.at, "packed numbers that end too early");
                let value = match T::WIRE {
                    Wire::Varint => packed.varint().map(Value::Varint),
                    Wire::Four => packed.take(4, what).map(|bytes| Value::Fixed32(fixed(bytes))),
                    Wire::Eight => packed.take(8, what).map(|bytes| Value::Fixed64(fixed(bytes))),
                };
                let value = value.and_then(|value| T::of(value).ok_or(ProtoError { at, what }));
                if value.is_err() {
                    (self.packed, self.fields.file.bytes) = (None, &[]);
                }
                return Some(value);
            }
            let field = match self.fields.next()? {
                Ok(field) if field.number == self.number => field,
                Ok(_) => continue,
                Err(error) => return Some(Err(error)),
            };
            if let Value::Bytes(bytes) = field.value {
                self.packed = Some(Cursor { bytes, at: field.at });
                continue;
            }
            let value = T::of(field.value);
            if value.is_none() {
                self.fields.file.bytes = &[];
            }
            return Some(value.map_or_else(|| field.wrong(), Ok));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field 1 = 300, field 2 = "ab", field 3 = packed [1, 2], 3 again unpacked, field 4 = 1.0 twice.
    const SAMPLE: [u8; 23] = [
        0x08, 0xac, 0x02, 0x12, 2, b'a', b'b', 0x1a, 2, 1, 2, 0x18, 3, 0x25, 0, 0, 0x80, 0x3f,
        0x22, 4, 0, 0, 0x80,
    ];

    fn sample() -> Vec<u8> {
        let mut file = SAMPLE.to_vec();
        file.push(0x3f);
        file
    }

    #[test]
    fn fields_come_in_order_with_number_and_value() {
        let file = sample();
        let fields: Vec<_> = Message::root(&file).fields().collect::<Result<_, _>>().unwrap();
        assert_eq!(fields.iter().map(|f| f.number).collect::<Vec<_>>(), [1, 2, 3, 3, 4, 4]);
        assert_eq!((fields[0].int(), fields[1].text()), (Ok(300), Ok("ab")));
        assert_eq!(fields[4].float(), Ok(1.0));
        assert!(
            fields[0].text().is_err() && fields[1].int().is_err() && fields[1].float().is_err()
        );
    }

    #[test]
    fn repeated_scalars_may_be_packed_or_not() {
        let file = sample();
        let root = Message::root(&file);
        assert_eq!(root.scalars::<i64>(3).collect::<Result<Vec<_>, _>>(), Ok(vec![1, 2, 3]));
        assert_eq!(root.scalars::<f32>(4).collect::<Result<Vec<_>, _>>(), Ok(vec![1.0, 1.0]));
        assert_eq!(root.scalars::<i64>(9).count(), 0);
        assert_eq!(root.packed(2), Ok(Some(&b"ab"[..])));
        assert_eq!((root.packed(9), root.packed(4)), (Ok(Some(&[][..])), Ok(None)));
    }

    #[test]
    fn negative_numbers_take_ten_bytes_and_eleven_are_refused() {
        let mut file = vec![0x08];
        file.extend([0xff; 9]);
        file.push(1);
        let first =
            |file: &[u8]| Message::root(file).fields().next().unwrap().and_then(|f| f.int());
        assert_eq!(first(&file), Ok(-1));
        file[10] = 2;
        assert_eq!(first(&file).unwrap_err().what, "a number of more than 64 bits");
        file[10] = 0x81;
        file.push(0);
        assert!(first(&file).is_err());
    }

    #[test]
    fn groups_and_impossible_numbers_are_refused() {
        for file in [[0x0b, 0x0c], [0x0c, 0], [0x00, 0], [0x0e, 0]] {
            let fields: Vec<_> = Message::root(&file).fields().collect();
            assert!(fields.len() == 1 && fields[0].is_err(), "{file:?}");
        }
    }

    #[test]
    fn no_byte_of_a_file_can_make_a_read_leave_it() {
        fn read<T>(_: T) {}
        let walk = |file: &[u8]| {
            let root = Message::root(file);
            for field in root.fields().flatten() {
                read((field.int(), field.float(), field.text()));
                read(field.message().map(|inner| inner.fields().count()));
            }
            for number in 0..6 {
                read((root.scalars::<i64>(number).count(), root.scalars::<f64>(number).count()));
                read((root.scalars::<f32>(number).count(), root.packed(number)));
            }
        };
        let file = sample();
        for at in 0..file.len() {
            walk(&file[..at]);
            for value in 0..=255 {
                let mut file = file.clone();
                file[at] = value;
                walk(&file);
            }
        }
    }
}
