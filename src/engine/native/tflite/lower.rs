//! One TFLite operator into one of ours: which it is, and its options.

use super::schema;
use crate::engine::native::flatbuffer::{FlatError, Table};
use crate::engine::native::ops::{self, Operator, Refusal, malformed, unsupported};

/// An operator of the file.
#[derive(Debug)]
pub(super) struct Lowered {
    /// TFLite's name; `CUSTOM` for a custom operator that is not ours.
    pub(super) name: &'static str,
    pub(super) op: Result<Box<dyn Operator>, Refusal>,
}

/// The operator that `code` and `operator` stand for.
pub(super) fn lower(code: &Table<'_>, operator: &Table<'_>) -> Result<Lowered, FlatError> {
    let Some(builtin) = name(code)? else {
        let why = format!("operator number {} is newer than this schema", number(code)?);
        return Ok(Lowered { name: "UNKNOWN", op: Err(unsupported(why)) });
    };
    let custom = if builtin == "CUSTOM" {
        Some(code.text(schema::operator_code::CUSTOM_CODE)?.unwrap_or("without a name"))
    } else {
        None
    };
    let Some(entry) = ops::entry(custom.unwrap_or(builtin)) else {
        let why = match custom {
            Some(custom) => {
                format!("there is no kernel for custom operator {}", custom.escape_debug())
            }
            None => "there is no kernel for this operator".into(),
        };
        return Ok(Lowered { name: builtin, op: Err(unsupported(why)) });
    };
    let found = operator.scalar(schema::operator::OPTIONS_TYPE, 0u8)?;
    // Without options of the operator's kind each has its default.
    let table = if found == entry.options && found != 0 {
        operator.table(schema::operator::OPTIONS)?
    } else {
        None
    };
    let custom = operator.scalars::<u8>(schema::operator::CUSTOM_OPTIONS)?.bytes();
    Ok(Lowered { name: entry.name, op: (entry.lower)(&Options { table, custom }) })
}

/// The operator that writes one tensor over a part of another; it has no options.
pub(super) fn updates() -> Lowered {
    let name = "DYNAMIC_UPDATE_SLICE";
    let op = match ops::entry(name) {
        Some(entry) => (entry.lower)(&Options { table: None, custom: &[] }),
        None => Err(unsupported("there is no kernel for this operator")),
    };
    Lowered { name, op }
}

/// The schema's name of an operator; `None` for one that is newer.
pub(super) fn name(code: &Table<'_>) -> Result<Option<&'static str>, FlatError> {
    Ok(schema::operator_name(number(code)?))
}

fn number(code: &Table<'_>) -> Result<i32, FlatError> {
    // Files from before 2020 have only the old byte.
    let old = code.scalar(schema::operator_code::DEPRECATED_BUILTIN_CODE, 0i8)?;
    Ok(code.scalar(schema::operator_code::BUILTIN_CODE, 0i32)?.max(i32::from(old)))
}

/// The options of an operator, by their number in its table of the schema.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::native) struct Options<'a> {
    table: Option<Table<'a>>,
    custom: &'a [u8],
}

impl<'a> Options<'a> {
    /// An 8-bit number: enumerations, flags.
    pub(in crate::engine::native) fn byte(&self, field: usize, default: i8) -> Result<i8, Refusal> {
        Ok(self.table.map_or(Ok(default), |table| table.scalar(field, default))?)
    }

    /// A 32-bit number.
    pub(in crate::engine::native) fn int(
        &self,
        field: usize,
        default: i32,
    ) -> Result<i32, Refusal> {
        Ok(self.table.map_or(Ok(default), |table| table.scalar(field, default))?)
    }

    /// A real number.
    pub(in crate::engine::native) fn float(
        &self,
        field: usize,
        default: f32,
    ) -> Result<f32, Refusal> {
        Ok(self.table.map_or(Ok(default), |table| table.scalar(field, default))?)
    }

    /// A list of 32-bit numbers, of at most 64.
    pub(in crate::engine::native) fn integers(&self, field: usize) -> Result<Vec<i64>, Refusal> {
        let Some(table) = self.table else { return Ok(Vec::new()) };
        let list = table.scalars::<i32>(field)?;
        if list.len() > 64 {
            return Err(malformed(format!("an option with {} numbers", list.len())));
        }
        Ok(list.iter().map(i64::from).collect())
    }

    /// Two fields that have to be positive.
    pub(in crate::engine::native) fn sizes(
        &self,
        fields: [usize; 2],
        default: i32,
    ) -> Result<[usize; 2], Refusal> {
        let mut sizes = [1; 2];
        for (size, field) in sizes.iter_mut().zip(fields) {
            let value = self.int(field, default)?;
            *size = usize::try_from(value).ok().filter(|&size| size > 0).ok_or_else(|| {
                malformed(format!("a stride, dilation or filter size of {value}"))
            })?;
        }
        Ok(sizes)
    }

    /// The bytes that a custom operator brings; FlexBuffers by convention.
    pub(in crate::engine::native) fn custom(&self) -> &'a [u8] {
        self.custom
    }
}

impl From<FlatError> for Refusal {
    fn from(error: FlatError) -> Self {
        Self::Malformed(error.to_string())
    }
}
