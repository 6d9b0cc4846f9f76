//! Promises to the user, one module each.

mod engines;
mod zoo;
