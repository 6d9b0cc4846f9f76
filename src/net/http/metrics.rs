//! `/metrics`: the health payload in Prometheus' text format 0.0.4.

use std::fmt::Write as _;

use crate::net::wire::{Health, SensorState, SinkHealth, Verdict};

/// One metric with all its samples, as the format wants them: together.
struct Metric<'a> {
    name: &'a str,
    kind: &'a str,
    help: &'a str,
}

pub(super) fn text(health: &Health) -> String {
    let mut out = String::with_capacity(4096);
    let state = |verdict| match verdict {
        Verdict::Ok => 0.0,
        Verdict::Degraded => 1.0,
        Verdict::Failing => 2.0,
    };
    let mut metric = |name, kind, help, samples: &mut dyn Iterator<Item = (String, f64)>| {
        family(&mut out, &Metric { name, kind, help }, samples);
    };
    let mut one = |name, kind, help, value: f64| {
        metric(name, kind, help, &mut std::iter::once((String::new(), value)));
    };
    one(
        "edgerun_state",
        "gauge",
        "Overall state: 0 ok, 1 degraded, 2 failing.",
        state(health.state),
    );
    one("edgerun_uptime_seconds", "gauge", "Time since the start.", health.process.uptime_s as f64);
    one(
        "edgerun_resident_memory_bytes",
        "gauge",
        "Resident memory.",
        health.process.rss_bytes as f64,
    );
    one(
        "edgerun_mqtt_connected",
        "gauge",
        "Whether the broker is there.",
        f64::from(u8::from(health.mqtt.connected)),
    );
    one(
        "edgerun_mqtt_queue_messages",
        "gauge",
        "Messages that wait for the broker.",
        health.mqtt.queue as f64,
    );
    one(
        "edgerun_mqtt_spool_bytes",
        "gauge",
        "Bytes that they take on disk.",
        health.mqtt.spool_bytes as f64,
    );
    one("edgerun_mqtt_dropped_total", "counter", "Messages given up.", health.mqtt.dropped as f64);
    one(
        "edgerun_mqtt_reconnects_total",
        "counter",
        "Connections after the first.",
        health.mqtt.reconnects as f64,
    );
    let board = &health.board;
    let flag = |set: bool| f64::from(u8::from(set));
    let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
    // What a board does not tell is absent.
    let known: [(&str, &str, Option<f64>); 9] = [
        (
            "edgerun_board_cpu_ratio",
            "Share of all cores in use.",
            board.cpu_percent.map(|p| p / 100.0),
        ),
        ("edgerun_board_load1", "Load, average of a minute.", board.load.map(|load| load[0])),
        ("edgerun_board_memory_bytes", "All memory.", bytes(board.memory_total_bytes)),
        (
            "edgerun_board_memory_available_bytes",
            "Memory that can be had.",
            bytes(board.memory_available_bytes),
        ),
        ("edgerun_board_disk_bytes", "The disk with the state.", bytes(board.disk_total_bytes)),
        ("edgerun_board_disk_free_bytes", "Room left on it.", bytes(board.disk_free_bytes)),
        (
            "edgerun_board_disk_read_only",
            "Whether it cannot be written.",
            board.disk_read_only.map(flag),
        ),
        (
            "edgerun_board_throttled",
            "Whether heat or power holds the processor back.",
            board.throttled.map(flag),
        ),
        (
            "edgerun_board_under_voltage",
            "Whether the power supply gives too little.",
            board.under_voltage.map(flag),
        ),
    ];
    for (name, help, value) in known {
        metric(name, "gauge", help, &mut value.map(|value| (String::new(), value)).into_iter());
    }
    let mut temperatures = board.temperatures.iter().map(|zone| {
        // The kernel's names are plain, but a label must not end early whatever they are.
        let name = zone.zone.replace(['"', '\\', '\n'], "_");
        (format!("{{zone=\"{name}\"}}"), zone.temperature_c)
    });
    let name = "edgerun_board_temperature_celsius";
    metric(name, "gauge", "Thermal zones.", &mut temperatures);
    let mut problems = health.problems.iter().map(|problem| {
        let part = problem.part.replace(['"', '\\', '\n'], "_");
        (format!("{{code=\"{}\",part=\"{part}\"}}", problem.code), 1.0)
    });
    metric("edgerun_problem", "gauge", "1 for each reason not to be well.", &mut problems);
    let restarts = health.process.restarts as f64;
    let name = "edgerun_restarts_total";
    metric(
        name,
        "counter",
        "Starts on this board after the first.",
        &mut std::iter::once((String::new(), restarts)),
    );
    let pipelines = &health.pipelines;
    let mut each = |name, kind, help, value: &dyn Fn(&crate::net::wire::PipelineHealth) -> f64| {
        let mut samples =
            pipelines.iter().map(|p| (format!("{{pipeline=\"{}\"}}", p.name), value(p)));
        metric(name, kind, help, &mut samples);
    };
    each("edgerun_pipeline_state", "gauge", "0 ok, 1 degraded, 2 failing.", &|p| state(p.state));
    each("edgerun_windows_total", "counter", "Windows that became findings.", &|p| {
        p.windows as f64
    });
    each("edgerun_dropped_windows_total", "counter", "Windows given up.", &|p| {
        p.dropped_windows as f64
    });
    each(
        "edgerun_deadline_misses_total",
        "counter",
        "Findings later than the next window.",
        &|p| p.deadline_misses as f64,
    );
    each("edgerun_latency_p50_seconds", "gauge", "Median latency of the last period.", &|p| {
        p.latency_p50_us as f64 / 1e6
    });
    each("edgerun_latency_p99_seconds", "gauge", "99th percentile of the last period.", &|p| {
        p.latency_p99_us as f64 / 1e6
    });
    let sensors = &health.sensors;
    let mut each = |name, kind, help, value: &dyn Fn(&crate::net::wire::SensorHealth) -> f64| {
        let mut samples = sensors.iter().map(|s| (format!("{{sensor=\"{}\"}}", s.name), value(s)));
        metric(name, kind, help, &mut samples);
    };
    each("edgerun_sensor_up", "gauge", "Whether the sensor answers.", &|s| {
        f64::from(u8::from(s.state == SensorState::Ok))
    });
    each("edgerun_sensor_frames_total", "counter", "Frames read.", &|s| s.frames as f64);
    each(
        "edgerun_sensor_missed_deadlines_total",
        "counter",
        "Reads begun after the next was due.",
        &|s| s.missed_deadlines as f64,
    );
    each("edgerun_sensor_gaps_total", "counter", "Breaks in the stream.", &|s| s.gaps as f64);
    each("edgerun_sensor_bus_errors_total", "counter", "Reads that the bus refused.", &|s| {
        s.bus_errors as f64
    });
    let sinks = health.pipelines.iter().flat_map(|p| p.sinks.iter().map(move |s| (&p.name, s)));
    let mut of_sinks = |name, kind, help, value: &dyn Fn(&SinkHealth) -> f64| {
        let labels =
            |pipeline: &str, sink: &str| format!("{{pipeline=\"{pipeline}\",sink=\"{sink}\"}}");
        let mut samples = sinks.clone().map(|(p, s)| (labels(p, &s.sink), value(s)));
        metric(name, kind, help, &mut samples);
    };
    of_sinks("edgerun_sink_up", "gauge", "Whether the sink does its job.", &|s| {
        f64::from(u8::from(s.last_error.is_none()))
    });
    of_sinks(
        "edgerun_sink_delivered_total",
        "counter",
        "Results and events that arrived, or times that an output was set.",
        &|s| s.delivered as f64,
    );
    of_sinks("edgerun_sink_dropped_total", "counter", "Results and events given up.", &|s| {
        s.dropped as f64
    });
    out
}

fn family(out: &mut String, metric: &Metric<'_>, samples: &mut dyn Iterator<Item = (String, f64)>) {
    let Metric { name, kind, help } = metric;
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a String cannot fail.
    _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        _ = writeln!(out, "{name}{labels} {value}");
    }
}
