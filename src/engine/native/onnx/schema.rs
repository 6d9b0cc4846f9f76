//! Field and type numbers of ONNX's schema, as far as they are read. Source: `onnx.proto3`, IR version 13.

/// `ModelProto`.
pub(super) mod model {
    pub(in super::super) const IR_VERSION: u32 = 1;
    pub(in super::super) const GRAPH: u32 = 7;
    pub(in super::super) const OPSET_IMPORT: u32 = 8;
    pub(in super::super) const FUNCTIONS: u32 = 25;
}

/// `OperatorSetIdProto`.
pub(super) mod opset {
    pub(in super::super) const DOMAIN: u32 = 1;
    pub(in super::super) const VERSION: u32 = 2;
}

/// `GraphProto`.
pub(super) mod graph {
    pub(in super::super) const NODE: u32 = 1;
    pub(in super::super) const INITIALIZER: u32 = 5;
    pub(in super::super) const INPUT: u32 = 11;
    pub(in super::super) const OUTPUT: u32 = 12;
    pub(in super::super) const VALUE_INFO: u32 = 13;
    pub(in super::super) const SPARSE_INITIALIZER: u32 = 15;
}

/// `NodeProto`.
pub(super) mod node {
    pub(in super::super) const INPUT: u32 = 1;
    pub(in super::super) const OUTPUT: u32 = 2;
    pub(in super::super) const NAME: u32 = 3;
    pub(in super::super) const OP_TYPE: u32 = 4;
    pub(in super::super) const ATTRIBUTE: u32 = 5;
    pub(in super::super) const DOMAIN: u32 = 7;
}

/// `AttributeProto`.
pub(super) mod attribute {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const F: u32 = 2;
    pub(in super::super) const I: u32 = 3;
    pub(in super::super) const S: u32 = 4;
    pub(in super::super) const T: u32 = 5;
    pub(in super::super) const G: u32 = 6;
    pub(in super::super) const FLOATS: u32 = 7;
    pub(in super::super) const INTS: u32 = 8;
    pub(in super::super) const GRAPHS: u32 = 11;
}

/// `ValueInfoProto`, `TypeProto`, its tensors, their shapes and dimensions.
pub(super) mod value_info {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const TYPE: u32 = 2;
    pub(in super::super) const TYPE_TENSOR: u32 = 1;
    pub(in super::super) const ELEM_TYPE: u32 = 1;
    pub(in super::super) const SHAPE: u32 = 2;
    pub(in super::super) const DIM: u32 = 1;
    pub(in super::super) const DIM_VALUE: u32 = 1;
}

/// `TensorProto`.
pub(super) mod tensor {
    pub(in super::super) const DIMS: u32 = 1;
    pub(in super::super) const DATA_TYPE: u32 = 2;
    pub(in super::super) const SEGMENT: u32 = 3;
    pub(in super::super) const FLOAT_DATA: u32 = 4;
    pub(in super::super) const INT32_DATA: u32 = 5;
    pub(in super::super) const INT64_DATA: u32 = 7;
    pub(in super::super) const NAME: u32 = 8;
    pub(in super::super) const RAW_DATA: u32 = 9;
    pub(in super::super) const DOUBLE_DATA: u32 = 10;
    pub(in super::super) const UINT64_DATA: u32 = 11;
    pub(in super::super) const EXTERNAL_DATA: u32 = 13;
    pub(in super::super) const DATA_LOCATION: u32 = 14;
}

/// `StringStringEntryProto`.
pub(super) mod entry {
    pub(in super::super) const KEY: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
}

/// The type that number `number` of `TensorProto.DataType` stands for in our graph; wider where ours
/// lack it and no value changes.
pub(super) fn dtype(number: i64) -> Option<crate::data::DType> {
    use crate::data::DType;
    Some(match number {
        FLOAT | FLOAT16 | BFLOAT16 => DType::F32,
        UINT8 => DType::U8,
        INT8 => DType::I8,
        INT16 => DType::I16,
        INT32 => DType::I32,
        INT64 => DType::I64,
        BOOL => DType::Bool,
        DOUBLE => DType::F64,
        UINT16 => DType::I32,
        UINT32 | UINT64 => DType::I64,
        _ => return None,
    })
}

pub(super) const FLOAT: i64 = 1;
pub(super) const UINT8: i64 = 2;
pub(super) const INT8: i64 = 3;
pub(super) const UINT16: i64 = 4;
pub(super) const INT16: i64 = 5;
pub(super) const INT32: i64 = 6;
pub(super) const INT64: i64 = 7;
pub(super) const BOOL: i64 = 9;
pub(super) const FLOAT16: i64 = 10;
pub(super) const DOUBLE: i64 = 11;
pub(super) const UINT32: i64 = 12;
pub(super) const UINT64: i64 = 13;
pub(super) const BFLOAT16: i64 = 16;
