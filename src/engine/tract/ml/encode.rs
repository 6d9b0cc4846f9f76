//! Categories: `LabelEncoder` looks values up, `OneHotEncoder` gives each its column.

use std::collections::HashMap;

use tract_onnx::prelude::{DatumType, TractResult};
use tract_onnx::tract_core::internal::{Datum, Tensor, bail};

use super::attributes::Attributes;
use super::kernel::{Kernel, Port, only, put, slice};

/// A value that can be looked up. Reals are the same when their bits are; -0 is 0, and NaN is NaN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Int(i64),
    Real(u64),
    Text(String),
}

fn real(x: f64) -> Key {
    let x = if x == 0.0 { 0.0 } else { x };
    Key::Real(if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() })
}

/// Values of one type.
#[derive(Clone, Debug)]
enum Values {
    Ints(Vec<i64>),
    Reals(Vec<f32>),
    Doubles(Vec<f64>),
    Texts(Vec<String>),
}

impl Values {
    /// From `NAME_tensor`, `NAME_int64s`, `NAME_floats` or `NAME_strings`.
    fn parse(attributes: &Attributes, name: &str) -> TractResult<Self> {
        if let Some(tensor) = attributes.tensor(&format!("{name}_tensor"))? {
            return Self::of(&tensor);
        }
        let ints = attributes.ints(&format!("{name}_int64s"))?;
        let reals = attributes.floats(&format!("{name}_floats"))?;
        let texts = attributes.strings(&format!("{name}_strings"))?;
        match (ints.is_empty(), reals.is_empty(), texts.is_empty()) {
            (false, true, true) => Ok(Self::Ints(ints.to_vec())),
            (true, false, true) => Ok(Self::Reals(reals.to_vec())),
            (true, true, false) => Ok(Self::Texts(texts)),
            _ => bail!("exactly one of the attributes {name}_… must have values"),
        }
    }

    fn of(tensor: &Tensor) -> TractResult<Self> {
        Ok(match tensor.datum_type() {
            DatumType::F32 => Self::Reals(slice(tensor)?.to_vec()),
            DatumType::F64 => Self::Doubles(slice(tensor)?.to_vec()),
            DatumType::String => Self::Texts(slice(tensor)?.to_vec()),
            DatumType::I64 => Self::Ints(slice(tensor)?.to_vec()),
            DatumType::I32 | DatumType::I16 | DatumType::Bool | DatumType::TDim => {
                Self::Ints(slice(&*tensor.cast_to::<i64>()?)?.to_vec())
            }
            other => bail!("values of type {other:?} are not known"),
        })
    }

    fn keys(&self) -> Vec<Key> {
        match self {
            Self::Ints(values) => values.iter().map(|&value| Key::Int(value)).collect(),
            Self::Reals(values) => values.iter().map(|&value| real(value.into())).collect(),
            Self::Doubles(values) => values.iter().map(|&value| real(value)).collect(),
            Self::Texts(values) => values.iter().cloned().map(Key::Text).collect(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Reals(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    fn dtype(&self) -> DatumType {
        match self {
            Self::Ints(_) => DatumType::I64,
            Self::Reals(_) => DatumType::F32,
            Self::Doubles(_) => DatumType::F64,
            Self::Texts(_) => DatumType::String,
        }
    }

    /// Adds what stands for a key that is not there.
    fn push_default(&mut self, attributes: &Attributes) -> TractResult<()> {
        let tensor = attributes.tensor("default_tensor")?.map(|tensor| Self::of(&tensor));
        match (self, tensor.transpose()?) {
            (Self::Ints(to), Some(Self::Ints(from))) if from.len() == 1 => to.extend(from),
            (Self::Reals(to), Some(Self::Reals(from))) if from.len() == 1 => to.extend(from),
            (Self::Doubles(to), Some(Self::Doubles(from))) if from.len() == 1 => to.extend(from),
            (Self::Texts(to), Some(Self::Texts(from))) if from.len() == 1 => to.extend(from),
            (_, Some(other)) => bail!("default_tensor has {} {:?}", other.len(), other.dtype()),
            (Self::Ints(to), None) => to.push(attributes.int("default_int64")?.unwrap_or(-1)),
            (Self::Reals(to), None) => to.push(attributes.float("default_float")?.unwrap_or(-0.0)),
            (Self::Doubles(to), None) => to.push(-0.0),
            (Self::Texts(to), None) => {
                let default = attributes.string("default_string")?;
                to.push(default.unwrap_or_else(|| "_Unused".to_owned()));
            }
        }
        Ok(())
    }
}

/// Keys to values of the same shape; the last value is for what is no key.
#[derive(Debug)]
pub(super) struct LabelEncoder {
    keys: DatumType,
    places: HashMap<Key, usize>,
    values: Values,
}

fn look_up<T: Datum + Clone>(
    places: impl Iterator<Item = usize>,
    values: &[T],
    output: &mut Tensor,
) -> TractResult<()> {
    put(output, places.map(|place| values[place].clone()))
}

/// Calls back with the place of each element of `input`.
fn keys_of(input: &Tensor) -> TractResult<Vec<Key>> {
    Ok(Values::of(input)?.keys())
}

impl LabelEncoder {
    fn new(keys: &Values, mut values: Values, attributes: &Attributes) -> TractResult<Self> {
        if keys.len() != values.len() {
            bail!("it has {} keys and {} values", keys.len(), values.len());
        }
        let mut places = HashMap::new();
        for (place, key) in keys.keys().into_iter().enumerate() {
            // The first of equal keys counts.
            places.entry(key).or_insert(place);
        }
        values.push_default(attributes)?;
        Ok(Self { keys: keys.dtype(), places, values })
    }
}

impl Kernel for LabelEncoder {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let classes = attributes.strings("classes_strings")?;
        if classes.is_empty() {
            let keys = Values::parse(attributes, "keys")?;
            return Self::new(&keys, Values::parse(attributes, "values")?, attributes);
        }
        // Version 1: a list of names, in the direction that the input's type says.
        let numbers = Values::Ints((0..classes.len() as i64).collect());
        Self::new(&Values::Texts(classes), numbers, attributes)
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        let same = match self.keys {
            // A whole number that tract may take for a shape's is a TDim there.
            DatumType::I64 => {
                input.dtype.is_integer() || matches!(input.dtype, DatumType::Bool | DatumType::TDim)
            }
            keys => input.dtype == keys,
        };
        if !same {
            bail!("its input is {:?}, its keys are {:?}", input.dtype, self.keys);
        }
        Ok(vec![Port::new(self.values.dtype(), input.shape.clone())])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        let keys = keys_of(inputs[0])?;
        let unknown = self.values.len() - 1;
        let places = keys.iter().map(|key| self.places.get(key).copied().unwrap_or(unknown));
        match &self.values {
            Values::Ints(values) => look_up(places, values, &mut outputs[0]),
            Values::Reals(values) => look_up(places, values, &mut outputs[0]),
            Values::Doubles(values) => look_up(places, values, &mut outputs[0]),
            Values::Texts(values) => look_up(places, values, &mut outputs[0]),
        }
    }
}

/// Each value to a row with a 1 in its category's column: `[..., categories]`.
#[derive(Debug)]
pub(super) struct OneHotEncoder {
    places: HashMap<Key, usize>,
    categories: usize,
    texts: bool,
    /// Whether what is no category is a row of zeros, and not an error.
    zeros: bool,
}

impl Kernel for OneHotEncoder {
    fn parse(attributes: &Attributes) -> TractResult<Self> {
        let categories = Values::parse(attributes, "cats")?;
        let places = categories.keys().into_iter().zip(0..).collect();
        Ok(Self {
            places,
            categories: categories.len(),
            texts: categories.dtype() == DatumType::String,
            zeros: attributes.int("zeros")?.unwrap_or(1) != 0,
        })
    }

    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let input = only(inputs)?;
        if input.is_text() != self.texts {
            bail!("its input is {:?}, which its categories are not", input.dtype);
        }
        let mut shape = input.shape.clone();
        shape.push(self.categories);
        Ok(vec![Port::new(DatumType::F32, shape)])
    }

    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()> {
        // Reals are categories by their whole part.
        let keys = match self.texts {
            true => keys_of(inputs[0])?,
            false => keys_of(&*inputs[0].cast_to::<i64>()?)?,
        };
        let mut view = outputs[0].try_as_plain_ram_mut()?;
        let lines = view.as_slice_mut::<f32>()?.chunks_exact_mut(self.categories);
        for (key, line) in keys.iter().zip(lines) {
            match self.places.get(key) {
                Some(&place) => line[place] = 1.0,
                None if self.zeros => {}
                None => bail!("the value {key:?} is none of its categories"),
            }
        }
        Ok(())
    }
}
