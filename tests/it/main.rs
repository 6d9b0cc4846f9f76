//! Promises to the user, one module each.

mod ops;
mod reference;
mod zoo;
