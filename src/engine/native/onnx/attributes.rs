//! The attributes of one node, by name.

use super::file::{NodeFile, TensorFile};
use super::schema::attribute as number;
use crate::engine::native::ops::Refusal;
use crate::engine::native::protobuf::{Field, Message, ProtoError, Scalar};

/// More numbers than any attribute of a supported operator has.
const COUNT_MAX: usize = 1 << 16;

fn wrong(error: ProtoError) -> Refusal {
    Refusal::Malformed(format!("an attribute {error}"))
}

impl<'a> NodeFile<'a> {
    /// The last field `number` of the attribute `name`.
    fn field(&self, name: &str, number: u32) -> Result<Option<Field<'a>>, Refusal> {
        let mut found = None;
        for field in self.attribute(name).iter().flat_map(Message::fields) {
            let field = field.map_err(wrong)?;
            if field.number == number {
                found = Some(field);
            }
        }
        Ok(found)
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.field(name, number::I)?.map(|field| field.int().map_err(wrong)).transpose()
    }

    pub(super) fn int_or(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, Refusal> {
        Ok(self.int(name)?.map_or(default, |value| value != 0))
    }

    pub(super) fn float_or(&self, name: &str, default: f32) -> Result<f32, Refusal> {
        let field = self.field(name, number::F)?;
        field.map_or(Ok(default), |field| field.float().map_err(wrong))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, Refusal> {
        self.field(name, number::F)?.map(|field| field.float().map_err(wrong)).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        self.field(name, number::S)?.map(|field| field.text().map_err(wrong)).transpose()
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, Refusal> {
        self.list(name, number::INTS)
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, Refusal> {
        self.list(name, number::FLOATS)
    }

    fn list<T: Scalar>(&self, name: &str, number: u32) -> Result<Option<Vec<T>>, Refusal> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let mut list = Vec::new();
        for value in attribute.scalars::<T>(number) {
            list.push(value.map_err(wrong)?);
            if list.len() > COUNT_MAX {
                let why = format!("attribute {name} has more than {COUNT_MAX} numbers");
                return Err(Refusal::Malformed(why));
            }
        }
        Ok(Some(list))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<TensorFile<'a>>, Refusal> {
        let Some(field) = self.field(name, number::T)? else { return Ok(None) };
        Ok(Some(TensorFile::read(field.message().map_err(wrong)?)?))
    }

    /// The name of input `index`; empty where it was left out.
    pub(super) fn input(&self, index: usize) -> &'a str {
        self.inputs.get(index).copied().unwrap_or_default()
    }

    /// The name of output `index`.
    pub(super) fn output(&self, index: usize) -> &'a str {
        self.outputs.get(index).copied().unwrap_or_default()
    }
}
