//! FlatBuffers, read where they lie: every offset, length and index is checked, nothing is trusted.
//!
//! Only reading, and only what TFLite files use. The walk is as deep as the caller's code, so a
//! file whose offsets form a loop ends like any other. Source: FlatBuffers, "Internals".

use std::marker::PhantomData;

/// A read that left the file, or a field that is not what the schema says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub(super) struct FlatError {
    /// Offset in the file.
    at: usize,
    /// What was being read.
    what: &'static str,
}

/// Shorthand of this module.
type Read<T> = Result<T, FlatError>;

/// A fixed-size little-endian value.
pub(super) trait Scalar: Copy {
    /// Bytes that it takes.
    const SIZE: usize;
    /// The value of exactly [`Scalar::SIZE`] bytes; `None` of any other number.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! scalar {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {
            const SIZE: usize = size_of::<$ty>();
            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    )*};
}
scalar!(i8, u8, u16, i32, u32, i64, u64, f32);

/// The `len` bytes at `at`.
fn bytes_at<'a>(file: &'a [u8], at: usize, len: usize, what: &'static str) -> Read<&'a [u8]> {
    at.checked_add(len).and_then(|end| file.get(at..end)).ok_or(FlatError { at, what })
}

fn scalar_at<T: Scalar>(file: &[u8], at: usize, what: &'static str) -> Read<T> {
    T::read(bytes_at(file, at, T::SIZE, what)?).ok_or(FlatError { at, what })
}

/// Where the forward offset stored at `at` leads.
fn follow(file: &[u8], at: usize, what: &'static str) -> Read<usize> {
    let offset: u32 = scalar_at(file, at, what)?;
    let target = usize::try_from(offset).ok().and_then(|offset| at.checked_add(offset));
    target.filter(|&target| offset != 0 && target < file.len()).ok_or(FlatError { at, what })
}

/// One table; fields are read by their number in the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    file: &'a [u8],
    at: usize,
    /// The vtable's field entries, two bytes each.
    fields: &'a [u8],
}

impl<'a> Table<'a> {
    /// The root table of a file.
    pub(super) fn root(file: &'a [u8]) -> Read<Self> {
        Self::at(file, follow(file, 0, "the root table's offset")?)
    }

    fn at(file: &'a [u8], at: usize) -> Read<Self> {
        const WHAT: &str = "a table's field list";
        let back: i32 = scalar_at(file, at, "a table")?;
        let vtable = i64::try_from(at).ok().map(|at| at - i64::from(back));
        let vtable = vtable.and_then(|v| usize::try_from(v).ok());
        let vtable = vtable.ok_or(FlatError { at, what: WHAT })?;
        let size = usize::from(scalar_at::<u16>(file, vtable, WHAT)?);
        if size < 4 {
            return Err(FlatError { at: vtable, what: WHAT });
        }
        let fields = &bytes_at(file, vtable, size, WHAT)?[4..];
        Ok(Self { file, at, fields })
    }

    /// Where field `id` lies; `None` where it is absent.
    fn field(&self, id: usize) -> Option<usize> {
        let entry = self.fields.get(2 * id..2 * id + 2)?;
        let offset = usize::from(u16::read(entry)?);
        (offset != 0).then(|| self.at.saturating_add(offset))
    }

    /// Field `id`, or the schema's default where it is absent.
    pub(super) fn scalar<T: Scalar>(&self, id: usize, default: T) -> Read<T> {
        self.field(id).map_or(Ok(default), |at| scalar_at(self.file, at, "a field"))
    }

    /// The table in field `id`.
    pub(super) fn table(&self, id: usize) -> Read<Option<Self>> {
        let Some(at) = self.field(id) else { return Ok(None) };
        Self::at(self.file, follow(self.file, at, "a table's offset")?).map(Some)
    }

    /// The vector of scalars in field `id`; empty where it is absent.
    pub(super) fn scalars<T: Scalar>(&self, id: usize) -> Read<Scalars<'a, T>> {
        Ok(Scalars { bytes: self.vector(id, T::SIZE)?.1, of: PhantomData })
    }

    /// The vector of tables in field `id`; empty where it is absent.
    pub(super) fn tables(&self, id: usize) -> Read<Tables<'a>> {
        let (at, offsets) = self.vector(id, 4)?;
        Ok(Tables { file: self.file, at, len: offsets.len() / 4 })
    }

    /// The text in field `id`, if it is there and is UTF-8.
    pub(super) fn text(&self, id: usize) -> Read<Option<&'a str>> {
        if self.field(id).is_none() {
            return Ok(None);
        }
        let (at, bytes) = self.vector(id, 1)?;
        let text = std::str::from_utf8(bytes);
        text.map(Some).map_err(|_| FlatError { at, what: "a text that is not UTF-8" })
    }

    /// Place and bytes of the elements of the vector in field `id`.
    fn vector(&self, id: usize, size: usize) -> Read<(usize, &'a [u8])> {
        const WHAT: &str = "a vector longer than the file";
        let Some(at) = self.field(id) else { return Ok((0, &[])) };
        let start = follow(self.file, at, "a vector's offset")?;
        let len: u32 = scalar_at(self.file, start, "a vector's length")?;
        let bytes = usize::try_from(len).ok().and_then(|len| len.checked_mul(size));
        let bytes = bytes.ok_or(FlatError { at: start, what: WHAT })?;
        Ok((start + 4, bytes_at(self.file, start + 4, bytes, WHAT)?))
    }
}

/// A vector of scalars, decoded as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalars<'a, T> {
    bytes: &'a [u8],
    of: PhantomData<T>,
}

impl<'a, T: Scalar> Scalars<'a, T> {
    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / T::SIZE
    }

    /// The elements in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(T::SIZE).filter_map(T::read)
    }

    /// The raw bytes.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// A vector of tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a> {
    file: &'a [u8],
    at: usize,
    len: usize,
}

impl<'a> Tables<'a> {
    /// Number of tables.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Table `index`; `None` past the end.
    pub(super) fn get(&self, index: usize) -> Read<Option<Table<'a>>> {
        if index >= self.len {
            return Ok(None);
        }
        let at = follow(self.file, self.at + 4 * index, "a table's offset")?;
        Table::at(self.file, at).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root table with field 0 = -7 (i8), field 1 = vector [1, 2] of i32, field 2 = "ab".
    fn sample() -> Vec<u8> {
        let mut file = vec![12, 0, 0, 0]; // 0: root at 12
        file.extend([10, 0, 16, 0, 4, 0, 8, 0]); // 4: vtable of 10 bytes: fields at +4, +8, (next)
        // The third entry overlaps nothing: the vtable is 4 + 3 * 2 bytes and ends at 14, so move it.
        file.clear();
        file.extend([16, 0, 0, 0]); // 0: root at 16
        file.extend([10, 0, 16, 0, 4, 0, 8, 0, 12, 0, 0, 0]); // 4: vtable, padded to 16
        file.extend(12i32.to_le_bytes()); // 16: vtable at 16 - 12
        file.extend([0xf9, 0, 0, 0]); // 20: field 0
        file.extend([8, 0, 0, 0]); // 24: field 1 -> 32
        file.extend([16, 0, 0, 0]); // 28: field 2 -> 44
        file.extend([2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]); // 32: vector
        file.extend([2, 0, 0, 0, b'a', b'b', 0, 0]); // 44: text
        file
    }

    #[test]
    fn fields_are_read_by_number_and_absent_ones_have_defaults() {
        let file = sample();
        let root = Table::root(&file).unwrap();
        assert_eq!(root.scalar(0, 0i8), Ok(-7));
        assert_eq!(root.scalars::<i32>(1).unwrap().iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(root.text(2), Ok(Some("ab")));
        assert_eq!(root.scalar(9, 42i32), Ok(42));
        assert_eq!(root.text(9), Ok(None));
        assert_eq!(root.scalars::<f32>(9).unwrap().len(), 0);
    }

    #[test]
    fn no_byte_of_a_file_can_make_a_read_leave_it() {
        let file = sample();
        for at in 0..file.len() {
            for value in 0..=255 {
                let mut file = file.clone();
                file[at] = value;
                let Ok(root) = Table::root(&file) else { continue };
                for id in [0, 1, 2, 3, 40_000] {
                    drop((root.scalar(id, 0i64), root.text(id)));
                    drop(root.scalars::<i32>(id).map(|v| v.iter().count()));
                    drop(root.table(id).map(|t| t.map(|t| t.scalar(1, 0i32))));
                    drop(root.tables(id).map(|t| t.get(0).map(|t| t.map(|t| t.scalar(1, 0i32)))));
                }
            }
        }
        for len in 0..file.len() {
            if let Ok(root) = Table::root(&file[..len]) {
                drop((root.scalars::<i32>(1).map(|v| v.len()), root.text(2)));
            }
        }
    }
}
