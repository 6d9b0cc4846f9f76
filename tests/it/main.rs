//! Promises to the user, one module each.

#![allow(clippy::unwrap_used)]

mod allocations;
mod ops;
mod reference;
mod zoo;
