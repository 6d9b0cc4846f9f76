//! A node's attributes, of the type that is asked for or an error that names them.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};
use tract_onnx::prelude::{TractError, TractResult};
use tract_onnx::tract_core::internal::{Tensor, bail, format_err};

use tract_onnx::model::ParsingContext;

/// The attributes of one node.
pub(super) struct Attributes<'a> {
    pub(super) node: &'a NodeProto,
    pub(super) context: &'a ParsingContext<'a>,
}

impl<'a> Attributes<'a> {
    fn find(&self, name: &str, kind: AttributeType) -> TractResult<Option<&'a AttributeProto>> {
        let Some(found) = self.node.attribute.iter().find(|each| each.name == name) else {
            return Ok(None);
        };
        if found.r#type != kind as i32 {
            bail!("attribute {name} is of type {}, not {kind:?}", found.r#type);
        }
        Ok(Some(found))
    }

    /// Numbers; none where the file has no such attribute.
    pub(super) fn floats(&self, name: &str) -> TractResult<&'a [f32]> {
        Ok(self.find(name, AttributeType::Floats)?.map_or(&[], |found| &found.floats))
    }

    /// Whole numbers; none where the file has no such attribute.
    pub(super) fn ints(&self, name: &str) -> TractResult<&'a [i64]> {
        Ok(self.find(name, AttributeType::Ints)?.map_or(&[], |found| &found.ints))
    }

    /// Indices: whole numbers that are not negative.
    pub(super) fn indices(&self, name: &str) -> TractResult<Vec<u32>> {
        let index = |&value: &i64| {
            u32::try_from(value).map_err(|_| format_err!("attribute {name} has the index {value}"))
        };
        self.ints(name)?.iter().map(index).collect()
    }

    /// Texts; none where the file has no such attribute.
    pub(super) fn strings(&self, name: &str) -> TractResult<Vec<String>> {
        let found =
            self.find(name, AttributeType::Strings)?.map_or(&[][..], |found| &found.strings);
        found.iter().map(|bytes| text(name, bytes)).collect()
    }

    pub(super) fn float(&self, name: &str) -> TractResult<Option<f32>> {
        Ok(self.find(name, AttributeType::Float)?.map(|found| found.f))
    }

    pub(super) fn int(&self, name: &str) -> TractResult<Option<i64>> {
        Ok(self.find(name, AttributeType::Int)?.map(|found| found.i))
    }

    pub(super) fn string(&self, name: &str) -> TractResult<Option<String>> {
        let found = self.find(name, AttributeType::String)?;
        found.map(|found| text(name, &found.s)).transpose()
    }

    pub(super) fn tensor(&self, name: &str) -> TractResult<Option<Tensor>> {
        let found = self.find(name, AttributeType::Tensor)?;
        let proto = found.and_then(|found| found.t.as_ref());
        proto.map(|proto| self.context.load_tensor(proto)).transpose()
    }

    /// An error where the file has `name`: a newer way to say something that is not read.
    pub(super) fn refuse(&self, name: &str, why: &str) -> TractResult<()> {
        match self.node.attribute.iter().any(|each| each.name == name) {
            true => Err(format_err!("attribute {name}: {why}")),
            false => Ok(()),
        }
    }
}

fn text(name: &str, bytes: &[u8]) -> TractResult<String> {
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| TractError::msg(format!("attribute {name} is not UTF-8")))
}
