//! ONNX files into graphs.
//!
//! Source: the ONNX specification (`docs/IR.md`, `docs/Operators.md`), and onnxruntime where it says how
//! to round.

mod describe;
mod file;
mod lower;
mod schema;
mod tensor;

pub(super) use describe::describe;
