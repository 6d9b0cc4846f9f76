//! edgerun: quantized models on small ARM boards, from the sensor to the broker.
//!
//! Data flows sensor → window → preprocess → engine → postprocess → sink → net. Imports go up this
//! list only: assembly → around → rooms → seams → words. `ARCHITECTURE.md` is the map.

// words: plain values that the rooms exchange
pub mod data;

// seams: the outside world, replaceable in tests
pub mod clock;

// rooms: one job each; they do not import each other
pub mod engine;
pub mod sensor;

// around: configuration, network, supervision
pub mod config;

// assembly: what a person types
pub mod cli;
