"""Home Assistant's own rules on our discovery payloads. Run by check.mjs after stubs.py."""

import copy
import importlib
import json
import re

import jinja2
import probatio

import homeassistant.components.mqtt.schemas as schemas
import homeassistant.helpers.config_validation as cv
from homeassistant.components.mqtt.update import MQTT_JSON_UPDATE_SCHEMA

FOLDER = "/repository/tests/data/discovery/"
PLATFORMS = ("sensor", "binary_sensor", "update", "button")
SCHEMAS = {
    platform: importlib.import_module("homeassistant.components.mqtt." + platform).DISCOVERY_SCHEMA
    for platform in PLATFORMS
}


class Home:
    """What templates are bound to."""

    data = {}
    config = Stub()


cv._hass.hass = Home()


def check(payload):
    """Raises where Home Assistant would refuse the payload or one of its entities; how many there are."""
    device = schemas.validate_device_discovery_components(
        schemas.DEVICE_DISCOVERY_SCHEMA(copy.deepcopy(payload))
    )
    entities, seen = 0, set()
    for name, entity in device["components"].items():
        entity = dict(entity)
        platform = entity.pop("platform")
        if not entity:
            continue  # Home Assistant forgets it.
        for key in ("device", "origin", *schemas.SHARED_OPTIONS):
            if key in payload:
                entity.setdefault(key, copy.deepcopy(payload[key]))
        try:
            checked = SCHEMAS[platform](entity)
        except probatio.Invalid as error:
            raise probatio.Invalid(f"{name}: {error}") from error
        if checked["unique_id"] in seen:
            raise probatio.Invalid(f"{name}: its unique_id is another's")
        seen.add(checked["unique_id"])
        entities += 1
    return entities


def keys(schema):
    """The keys that a schema has."""
    if isinstance(schema, probatio.Schema):
        return keys(schema.schema)
    if isinstance(schema, dict):
        return {str(getattr(key, "schema", key)) for key in schema}
    return {key for part in getattr(schema, "validators", ()) for key in keys(part)}


def value(schema, wanted):
    """What a schema wants of one key."""
    schema = getattr(schema, "schema", schema)
    return next(part for key, part in schema.items() if str(getattr(key, "schema", key)) == wanted)


def known_keys():
    """The keys of the payload, its parts and each platform."""
    device = schemas.DEVICE_DISCOVERY_SCHEMA
    availability = value(device, "availability")
    known = {
        "payload": keys(device),
        "device": keys(value(device, "device")),
        "origin": keys(value(device, "origin")),
        "availability": {str(getattr(key, "schema", key)) for key in availability.validators[1][0]},
    }
    for platform, schema in SCHEMAS.items():
        known[platform] = keys(schema) | {"platform"}
    return {what: sorted(of) for what, of in known.items()}


def examples():
    """The examples of docs/mqtt.md by the last levels of their topics."""
    text = open("/repository/docs/mqtt.md").read()
    found = {}
    for schema, example in re.findall(r"<!-- schema: (\S+) -->\n```json\n(.*?)```", text, re.S):
        found.setdefault(schema, []).append(json.loads(example))
    return found


def payloads_of(topic, entity, found):
    """The examples that may come on a topic, as that entity would see them."""
    if topic.endswith("/health"):
        return found["health"]
    if topic.endswith("/reported"):
        return found["reported"]
    if topic.endswith("/status"):
        return found["status"]
    kinds = {"label", "score", "value", "anomalous"}
    wanted = {kind for kind in kinds if f"result.{kind}" in entity.get("value_template", "")}
    results = [result for result in found["result"] if wanted <= result["result"].keys()]
    # The documentation has no example of a regression.
    regression = {"result": {"value": 21.5, "unit": "°C"}}
    return results or [{**found["result"][0], **regression}]


ENVIRONMENT = jinja2.Environment(undefined=jinja2.StrictUndefined)


def render(template, payload):
    return ENVIRONMENT.from_string(template).render(value_json=payload)


def check_templates(payload, found):
    """Each template gives something that its entity can show, for every example."""
    rendered = 0
    for entry in payload["availability"]:
        for example in found["status"]:
            assert render(entry["value_template"], example) in ("online", "offline")
    for name, entity in payload["components"].items():
        if "value_template" not in entity:
            continue
        for example in payloads_of(entity["state_topic"], entity, found):
            state = render(entity["value_template"], example)
            rendered += 1
            where = f"{name}: {state!r}"
            if entity["platform"] == "update":
                MQTT_JSON_UPDATE_SCHEMA(json.loads(state))
            elif entity["platform"] == "binary_sensor":
                assert state in ("ON", "OFF"), where
            elif "options" in entity:
                assert state in entity["options"], where
            elif entity.get("state_class"):
                assert state == "None" or float(state) == float(state), where
            if "json_attributes_template" in entity:
                assert isinstance(json.loads(render(entity["json_attributes_template"], example)), dict)
    return rendered


def change(path, to):
    """A change of the payload: `to` at `path`, or nothing there any more."""

    def apply(payload):
        for step in path[:-1]:
            payload = payload[step]
        if to is None:
            del payload[path[-1]]
        else:
            payload[path[-1]] = to

    return apply


def entity(name, key, to):
    return change(("components", name, key), to)


BROKEN = {
    "no origin": change(("origin",), None),
    "no components": change(("components",), None),
    "no identifiers": change(("device", "identifiers"), None),
    "no unique_id": entity("temperature", "unique_id", None),
    "no platform": entity("temperature", "platform", None),
    "unknown platform": entity("temperature", "platform", "senzor"),
    "unknown device class": entity("temperature", "device_class", "warmth"),
    "wrong unit for the class": entity("temperature", "unit_of_measurement", "kg"),
    "unknown state class": entity("temperature", "state_class", "sometimes"),
    "options with a state class": entity("health", "state_class", "measurement"),
    "options without enum": entity("health", "device_class", None),
    "no options": entity("health", "options", []),
    "wildcard in a state topic": entity("health", "state_topic", "edgerun/#/health"),
    "wildcard in a command topic": entity("pause", "command_topic", "edgerun/+/cmd/pause"),
    "no command topic of a button": entity("pause", "command_topic", None),
    "no state topic": entity("throttled", "state_topic", None),
    "quality of service 5": change(("qos",), 5),
    "wrong category of a sensor": entity("temperature", "entity_category", "configuration"),
    "two entities with one id": entity("health", "unique_id", "edgerun_bench-07_temperature"),
}

known = json.dumps(known_keys(), indent=2) + "\n"
if WRITE:
    open(f"{FOLDER}keys.json", "w").write(known)
elif open(f"{FOLDER}keys.json").read() != known:
    raise SystemExit("tests/data/discovery/keys.json is not what Home Assistant knows; run with --write")

found = examples()
for name in ("demo", "everything", "removal"):
    payload = json.load(open(f"{FOLDER}{name}.json"))
    entities = check(payload)
    rendered = check_templates(payload, found)
    print(f"{name}: {entities} entities, {rendered} states from examples")

good = json.load(open(f"{FOLDER}everything.json"))
for what, breaks in BROKEN.items():
    broken = copy.deepcopy(good)
    breaks(broken)
    try:
        check(broken)
    except probatio.Invalid:
        continue
    raise SystemExit(f"Home Assistant takes a payload with: {what}; is this check still one?")
print(f"{len(BROKEN)} broken payloads are refused")
