//! The promises that edgerun makes, one module each, kept by the real program.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

mod allocations;
mod commands;
mod config;
mod engines;
mod ops;
mod reference;
mod zoo;
