//! The reasons why a device is not well: a closed list of codes, each with words.

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// The sensor, pipeline or thermal zone that it is about; empty when it is about the whole.
    pub part: String,
    /// What it is, for people.
    pub message: String,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident => $word:literal,)*) => {
        /// The kinds of reasons. Part of the public interface: `docs/mqtt.md` lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The word in payloads.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)*
                }
            }
        }
    };
}

codes! {
    /// A sensor does not answer.
    SensorLost => "sensor_lost",
    /// A sensor's values are frozen.
    SensorStuck => "sensor_stuck",
    /// A sensor's channel is outside of what it can measure.
    SensorOutOfRange => "sensor_out_of_range",
    /// A pipeline could not be started.
    PipelineFailed => "pipeline_failed",
    /// A pipeline has no version of its model that can serve.
    PipelineWaiting => "pipeline_waiting",
    /// A pipeline's last window went wrong.
    PipelineError => "pipeline_error",
    /// Results came after the next window was due.
    DeadlineMisses => "deadline_misses",
    /// Frames or windows were given up.
    WindowsDropped => "windows_dropped",
    /// A sink of a pipeline does not do its job, or holds its safe state.
    SinkFailed => "sink_failed",
    /// Results or events for a sink were given up.
    SinkDropped => "sink_dropped",
    /// Sequence numbers cannot be kept on disk.
    SequenceNotDurable => "sequence_not_durable",
    /// Results and events wait in memory only.
    SpoolNotDurable => "spool_not_durable",
    /// There is no connection to the broker.
    BrokerAway => "broker_away",
    /// The broker refuses something: a topic, a subscription.
    BrokerRefuses => "broker_refuses",
    /// Another board connects with this one's id.
    IdTaken => "id_taken",
    /// Results or events for the broker were given up.
    MessagesDropped => "messages_dropped",
    /// A thermal zone is too hot.
    TemperatureHigh => "temperature_high",
    /// Heat or power holds the processor back.
    Throttled => "throttled",
    /// The power supply gives too little.
    UnderVoltage => "under_voltage",
    /// Little memory is left.
    MemoryLow => "memory_low",
    /// Little room is left where the state lies.
    DiskLow => "disk_low",
    /// The disk with the state cannot be written.
    DiskReadOnly => "disk_read_only",
    /// The flash that the board has is nearly used up.
    DiskWorn => "disk_worn",
    /// The clock is not synchronised.
    ClockUnsynced => "clock_unsynced",
    /// The run before ended without being stopped.
    UncleanStop => "unclean_stop",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_documentation_and_in_the_schema() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/");
        let text = std::fs::read_to_string(format!("{folder}mqtt.md")).unwrap();
        let schema = std::fs::read_to_string(format!("{folder}schema/health.json")).unwrap();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let words: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(schema["$defs"]["code"]["enum"], serde_json::json!(words));
        for word in words {
            assert!(text.contains(&format!("| `{word}` |")), "{word} is not documented");
        }
    }
}
