//! Models and their golden outputs, on the engine alone.

#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

mod onnx;
mod reference;
