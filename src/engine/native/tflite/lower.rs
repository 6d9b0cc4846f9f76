//! One TFLite operator into one [`Op`]: which it is, and its options.

use super::schema::{self, options};
use crate::engine::native::flatbuffer::{FlatError, Table};
use crate::engine::native::graph::{Activation, Op, Padding, Window};
use crate::engine::native::kernels::Refusal;

/// An operator's options, read; the outer error is the file's, the inner one ours.
type Lower = Result<Result<Op, Refusal>, FlatError>;

/// The operator that `code` and `operator` stand for, and its name.
pub(super) fn lower(
    code: &Table<'_>,
    operator: &Table<'_>,
) -> Result<(&'static str, Result<Op, Refusal>), FlatError> {
    // Files from before 2020 have only the old byte.
    let old = code.scalar(schema::operator_code::DEPRECATED_BUILTIN_CODE, 0i8)?;
    let number = code.scalar(schema::operator_code::BUILTIN_CODE, 0i32)?.max(i32::from(old));
    let Some(name) = schema::operator_name(number) else {
        let why = format!("operator number {number} is newer than this schema");
        return Ok(("UNKNOWN", Err(Refusal::Unsupported(why))));
    };
    if number == schema::CUSTOM {
        let custom = code.text(schema::operator_code::CUSTOM_CODE)?.unwrap_or("without a name");
        let why = format!("custom operator {}", custom.escape_debug());
        return Ok((name, Err(Refusal::Unsupported(why))));
    }
    let op = match name {
        "CONV_2D" => conv2d(operator)?,
        "DEPTHWISE_CONV_2D" => depthwise_conv2d(operator)?,
        "FULLY_CONNECTED" => fully_connected(operator)?,
        "AVERAGE_POOL_2D" => pool(operator, |kernel, window, activation| Op::AveragePool2d {
            kernel,
            window,
            activation,
        })?,
        "MAX_POOL_2D" => pool(operator, |kernel, window, activation| Op::MaxPool2d {
            kernel,
            window,
            activation,
        })?,
        "ADD" => add(operator)?,
        "SOFTMAX" => softmax(operator)?,
        "MEAN" => Ok(Op::Mean),
        "QUANTIZE" => Ok(Op::Quantize),
        "DEQUANTIZE" => Ok(Op::Dequantize),
        "PAD" => Ok(Op::Pad),
        "RESHAPE" | "EXPAND_DIMS" | "SQUEEZE" => Ok(Op::Reshape),
        _ => Err(Refusal::Unsupported("there is no kernel for this operator".into())),
    };
    Ok((name, op))
}

/// The operator's options if they are table `kind`; without any, every option has its default.
fn options<'a>(operator: &Table<'a>, kind: u8) -> Result<Options<'a>, FlatError> {
    let found = operator.scalar(schema::operator::OPTIONS_TYPE, 0u8)?;
    let table = if found == kind { operator.table(schema::operator::OPTIONS)? } else { None };
    Ok(Options { table })
}

struct Options<'a> {
    table: Option<Table<'a>>,
}

impl Options<'_> {
    fn byte(&self, field: usize) -> Result<i8, FlatError> {
        self.table.map_or(Ok(0), |table| table.scalar(field, 0))
    }

    /// Two fields that have to be positive.
    fn sizes(
        &self,
        fields: [usize; 2],
        default: i32,
    ) -> Result<Result<[usize; 2], Refusal>, FlatError> {
        let mut sizes = [1; 2];
        for (size, field) in sizes.iter_mut().zip(fields) {
            let value = self.table.map_or(Ok(default), |table| table.scalar(field, default))?;
            match usize::try_from(value) {
                Ok(value) if value > 0 => *size = value,
                _ => {
                    let why = format!("a stride, dilation or filter size of {value}");
                    return Ok(Err(Refusal::Malformed(why)));
                }
            }
        }
        Ok(Ok(sizes))
    }
}

fn padding(number: i8) -> Result<Padding, Refusal> {
    match number {
        0 => Ok(Padding::Same),
        1 => Ok(Padding::Valid),
        other => Err(Refusal::Malformed(format!("padding number {other}"))),
    }
}

fn activation(number: i8) -> Result<Activation, Refusal> {
    match number {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        other => Err(Refusal::Unsupported(format!("fused activation number {other}"))),
    }
}

fn conv2d(operator: &Table<'_>) -> Lower {
    // Conv2DOptions: padding, stride w, stride h, activation, dilation w, dilation h.
    let options = options(operator, options::CONV_2D)?;
    let (pad, act) = (options.byte(0)?, options.byte(3)?);
    let (stride, dilation) = (options.sizes([2, 1], 0)?, options.sizes([5, 4], 1)?);
    Ok((|| {
        let window = Window { padding: padding(pad)?, stride: stride?, dilation: dilation? };
        Ok(Op::Conv2d { window, activation: activation(act)? })
    })())
}

fn depthwise_conv2d(operator: &Table<'_>) -> Lower {
    // DepthwiseConv2DOptions: padding, stride w, stride h, multiplier (the shapes say it), activation,
    // dilation w, dilation h.
    let options = options(operator, options::DEPTHWISE_CONV_2D)?;
    let (pad, act) = (options.byte(0)?, options.byte(4)?);
    let (stride, dilation) = (options.sizes([2, 1], 0)?, options.sizes([6, 5], 1)?);
    Ok((|| {
        let window = Window { padding: padding(pad)?, stride: stride?, dilation: dilation? };
        Ok(Op::DepthwiseConv2d { window, activation: activation(act)? })
    })())
}

fn pool(operator: &Table<'_>, make: fn([usize; 2], Window, Activation) -> Op) -> Lower {
    // Pool2DOptions: padding, stride w, stride h, filter width, filter height, activation.
    let options = options(operator, options::POOL_2D)?;
    let (pad, act) = (options.byte(0)?, options.byte(5)?);
    let (stride, kernel) = (options.sizes([2, 1], 0)?, options.sizes([4, 3], 0)?);
    Ok((|| {
        let window = Window { padding: padding(pad)?, stride: stride?, dilation: [1, 1] };
        Ok(make(kernel?, window, activation(act)?))
    })())
}

fn fully_connected(operator: &Table<'_>) -> Lower {
    // FullyConnectedOptions: activation, weights format, keep dims (the shapes say it).
    let options = options(operator, options::FULLY_CONNECTED)?;
    let (act, format) = (options.byte(0)?, options.byte(1)?);
    if format != 0 {
        return Ok(Err(Refusal::Unsupported(format!("weights format number {format}"))));
    }
    Ok(activation(act).map(|activation| Op::FullyConnected { activation }))
}

fn add(operator: &Table<'_>) -> Lower {
    // AddOptions: activation.
    let act = options(operator, options::ADD)?.byte(0)?;
    Ok(activation(act).map(|activation| Op::Add { activation }))
}

fn softmax(operator: &Table<'_>) -> Lower {
    // SoftmaxOptions: beta.
    let options = options(operator, options::SOFTMAX)?;
    let beta = options.table.map_or(Ok(0.0), |table| table.scalar(0, 0.0))?;
    Ok(Ok(Op::Softmax { beta }))
}
