//! Promises to the user, one module each.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod allocations;
mod commands;
mod engines;
mod ops;
mod reference;
mod zoo;
