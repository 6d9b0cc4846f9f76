//! Promises to the user, one module each.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say where

mod mqtt;
mod mqtt_faults;
mod ops;
mod reference;
mod schema;
mod support;
mod tls;
mod zoo;
