//! FlexBuffers as far as options of custom operators need them: one map from names to numbers, read
//! where it lies. Every offset and length is checked. Source: FlatBuffers, "FlexBuffers" and
//! "Internals".

/// A number of the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    Real(f64),
}

/// A map that is not what its own description says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("options that are no FlexBuffers map: {0}")]
pub(super) struct FlexError(&'static str);

/// Shorthand of this module.
type Read<T> = Result<T, FlexError>;

/// More than any operator has.
const ENTRIES_MAX: usize = 256;

/// The root of a buffer, which is a map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Map<'a> {
    bytes: &'a [u8],
    /// Where the values begin, how many there are, and bytes of each.
    values: usize,
    len: usize,
    width: usize,
    /// Where the offsets of the keys begin, and bytes of each.
    keys: usize,
    key_width: usize,
}

/// The unsigned number of `width` bytes at `at`.
fn unsigned(bytes: &[u8], at: usize, width: usize) -> Read<u64> {
    let field = at.checked_add(width).and_then(|end| bytes.get(at..end));
    let field = field.ok_or(FlexError("a number outside the buffer"))?;
    if !matches!(width, 1 | 2 | 4 | 8) {
        return Err(FlexError("a number of an odd width"));
    }
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(field);
    Ok(u64::from_le_bytes(wide))
}

/// Where the backward offset at `at` leads.
fn follow(bytes: &[u8], at: usize, width: usize) -> Read<usize> {
    let offset = usize::try_from(unsigned(bytes, at, width)?).ok();
    let target = offset.and_then(|offset| at.checked_sub(offset));
    target.ok_or(FlexError("an offset out of the buffer"))
}

/// Bytes of a value, by the two low bits of its packed type.
fn width_of(packed: u8) -> usize {
    1 << (packed & 3)
}

impl<'a> Map<'a> {
    /// The map that `bytes` hold.
    pub(super) fn root(bytes: &'a [u8]) -> Read<Self> {
        const MAP: u8 = 9;
        let [.., packed, root_width] = *bytes else { return Err(FlexError("too short")) };
        if packed >> 2 != MAP {
            return Err(FlexError("the root is no map"));
        }
        let root_width = usize::from(root_width);
        let at = (bytes.len() - 2).checked_sub(root_width).ok_or(FlexError("too short"))?;
        let values = follow(bytes, at, root_width)?;
        let width = width_of(packed);
        // Before the values: the keys' offset, their width, the number of entries.
        let before = |fields: usize| {
            values.checked_sub(fields * width).ok_or(FlexError("a map outside the buffer"))
        };
        let keys = follow(bytes, before(3)?, width)?;
        let small = |at: usize| {
            usize::try_from(unsigned(bytes, at, width)?).map_err(|_| FlexError("a large length"))
        };
        let (key_width, len) = (small(before(2)?)?, small(before(1)?)?);
        if len > ENTRIES_MAX {
            return Err(FlexError("too many entries"));
        }
        Ok(Self { bytes, values, len, width, keys, key_width })
    }

    /// The number called `name`; `None` where there is none or it is null.
    pub(super) fn number(&self, name: &str) -> Read<Option<Number>> {
        for entry in 0..self.len {
            if self.key(entry)? == name.as_bytes() {
                return self.value(entry);
            }
        }
        Ok(None)
    }

    fn key(&self, entry: usize) -> Read<&'a [u8]> {
        let at = entry.checked_mul(self.key_width).and_then(|by| by.checked_add(self.keys));
        let at = at.ok_or(FlexError("a key outside the buffer"))?;
        let start = follow(self.bytes, at, self.key_width)?;
        let key = self.bytes.get(start..).ok_or(FlexError("a key outside the buffer"))?;
        let end = key.iter().position(|&byte| byte == 0).ok_or(FlexError("a key without end"))?;
        Ok(&key[..end])
    }

    fn value(&self, entry: usize) -> Read<Option<Number>> {
        // A map has at most 256 entries of 8 bytes; the sum stays below the buffer's length.
        let at = self.values + entry * self.width;
        let packed = self.bytes.get(self.values + self.len * self.width + entry);
        let packed = *packed.ok_or(FlexError("a type outside the buffer"))?;
        let direct = (at, self.width);
        let indirect = || Ok((follow(self.bytes, at, self.width)?, width_of(packed)));
        let number = match packed >> 2 {
            0 => return Ok(None),
            1 => self.whole(direct)?,
            2 | 26 => self.natural(direct)?,
            3 => self.real(direct)?,
            6 => self.whole(indirect()?)?,
            7 => self.natural(indirect()?)?,
            8 => self.real(indirect()?)?,
            _ => return Err(FlexError("a value that is no number")),
        };
        Ok(Some(number))
    }

    fn natural(&self, (at, width): (usize, usize)) -> Read<Number> {
        let value = i64::try_from(unsigned(self.bytes, at, width)?);
        value.map(Number::Whole).map_err(|_| FlexError("a number above 2^63"))
    }

    fn whole(&self, (at, width): (usize, usize)) -> Read<Number> {
        let unused = 64 - 8 * width as u32;
        let value = unsigned(self.bytes, at, width)?;
        Ok(Number::Whole((value << unused).cast_signed() >> unused))
    }

    fn real(&self, (at, width): (usize, usize)) -> Read<Number> {
        let bits = unsigned(self.bytes, at, width)?;
        match width {
            4 => Ok(Number::Real(f32::from_bits(bits as u32).into())),
            8 => Ok(Number::Real(f64::from_bits(bits))),
            _ => Err(FlexError("a real number of less than 32 bits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{ "a": 1.5, "n": -3, "yes": true }`, as the FlatBuffers library writes it.
    fn sample() -> Vec<u8> {
        let mut bytes = b"a\0n\0yes\0".to_vec();
        // Keys: their number, then an offset back from each place.
        bytes.extend([3, 9, 8, 7]);
        // Values of 4 bytes each, before them: back to the keys, the keys' width, their number.
        let keys = 9u32;
        let at = bytes.len() as u32;
        bytes.extend((at - keys).to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(1.5f32.to_le_bytes());
        bytes.extend((-3i32).to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([3 << 2 | 2, 1 << 2 | 2, 26 << 2]);
        // The root: back to the values, its type, its width.
        bytes.extend([15, 9 << 2 | 2, 1]);
        bytes
    }

    #[test]
    fn numbers_are_found_by_name() {
        let bytes = sample();
        let map = Map::root(&bytes).unwrap();
        assert_eq!(map.number("a"), Ok(Some(Number::Real(1.5))));
        assert_eq!(map.number("n"), Ok(Some(Number::Whole(-3))));
        assert_eq!(map.number("yes"), Ok(Some(Number::Whole(1))));
        assert_eq!(map.number("no"), Ok(None));
    }

    #[test]
    fn no_byte_can_make_a_read_leave_the_buffer() {
        let bytes = sample();
        let mut found = 0;
        let mut read = |bytes: &[u8]| {
            if let Ok(map) = Map::root(bytes) {
                let numbers = ["a", "n", "yes", "none"].map(|name| map.number(name));
                found += numbers.iter().filter(|number| matches!(number, Ok(Some(_)))).count();
            }
        };
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                read(&bytes);
            }
        }
        for len in 0..bytes.len() {
            read(&bytes[bytes.len() - len..]);
            read(&bytes[..len]);
        }
        assert!(found > 0);
    }
}
