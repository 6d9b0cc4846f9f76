//! The promises that edgerun makes, one module each, kept by the real program.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test that cannot go on has failed

mod access;
mod allocations;
mod arm;
mod audio;
mod bundle;
mod classic;
mod commands;
mod config;
mod conformance;
mod demo;
mod deploy;
mod discovery;
mod engines;
mod images;
mod inputs;
mod mqtt;
mod mqtt_faults;
mod onnx;
mod op_table;
mod other_brokers;
mod predict;
mod provision;
mod reference;
mod remote;
mod repo;
mod run;
mod schema;
mod sensors;
mod signal;
mod sinks;
mod spool;
mod support;
mod tls;
mod updates;
mod wishes;
mod wrong_input;
mod zoo;
