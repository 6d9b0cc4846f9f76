//! Promises to the user, one module each.

mod engines;
mod ops;
mod reference;
mod zoo;
