//! Promises to the user, one module each.

#![allow(clippy::unwrap_used)]

mod ops;
mod reference;
mod zoo;
