//! Updates of models while they serve: what is wanted, fetched, tested, tried and kept. The state machine of
//! `docs/updates.md`; nothing here knows threads, sockets or engines.

pub mod failure;
pub mod judge;
pub mod machine;
pub mod record;
pub mod status;
pub mod world;
