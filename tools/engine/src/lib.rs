//! The engine of edgerun and what it stands on, without the daemon: the very same files, linked here.
//!
//! Builds in seconds, so that sanitizers, fuzzers and other machines' processors can be used on the
//! engine without TLS, MQTT and buses (`scripts/fuzz`, `scripts/sanitize`, `scripts/test`).
#![allow(missing_docs)]

pub mod arrays;
pub mod data;
pub mod engine;
pub mod model;
