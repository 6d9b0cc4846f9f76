//! Promises to the user, one module each.

mod deploy;
mod ops;
mod reference;
mod zoo;
