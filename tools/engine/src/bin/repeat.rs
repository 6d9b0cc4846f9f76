//! Runs a TFLite model once for each input of a file that holds one after another as they lie in memory,
//! and writes the outputs one after another to another file; for programs that count what a run takes:
//!
//!     repeat MODEL INPUTS RUNS OUTPUTS
//!
//! `repeat MODEL` prints as JSON what the model takes and what its operators are.

use std::error::Error;
use std::fs;

use edgerun::data::{Tensor, TensorData};
use edgerun::engine::{Model, native};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [model] => describe(&*load(model)?),
        [model, inputs, runs, outputs] => {
            let outcome = repeat(&*load(model)?, &fs::read(inputs)?, runs.parse()?)?;
            Ok(fs::write(outputs, outcome)?)
        }
        _ => Err("usage: repeat MODEL [INPUTS RUNS OUTPUTS]".into()),
    }
}

fn load(path: &str) -> Result<Box<dyn Model>, Box<dyn Error>> {
    Ok(native::load(&fs::read(path)?)?)
}

fn describe(model: &dyn Model) -> Result<(), Box<dyn Error>> {
    let inputs = model.signature().inputs.iter().map(
        |input| json!({ "dtype": input.dtype.as_str(), "elements": input.elements() }),
    );
    let ops = model.report().ops.into_iter().map(
        |op| json!({ "node": op.node, "op": op.op, "output": op.output, "macs": op.macs }),
    );
    let (inputs, ops) = (inputs.collect::<Vec<_>>(), ops.collect::<Vec<_>>());
    println!("{}", json!({ "inputs": inputs, "ops": ops }));
    Ok(())
}

fn repeat(model: &dyn Model, mut bytes: &[u8], runs: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut session = model.session()?;
    let mut inputs: Vec<Tensor> = model.signature().inputs.iter().map(Tensor::zeros).collect();
    let mut outputs: Vec<Tensor> = model.signature().outputs.iter().map(Tensor::zeros).collect();
    let mut all = Vec::new();
    for _ in 0..runs {
        for input in &mut inputs {
            let to = bytes_of_mut(input.data_mut())?;
            let (from, rest) = bytes.split_at_checked(to.len()).ok_or("too few inputs")?;
            to.copy_from_slice(from);
            bytes = rest;
        }
        session.infer(&inputs, &mut outputs)?;
        for output in &mut outputs {
            all.extend_from_slice(bytes_of_mut(output.data_mut())?);
        }
    }
    Ok(all)
}

fn bytes_of_mut(data: &mut TensorData) -> Result<&mut [u8], Box<dyn Error>> {
    Ok(match data {
        TensorData::F32(values) => bytemuck::cast_slice_mut(values),
        TensorData::F64(values) => bytemuck::cast_slice_mut(values),
        TensorData::I8(values) => bytemuck::cast_slice_mut(values),
        TensorData::U8(values) => values,
        TensorData::I16(values) => bytemuck::cast_slice_mut(values),
        TensorData::I32(values) => bytemuck::cast_slice_mut(values),
        TensorData::I64(values) => bytemuck::cast_slice_mut(values),
        TensorData::Bool(_) | TensorData::Str(_) => {
            return Err(format!("{} tensors are not handed over", data.dtype()).into());
        }
    })
}
