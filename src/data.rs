//! The words that the rooms exchange: frames, tensors, inferences, events. Plain values, no behaviour
//! beyond keeping themselves consistent.

mod frames;
mod inference;
pub mod payload;
mod picture;
mod quant;
mod secret;
mod session;
mod tensor;
mod time;
mod verb;

pub use frames::{Frames, Stamp};
pub use inference::{
    ClassShare, DetectedObject, Event, EventKind, Finding, Inference, Keypoint, Rejected,
    ScoredLabel, WindowSpan,
};
pub use picture::{Area, Content, Kept, NotAPicture, PIXELS_MAX, Picture, PicturePool, Placement};
pub use quant::{read_real, write_real};
pub use secret::Secret;
pub use session::Session;
pub use tensor::{DType, Quantization, Signature, Tensor, TensorData, TensorError, TensorSpec};
pub use time::{ClockState, Timestamp};
pub use verb::Verb;
