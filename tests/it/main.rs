//! Promises to the user, one module each.

mod arm;
mod deploy;
mod ops;
mod reference;
mod zoo;
