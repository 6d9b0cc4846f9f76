//! One connection to see whether the broker lets us in, for `edgerun check`.

use std::sync::Arc;

use rumqttc::v5::mqttbytes::QoS;
use tokio::time::timeout;

use super::connection::{Connection, Happening};
use super::limits::Limits;
use super::settings::MqttSettings;
use super::{NetError, prepare};

/// Connects, logs in and leaves again; publishes nothing. It takes the client id with `-check` behind
/// it, since a broker would cut off a running daemon of the same id.
///
/// Returns what should be known of a broker that lets us in, one sentence each; usually nothing.
///
/// # Errors
/// [`NetError::Broker`] with what to do; the others as for [`super::start`].
pub fn probe(settings: &MqttSettings) -> Result<Vec<String>, NetError> {
    let mut settings = settings.clone();
    settings.client_id.push_str("-check");
    let (tls, runtime) = prepare(&settings)?;
    let settings = Arc::new(settings);
    let outcome = runtime.block_on(async {
        let mut line = Connection::open(&settings, tls.as_ref(), None);
        let limits = loop {
            match line.happening().await {
                Happening::Accepted(limits) => break limits,
                Happening::Lost(failure) => return Err(NetError::Broker(failure.message)),
                _ => {}
            }
        };
        line.say_goodbye();
        let gone = async {
            while !matches!(line.happening().await, Happening::SaidGoodbye | Happening::Lost(_)) {}
        };
        // Late or not, the answer is known.
        timeout(settings.timing.connect, gone).await.ok();
        Ok(remarks(&limits))
    });
    runtime.shutdown_background();
    outcome
}

fn remarks(limits: &Limits) -> Vec<String> {
    let mut remarks = Vec::new();
    if limits.qos_max == QoS::AtMostOnce {
        remarks.push("the broker takes only QoS 0: messages may be lost".to_owned());
    }
    if !limits.retain {
        let lost = "status, info and health are seen only by who listens when they are said";
        remarks.push(format!("the broker keeps no retained messages: {lost}"));
    }
    if limits.packet_max < 64 << 10 {
        let bytes = limits.packet_max;
        remarks.push(format!("the broker takes packets of at most {bytes} bytes"));
    }
    remarks
}
