//! What tests need around the thing under test: real brokers, an independent subscriber, a broker that
//! misbehaves on request, certificates.

pub(crate) mod certificates;
pub(crate) mod daemon;
pub(crate) mod device;
pub(crate) mod mosquitto;
pub(crate) mod scripted_broker;
pub(crate) mod subscriber;

use std::time::Duration;

/// How long anything may take before a test gives up. Only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
