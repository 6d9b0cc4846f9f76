//! Promises to the user, one module each.

mod allocations;
mod commands;
mod engines;
mod ops;
mod reference;
mod zoo;
