//! `POST /predict`: JSON arrays or a picture in, `{"prediction": […]}` out, as a plain Flask model service does.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::data::{Finding, Picture, payload};
use crate::pictures::{self, PictureFormat};

/// Instances in one request.
const INSTANCES_MAX: usize = 4096;

/// What a model is asked about.
#[derive(Clone, Copy, Debug)]
pub enum Instance<'a> {
    /// Sensor-side rows, row-major `[frames, channels]`.
    Rows(&'a [f32]),
    /// A picture.
    Picture(&'a Picture),
}

/// An instance to a finding; stateless from call to call.
pub type Predict = Box<dyn FnMut(Instance<'_>) -> Result<Finding, String> + Send>;

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// So many rows of so many values.
    Rows {
        /// Rows of an instance.
        frames: usize,
        /// Values of a row.
        channels: usize,
    },
    /// Pictures of any size.
    Picture,
}

/// What an instance is: another version of the model may take another one.
pub type Shape = Box<dyn Fn() -> Result<Takes, String> + Send + Sync>;

/// A pipeline's model as HTTP sees it.
pub struct Door {
    /// The pipeline's name.
    pub pipeline: String,
    /// What an instance is; an error says why there is no model at present.
    pub shape: Shape,
    /// Recipe, engine and postprocess.
    pub predict: Mutex<Predict>,
}

/// Answers the request `body` for the pipeline `wanted`, or for the only one.
///
/// # Errors
/// A sentence for the client: what is wrong with the request.
pub(super) fn answer(
    doors: &[Door],
    wanted: Option<&str>,
    body: &[u8],
) -> Result<Vec<Value>, String> {
    if PictureFormat::of(body).is_some() {
        return look(doors, wanted, body);
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    predict(doors, wanted, &value)
}

/// Predictions for `value`, an instance or a list of them, by the pipeline `wanted`, or the only one.
///
/// # Errors
/// A sentence for whoever asked.
pub fn predict(doors: &[Door], wanted: Option<&str>, value: &Value) -> Result<Vec<Value>, String> {
    let door = choose(doors, wanted)?;
    let Takes::Rows { frames, channels } = (door.shape)()? else {
        return Err("the model takes a picture: send a JPEG, PNG or BMP file as the body".into());
    };
    let instances = instances(value, frames, channels)?;
    let mut predict = door.predict.lock().unwrap_or_else(PoisonError::into_inner);
    let each = |(index, rows): (usize, &[f32])| {
        let finding =
            predict(Instance::Rows(rows)).map_err(|error| format!("instance {index}: {error}"))?;
        Ok(prediction(finding))
    };
    instances.chunks_exact(frames * channels).enumerate().map(each).collect()
}

/// What is found in the file `body`.
fn look(doors: &[Door], wanted: Option<&str>, body: &[u8]) -> Result<Vec<Value>, String> {
    let door = choose(doors, wanted)?;
    if (door.shape)()? != Takes::Picture {
        return Err("the model takes rows of numbers as JSON, not a picture".into());
    }
    let picture =
        pictures::decode(body, Vec::new()).map_err(|why| format!("the picture: {why}"))?;
    let mut predict = door.predict.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(vec![prediction(predict(Instance::Picture(&picture))?)])
}

fn choose<'a>(doors: &'a [Door], wanted: Option<&str>) -> Result<&'a Door, String> {
    let names = || doors.iter().map(|door| door.pipeline.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, doors) {
        (Some(name), _) => doors
            .iter()
            .find(|door| door.pipeline == name)
            .ok_or_else(|| format!("no pipeline {name:?}; there are: {}", names())),
        (None, [door]) => Ok(door),
        (None, []) => Err("no pipeline runs".into()),
        (None, _) => Err(format!("several pipelines run; add ?pipeline=NAME, one of: {}", names())),
    }
}

/// All instances, one after the other; their number is the length over frames x channels.
fn instances(value: &Value, frames: usize, channels: usize) -> Result<Vec<f32>, String> {
    let mut shape = Vec::new();
    let mut at = value;
    while let Value::Array(items) = at {
        shape.push(items.len());
        if shape.len() > 3 {
            break;
        }
        let Some(first) = items.first() else { break };
        at = first;
    }
    let count = match *shape.as_slice() {
        [n, f, c] if (f, c) == (frames, channels) => n,
        [n, c] if frames == 1 && c == channels => n,
        [f, c] if (f, c) == (frames, channels) => 1,
        [c] if frames == 1 && c == channels => 1,
        _ => {
            let instance = match frames {
                1 => format!("a row of {channels} numbers"),
                _ => format!("{frames} rows of {channels} numbers"),
            };
            return Err(format!(
                "send a JSON array of instances, each {instance}; found {}",
                if shape.is_empty() { "no array".to_owned() } else { format!("shape {shape:?}") }
            ));
        }
    };
    if count > INSTANCES_MAX {
        return Err(format!("{count} instances in one request; the limit is {INSTANCES_MAX}"));
    }
    let mut flat = Vec::with_capacity(count * frames * channels);
    flatten(value, &shape, &mut flat)?;
    Ok(flat)
}

/// Appends the numbers of `value`, whose every array must be as long as `shape` says; null is missing.
fn flatten(value: &Value, shape: &[usize], flat: &mut Vec<f32>) -> Result<(), String> {
    match (value, shape) {
        (Value::Array(items), [length, rest @ ..]) if items.len() == *length => {
            items.iter().try_for_each(|item| flatten(item, rest, flat))
        }
        (Value::Array(items), [length, ..]) => {
            Err(format!("arrays of one depth differ in length: {length} and {}", items.len()))
        }
        (Value::Null, []) => {
            flat.push(f32::NAN);
            Ok(())
        }
        (Value::Number(number), []) => {
            let number = number.as_f64().unwrap_or(f64::NAN) as f32;
            if !number.is_finite() {
                return Err("a number is too large".into());
            }
            flat.push(number);
            Ok(())
        }
        _ => Err("instances hold numbers (or null for a missing value) and nothing else".into()),
    }
}

/// A label, a number or a score: what `model.predict(rows).tolist()` would hold.
fn prediction(finding: Finding) -> Value {
    let number = |value: f32| {
        serde_json::Number::from_f64(f64::from(value)).map_or(Value::Null, Value::Number)
    };
    match finding {
        Finding::Classification { top, .. } => {
            top.first().map_or(Value::Null, |best| Value::String(best.label.to_string()))
        }
        Finding::Regression { value, .. } => number(value),
        Finding::Anomaly { score, .. } => number(score),
        Finding::Action { action, .. } => Value::String(action.to_string()),
        Finding::Cluster { cluster, .. } => {
            cluster.map_or(Value::Null, |cluster| Value::String(cluster.to_string()))
        }
        Finding::Vector { vector } => Value::Array(vector.into_iter().map(number).collect()),
        Finding::Detection { .. } | Finding::Keypoints { .. } | Finding::Segmentation { .. } => {
            // The list that a result has.
            let listed = payload::result(&finding);
            listed
                .as_object()
                .and_then(|object| object.values().next())
                .cloned()
                .unwrap_or_default()
        }
    }
}
