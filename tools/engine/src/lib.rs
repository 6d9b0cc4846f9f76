//! The engine of edgerun and what it stands on, without the daemon: the very same files, linked here.
//!
//! Builds in seconds, so that sanitizers, fuzzers and other machines' processors can be used on the
//! engine without TLS, MQTT and buses (`scripts/fuzz`, `scripts/sanitize`, `scripts/test`).
#![allow(missing_docs)]

pub mod arrays;
#[cfg(feature = "trust")]
pub mod clock;
pub mod data;
pub mod engine;
#[cfg(feature = "trust")]
pub mod https;
pub mod model;
#[cfg(feature = "trust")]
pub mod storage;
#[cfg(feature = "trust")]
pub mod trust;
