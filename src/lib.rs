//! edgerun: quantized models on small ARM boards, from the sensor to the broker.
//!
//! Data flows sensor → window → preprocess → engine → postprocess → sink → net. Imports go up this
//! list only: assembly → around → rooms → seams → words. `ARCHITECTURE.md` is the map.

// words: plain values that the rooms exchange
pub mod arrays;
pub mod data;
pub mod model;
pub mod pictures;

// seams: the outside world, replaceable in tests
pub mod clock;
pub mod https;
pub mod queue;
pub mod sequence;
pub mod spool;
pub mod storage;

// rooms: one job each; they do not import each other
pub mod engine;
pub mod postprocess;
pub mod preprocess;
pub mod publish;
pub mod sensor;
pub mod sink;
pub mod store;
pub mod trust;
pub mod window;

// around: what surrounds the data path
pub mod config;
pub mod health;
pub mod net;
pub mod systemd;

// assembly: joins the rooms
pub mod cli;
pub mod daemon;
#[cfg(feature = "demo")]
pub mod demo;
pub mod pipeline;
pub mod predict;
pub mod provision;
pub mod selftest;
pub mod update;
