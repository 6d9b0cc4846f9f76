//! Home Assistant's MQTT discovery: one retained payload that describes the device and its entities. Written to the
//! rules of Home Assistant's `mqtt` integration ("Device discovery payload"); checked against its own schemas by
//! `scripts/check-discovery`. The entities read our ordinary topics, so nothing else is published for them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Board, Info, PipelineInfo, Topics};

/// More labels than this make no list of options: the payload stays small.
const OPTIONS_MAX: usize = 32;

/// What an entity is for Home Assistant, by its id within the device.
pub type Platforms = BTreeMap<String, String>;

/// What the payload is made of.
#[derive(Clone, Copy, Debug)]
pub struct Discovery<'a> {
    /// What the device is. Its `commands` decide which buttons there are.
    pub info: &'a Info,
    /// What it tells of the board in `health`; entities of what it does not tell are left out.
    pub board: &'a Board,
    /// The models whose updates are reported.
    pub models: &'a [String],
    /// Its topics.
    pub topics: &'a Topics,
}

/// The topic of `device` below Home Assistant's own `prefix`, as in `homeassistant`.
pub fn topic(prefix: &str, device: &str) -> String {
    format!("{prefix}/device/{device}/config")
}

impl Discovery<'_> {
    /// The entities' platforms.
    pub fn platforms(&self) -> Platforms {
        let platform = |entity: Value| entity["platform"].as_str().unwrap_or_default().to_owned();
        self.entities().0.into_iter().map(|(id, entity)| (id, platform(entity))).collect()
    }

    /// The payload. Of `before`, what was said earlier, Home Assistant is told to forget what is not there any more:
    /// an entity of which nothing but its platform is said.
    pub fn payload(&self, before: &Platforms) -> Value {
        let info = self.info;
        let mut entities = self.entities().0;
        for (id, platform) in before {
            if !entities.contains_key(id) {
                entities.insert(id.clone(), json!({ "platform": platform }));
            }
        }
        let mut device = json!({
            "identifiers": [unique(&info.device)],
            "name": info.device,
            "manufacturer": "edgerun",
            "sw_version": info.version,
        });
        if let Some(board) = &info.hardware.board {
            device["model"] = json!(board);
        }
        json!({
            "device": device,
            "origin": { "name": "edgerun", "sw_version": info.version },
            "availability": [{
                "topic": self.topics.status(),
                "value_template": "{{ 'online' if value_json.state == 'online' else 'offline' }}",
            }],
            "qos": 1,
            "components": entities,
        })
    }

    fn entities(&self) -> Entities<'_> {
        let mut entities = Entities(Map::new(), &self.info.device);
        for pipeline in &self.info.pipelines {
            self.results(&mut entities, pipeline);
            self.pipeline_health(&mut entities, &pipeline.name);
        }
        for sensor in &self.info.sensors {
            let name = &sensor.name;
            let state = in_list("sensors", name, "state", "'lost'");
            entities.add(
                &format!("sensor-{name}"),
                "binary_sensor",
                json!({
                    "name": format!("{name} connected"),
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "state_topic": self.topics.health(),
                    "value_template": on_off(&format!("{state} == 'ok'")),
                }),
            );
        }
        self.board_health(&mut entities);
        for model in self.models {
            self.update(&mut entities, model);
        }
        for (verb, name) in [("pause", "Pause"), ("resume", "Resume")] {
            if self.takes(verb) {
                entities.add(verb, "button", self.press(verb, name, &json!({})));
            }
        }
        entities
    }

    fn takes(&self, verb: &str) -> bool {
        self.info.commands.iter().any(|command| command == verb)
    }

    /// A button that says `verb` with `args`. Without an `id`: each press counts.
    fn press(&self, verb: &str, name: &str, args: &Value) -> Value {
        json!({
            "name": name,
            "entity_category": "config",
            "command_topic": self.topics.command(verb),
            "payload_press": json!({ "args": args }).to_string(),
        })
    }

    fn results(&self, entities: &mut Entities<'_>, pipeline: &PipelineInfo) {
        let name = &pipeline.name;
        let topic = self.topics.result(name);
        let details = |keys: &[&str]| {
            let of_result = keys.iter().map(|key| format!("'{key}': value_json.result.{key}"));
            let of_all = ["model", "version", "seq", "time", "latency_us"];
            let of_all = of_all.iter().map(|key| format!("'{key}': value_json.{key}"));
            let pairs: Vec<_> = of_result.chain(of_all).collect();
            format!("{{{{ {{{}}} | tojson }}}}", pairs.join(", "))
        };
        let score = || {
            json!({
                "name": format!("{name} score"),
                "state_class": "measurement",
                "state_topic": topic,
            })
        };
        match pipeline.kind.as_str() {
            "classification" => {
                // What is no label is no state: `None` is "unknown" in Home Assistant.
                let mut label = json!({
                    "name": name,
                    "icon": "mdi:shape",
                    "state_topic": topic,
                    "value_template": "{{ value_json.result.label }}",
                    "json_attributes_topic": topic,
                    "json_attributes_template": details(&["score", "top"]),
                });
                if let Some(options) = options(&pipeline.labels) {
                    label["device_class"] = json!("enum");
                    label["options"] = json!(options);
                }
                entities.add(&format!("result-{name}"), "sensor", label);
                let mut score = score();
                score["unit_of_measurement"] = json!("%");
                let percent = "{{ (value_json.result.score | float(0) * 100) | round(1) }}";
                score["value_template"] = json!(percent);
                entities.add(&format!("score-{name}"), "sensor", score);
            }
            "regression" => {
                let mut value = json!({
                    "name": name,
                    "state_class": "measurement",
                    "state_topic": topic,
                    "value_template": "{{ value_json.result.value }}",
                    "json_attributes_topic": topic,
                    "json_attributes_template": details(&[]),
                });
                match pipeline.unit.as_deref() {
                    None | Some("" | "1") => {}
                    Some(unit) => {
                        value["unit_of_measurement"] = json!(unit);
                        if let Some(class) = device_class(unit) {
                            value["device_class"] = json!(class);
                        }
                    }
                }
                entities.add(&format!("result-{name}"), "sensor", value);
            }
            "anomaly" => {
                entities.add(
                    &format!("result-{name}"),
                    "binary_sensor",
                    json!({
                        "name": name,
                        "device_class": "problem",
                        "state_topic": topic,
                        "value_template": on_off("value_json.result.anomalous"),
                        "json_attributes_topic": topic,
                        "json_attributes_template": details(&["score", "limit"]),
                    }),
                );
                let mut score = score();
                score["value_template"] = json!("{{ value_json.result.score }}");
                entities.add(&format!("score-{name}"), "sensor", score);
            }
            kind @ ("action" | "cluster") => {
                let mut chosen = json!({
                    "name": name,
                    "state_topic": topic,
                    "value_template": format!("{{{{ value_json.result.{kind} }}}}"),
                    "json_attributes_topic": topic,
                    "json_attributes_template": details(&[]),
                });
                if kind == "action" && !pipeline.labels.is_empty() {
                    chosen["device_class"] = json!("enum");
                    chosen["options"] = json!(pipeline.labels);
                }
                entities.add(&format!("result-{name}"), "sensor", chosen);
            }
            // A kind of a later version has its own entity there.
            _ => {}
        }
    }

    fn pipeline_health(&self, entities: &mut Entities<'_>, name: &str) {
        let health = self.topics.health();
        let figure = |key: &str| in_list("pipelines", name, key, "0");
        let paused = in_list("pipelines", name, "paused", "false");
        let state = in_list("pipelines", name, "state", "'failing'");
        entities.add(
            &format!("running-{name}"),
            "binary_sensor",
            json!({
                "name": format!("{name} running"),
                "device_class": "running",
                "entity_category": "diagnostic",
                "state_topic": health,
                "value_template": on_off(&format!("{state} != 'failing' and not {paused}")),
            }),
        );
        entities.add(
            &format!("latency-{name}"),
            "sensor",
            json!({
                "name": format!("{name} latency p99"),
                "device_class": "duration",
                "unit_of_measurement": "ms",
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "state_topic": health,
                "value_template": format!("{{{{ {} / 1000 }}}}", figure("latency_p99_us")),
            }),
        );
        entities.add(
            &format!("rate-{name}"),
            "sensor",
            json!({
                "name": format!("{name} rate"),
                "device_class": "frequency",
                "unit_of_measurement": "Hz",
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "state_topic": health,
                "value_template": format!("{{{{ {} | round(2) }}}}", figure("rate_hz")),
            }),
        );
        for (verb, says) in [("pause", "pause"), ("resume", "resume")] {
            if self.takes(verb) {
                let args = json!({ "pipeline": name });
                let button = self.press(verb, &format!("{name} {says}"), &args);
                entities.add(&format!("{verb}-{name}"), "button", button);
            }
        }
    }

    fn board_health(&self, entities: &mut Entities<'_>) {
        let topic = self.topics.health();
        entities.add(
            "health",
            "sensor",
            json!({
                "name": "Health",
                "device_class": "enum",
                "options": ["ok", "degraded", "failing"],
                "entity_category": "diagnostic",
                "state_topic": topic,
                "value_template": "{{ value_json.state }}",
                "json_attributes_topic": topic,
                "json_attributes_template": "{{ {'reasons': value_json.reasons} | tojson }}",
            }),
        );
        let board = self.board;
        let mut figure = |id: &str, name: &str, class: Option<&str>, unit: &str, value: &str| {
            let mut sensor = json!({
                "name": name,
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "state_topic": topic,
                "value_template": format!("{{{{ {value} }}}}"),
            });
            if let Some(class) = class {
                sensor["device_class"] = json!(class);
            }
            if !unit.is_empty() {
                sensor["unit_of_measurement"] = json!(unit);
            }
            entities.add(id, "sensor", sensor);
        };
        let mib = |key: &str| format!("(value_json.board.{key} | default(0) / 1048576) | round(0)");
        figure("process-cpu", "CPU of edgerun", None, "%", "value_json.process.cpu_percent");
        let rss = "(value_json.process.rss_bytes / 1048576) | round(1)";
        figure("process-memory", "Memory of edgerun", Some("data_size"), "MiB", rss);
        figure("restarts", "Restarts", None, "", "value_json.process.restarts");
        figure("queue", "Messages waiting", None, "", "value_json.mqtt.queue");
        if board.temperature_c.is_some() {
            let value = "value_json.board.temperature_c | default(none)";
            figure("temperature", "Temperature", Some("temperature"), "°C", value);
        }
        if board.load.is_some() {
            let value = "value_json.board.cpu_percent | default(none)";
            figure("cpu", "CPU", None, "%", value);
        }
        if board.memory_available_bytes.is_some() {
            let value = mib("memory_available_bytes");
            figure("memory", "Memory available", Some("data_size"), "MiB", &value);
        }
        if board.disk_free_bytes.is_some() {
            let value = mib("disk_free_bytes");
            figure("disk", "Disk free", Some("data_size"), "MiB", &value);
        }
        if board.disk_wear_percent.is_some() {
            let value = "value_json.board.disk_wear_percent | default(none)";
            figure("disk-wear", "Disk wear", None, "%", value);
        }
        let mut trouble = |id: &str, name: &str, key: &str| {
            let value = format!("value_json.board.{key} | default(false)");
            entities.add(
                id,
                "binary_sensor",
                json!({
                    "name": name,
                    "device_class": "problem",
                    "entity_category": "diagnostic",
                    "state_topic": topic,
                    "value_template": on_off(&value),
                }),
            );
        };
        if board.throttled.is_some() {
            trouble("throttled", "Throttled", "throttled");
        }
        if board.under_voltage.is_some() {
            trouble("under-voltage", "Under-voltage", "under_voltage");
        }
    }

    fn update(&self, entities: &mut Entities<'_>, model: &str) {
        const STATE: &str = "{% set running = (value_json.running | default({})).version | default('none') %}\
            {{ {'installed_version': running, 'latest_version': value_json.target | default(running), \
            'in_progress': value_json.target is defined, \
            'update_percentage': (value_json.progress | default({})).percent | default(none)} | tojson }}";
        let topic = self.topics.reported(model);
        let mut update = json!({
            "name": format!("Model {model}"),
            "title": model,
            "entity_category": "config",
            "state_topic": topic,
            "value_template": STATE,
            "json_attributes_topic": topic,
            "json_attributes_template":
                "{{ {'state': value_json.state, 'failure': value_json.failure | default(none)} | tojson }}",
        });
        if self.takes("update") {
            let install = json!({ "args": { "model": model, "version": "latest" } });
            update["command_topic"] = json!(self.topics.command("update"));
            update["payload_install"] = json!(install.to_string());
        }
        entities.add(&format!("update-{model}"), "update", update);
    }
}

/// The entities by their ids, and the device's id.
struct Entities<'a>(Map<String, Value>, &'a str);

impl Entities<'_> {
    fn add(&mut self, id: &str, platform: &str, mut entity: Value) {
        let unique = format!("{}_{id}", unique(self.1));
        entity["platform"] = json!(platform);
        entity["unique_id"] = json!(unique);
        self.0.insert(id.to_owned(), entity);
    }
}

fn unique(device: &str) -> String {
    format!("edgerun_{device}")
}

fn on_off(condition: &str) -> String {
    format!("{{{{ 'ON' if {condition} else 'OFF' }}}}")
}

/// `key` of what is called `name` in a list of `health`. Names are of letters, digits, `_` and `-`.
fn in_list(list: &str, name: &str, key: &str, default: &str) -> String {
    format!(
        "(value_json.{list} | selectattr('name', 'eq', '{name}') | map(attribute='{key}') | first | default({default}))"
    )
}

/// The labels as states, where Home Assistant can take them: each once, none of them its word for "unknown".
fn options(labels: &[String]) -> Option<Vec<&str>> {
    /// Home Assistant's longest state.
    const STATE_CHARS_MAX: usize = 255;
    let mut options: Vec<&str> = Vec::with_capacity(labels.len());
    for label in labels {
        if label == "None" || label.is_empty() || label.chars().count() > STATE_CHARS_MAX {
            return None;
        }
        if !options.contains(&label.as_str()) {
            options.push(label);
        }
    }
    (1..=OPTIONS_MAX).contains(&options.len()).then_some(options)
}

/// What Home Assistant calls a quantity, where its unit says so without doubt.
fn device_class(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "°C" | "K" => "temperature",
        "V" | "mV" => "voltage",
        "A" | "mA" => "current",
        "Hz" => "frequency",
        "Pa" | "hPa" | "bar" => "pressure",
        "lx" => "illuminance",
        "m/s" => "speed",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::net::wire::{Hardware, SensorInfo};

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/discovery/");

    fn pipeline(name: &str, kind: &str, labels: &[&str], unit: Option<&str>) -> PipelineInfo {
        PipelineInfo {
            name: name.to_owned(),
            sensor: "imu".to_owned(),
            model: name.to_owned(),
            version: "1.0.0".to_owned(),
            engine: "native".to_owned(),
            kind: kind.to_owned(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            unit: unit.map(str::to_owned),
        }
    }

    /// As the demo's device says of itself.
    fn demo() -> Info {
        Info {
            device: "demo".to_owned(),
            version: "0.1.0".to_owned(),
            sensors: vec![SensorInfo { name: "imu".to_owned(), ..SensorInfo::default() }],
            pipelines: vec![pipeline(
                "gestures",
                "classification",
                &["standing", "running", "walking", "badminton"],
                None,
            )],
            ..Info::default()
        }
    }

    fn everything() -> Info {
        let mut info = demo();
        info.device = "bench-07".to_owned();
        info.hardware = Hardware {
            board: Some("Raspberry Pi 4 Model B Rev 1.4".into()),
            ..Hardware::default()
        };
        info.pipelines.push(pipeline("pump", "anomaly", &[], None));
        info.pipelines.push(pipeline("room", "regression", &[], Some("°C")));
        info.pipelines.push(pipeline("flow", "regression", &[], Some("l/min")));
        let many: Vec<String> = (0..100).map(|label| label.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        info.pipelines.push(pipeline("birds", "classification", &many, None));
        info.commands = ["pause", "resume", "update"].map(str::to_owned).to_vec();
        info
    }

    fn tells_all() -> Board {
        Board {
            temperature_c: Some(48.5),
            load: Some([0.0; 3]),
            memory_available_bytes: Some(1),
            disk_free_bytes: Some(1),
            disk_wear_percent: Some(10),
            throttled: Some(false),
            under_voltage: Some(false),
            ..Board::default()
        }
    }

    fn payload(info: &Info, board: &Board, before: &Platforms) -> Value {
        let topics = Topics::new(None, &info.device);
        let models = ["gestures".to_owned()];
        Discovery { info, board, models: &models, topics: &topics }.payload(before)
    }

    fn payloads() -> [(&'static str, Value); 3] {
        let gone = Platforms::from([
            ("result-old".to_owned(), "sensor".to_owned()),
            ("pause-old".to_owned(), "button".to_owned()),
            // Still there.
            ("health".to_owned(), "sensor".to_owned()),
        ]);
        [
            ("demo", payload(&demo(), &Board::default(), &Platforms::new())),
            ("everything", payload(&everything(), &tells_all(), &Platforms::new())),
            ("removal", payload(&demo(), &Board::default(), &gone)),
        ]
    }

    /// `scripts/check-discovery` gives these files to Home Assistant's schemas.
    #[test]
    fn the_payloads_are_those_that_home_assistant_has_checked() {
        for (name, payload) in payloads() {
            let path = format!("{FOLDER}{name}.json");
            let text = serde_json::to_string_pretty(&payload).unwrap() + "\n";
            if std::env::var_os("EDGERUN_WRITE_DOCS").is_some() {
                fs::write(&path, &text).unwrap();
            }
            let kept = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                kept == text,
                "{path} is behind; run this test with EDGERUN_WRITE_DOCS=1, then scripts/check-discovery\n{text}"
            );
        }
    }

    /// Home Assistant drops keys that it does not know without a word.
    #[test]
    fn home_assistant_knows_every_key() {
        let known = fs::read_to_string(format!("{FOLDER}keys.json")).unwrap();
        let known: BTreeMap<String, Vec<String>> = serde_json::from_str(&known).unwrap();
        let check = |what: &str, object: &Value| {
            for key in object.as_object().unwrap().keys() {
                assert!(known[what].contains(key), "{what} has no key {key}");
            }
        };
        for (_, payload) in payloads() {
            check("payload", &payload);
            check("device", &payload["device"]);
            check("origin", &payload["origin"]);
            check("availability", &payload["availability"][0]);
            for entity in payload["components"].as_object().unwrap().values() {
                check(entity["platform"].as_str().unwrap(), entity);
            }
        }
    }

    #[test]
    fn a_pipeline_that_is_gone_is_forgotten_and_one_that_is_there_is_not() {
        let [_, _, (_, removal)] = payloads();
        assert_eq!(removal["components"]["result-old"], json!({ "platform": "sensor" }));
        assert_eq!(removal["components"]["pause-old"], json!({ "platform": "button" }));
        assert_eq!(removal["components"]["health"]["name"], "Health");
    }

    #[test]
    fn only_commands_that_are_taken_have_buttons() {
        let [(_, demo), (_, everything), _] = payloads();
        for id in ["pause", "resume", "pause-gestures", "resume-gestures"] {
            assert!(demo["components"].get(id).is_none(), "{id}");
            assert_eq!(everything["components"][id]["platform"], "button", "{id}");
        }
        assert!(demo["components"]["update-gestures"].get("command_topic").is_none());
        let update = &everything["components"]["update-gestures"];
        assert_eq!(update["command_topic"], "edgerun/bench-07/cmd/update");
    }

    #[test]
    fn labels_that_home_assistant_cannot_take_are_no_options() {
        let labels = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        assert_eq!(options(&labels(&["a", "b", "a"])), Some(vec!["a", "b"]));
        assert_eq!(options(&labels(&[])), None);
        assert_eq!(options(&labels(&["a", "None"])), None);
        assert_eq!(options(&labels(&["a", ""])), None);
        assert_eq!(options(&labels(&[&"x".repeat(256)])), None);
        let many: Vec<_> = (0..=OPTIONS_MAX).map(|n| n.to_string()).collect();
        assert_eq!(options(&many), None);
    }

    #[test]
    fn a_payload_of_many_pipelines_is_no_burden() {
        let bytes = payload(&everything(), &tells_all(), &Platforms::new()).to_string().len();
        assert!(bytes < 32 << 10, "{bytes}");
    }
}
