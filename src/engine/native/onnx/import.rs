//! What lowering works with: tensors by name, their layout and quantization, and nodes that are written.
//!
//! Images lie channels-last where an operator wants them so, and stay so until one wants ONNX's order: axes
//! move only there. What `DequantizeLinear` gives is not computed until somebody needs real numbers: an
//! operator between `DequantizeLinear` and `QuantizeLinear` takes the integers instead.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use super::file::{GraphFile, NodeFile, TensorFile};
use super::ops::{Alias, Dequantize, Params, Scheme, Turn, dense};
use super::tensor::Constant;
use crate::data::{DType, Quantization};
use crate::engine::EngineError;
use crate::engine::native::graph::{Graph, Node, Quant, Value, ValueId};
use crate::engine::native::limits::{ARENA_MAX, Budget};
use crate::engine::native::ops::{Operator, Refusal, malformed, unsupported};
use crate::engine::native::program;
use crate::engine::native::target::Target;

/// A value of the graph and how it lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tensor {
    pub(super) id: ValueId,
    /// ONNX's second axis is the last one here.
    pub(super) last: bool,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Held {
    Plain(Tensor),
    /// The real values of integers, as `DequantizeLinear` gives them.
    Real {
        ints: Tensor,
        scheme: Rc<Scheme>,
    },
}

/// Lowers one graph.
#[derive(Debug)]
pub(super) struct Importer<'a, 'b> {
    pub(super) budget: &'b Budget,
    folder: Option<&'b Path>,
    /// Version of the operators of `ai.onnx`.
    pub(super) opset: i64,
    pub(super) graph: Graph<'a>,
    pub(super) nodes: &'b [NodeFile<'a>],
    named: HashMap<&'a str, Held>,
    initializers: HashMap<&'a str, TensorFile<'a>>,
    /// By name, the nodes that take it; `None` stands for the model's outputs.
    users: HashMap<&'a str, Vec<Option<usize>>>,
    /// By value and layout, the same in the other layout.
    moved: HashMap<Tensor, Tensor>,
    /// By value of integers and scheme, their real values.
    real: HashMap<ValueId, Vec<(Rc<Scheme>, Tensor)>>,
    /// Nodes that were lowered together with one before.
    pub(super) done: Vec<bool>,
    /// The node being lowered: its place and name.
    pub(super) at: (usize, &'static str),
    work: u64,
}

impl std::hash::Hash for Tensor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.id, self.last).hash(state);
    }
}

impl<'a, 'b> Importer<'a, 'b> {
    pub(super) fn new(
        file: &'b GraphFile<'a>,
        opset: i64,
        folder: Option<&'b Path>,
        budget: &'b Budget,
    ) -> Result<Self, EngineError> {
        let mut users: HashMap<&str, Vec<Option<usize>>> = HashMap::new();
        for (index, node) in file.nodes.iter().enumerate() {
            for name in node.inputs.iter().filter(|name| !name.is_empty()) {
                budget.take_for::<(&str, Vec<usize>, usize)>(2)?;
                users.entry(name).or_default().push(Some(index));
            }
        }
        for output in &file.outputs {
            users.entry(output.name).or_default().push(None);
        }
        budget.take_for::<(&str, TensorFile<'_>)>(2 * file.initializers.len())?;
        let graph = Graph {
            format: "ONNX",
            values: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            states: Vec::new(),
        };
        Ok(Self {
            budget,
            folder,
            opset,
            graph,
            nodes: &file.nodes,
            named: HashMap::new(),
            initializers: file.initializers.iter().map(|tensor| (tensor.name, *tensor)).collect(),
            users,
            moved: HashMap::new(),
            real: HashMap::new(),
            done: vec![false; file.nodes.len()],
            at: (0, "model"),
            work: 0,
        })
    }

    /// A value that is no node's output.
    pub(super) fn value(&mut self, value: Value<'a>) -> Result<Tensor, Refusal> {
        self.budget.take_for::<(Value<'_>, usize)>(2)?;
        self.graph.values.push(value);
        Ok(Tensor { id: self.graph.values.len() - 1, last: false })
    }

    /// A constant.
    pub(super) fn constant(
        &mut self,
        dtype: DType,
        shape: Vec<usize>,
        data: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Tensor, Refusal> {
        self.value(Value {
            dtype,
            shape,
            quant: Quant::None,
            data: Some(data.into()),
            nibbles: false,
        })
    }

    pub(super) fn constant_i64(
        &mut self,
        shape: Vec<usize>,
        data: &[i64],
    ) -> Result<Tensor, Refusal> {
        self.budget.take_for::<i64>(data.len())?;
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DType::I64, shape, data)
    }

    pub(super) fn constant_f32(
        &mut self,
        shape: Vec<usize>,
        data: &[f32],
    ) -> Result<Tensor, Refusal> {
        self.budget.take_for::<f32>(data.len())?;
        let data: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(DType::F32, shape, data)
    }

    /// The elements of a tensor in the file.
    pub(super) fn decoded(&self, file: &TensorFile<'a>) -> Result<Constant<'a>, Refusal> {
        Ok(file.decode(self.folder, self.budget)?)
    }

    /// What `name` stands for.
    pub(super) fn held(&mut self, name: &'a str) -> Result<Held, Refusal> {
        if let Some(held) = self.named.get(name) {
            return Ok(held.clone());
        }
        let Some(file) = self.initializers.get(name).copied() else {
            let name: String = name.chars().take(100).collect();
            let name = name.escape_debug();
            return Err(malformed(format!("it takes \"{name}\", which nothing makes before it")));
        };
        let constant = self.decoded(&file)?;
        let tensor = self.constant(constant.dtype, constant.shape, constant.data)?;
        self.named.insert(name, Held::Plain(tensor));
        Ok(Held::Plain(tensor))
    }

    pub(super) fn hold(&mut self, name: &'a str, held: Held) -> Result<(), Refusal> {
        if name.is_empty() {
            return Ok(());
        }
        self.budget.take_for::<(&str, Held)>(2)?;
        if self.initializers.contains_key(name) || self.named.insert(name, held).is_some() {
            let name: String = name.chars().take(100).collect();
            return Err(malformed(format!("\"{}\" is made twice", name.escape_debug())));
        }
        Ok(())
    }

    /// The values of `name`, real ones where it stands for such.
    pub(super) fn tensor(&mut self, name: &'a str) -> Result<Tensor, Refusal> {
        match self.held(name)? {
            Held::Plain(tensor) => Ok(tensor),
            Held::Real { ints, scheme } => self.real(ints, &scheme),
        }
    }

    /// The real values of `ints`.
    pub(super) fn real(&mut self, ints: Tensor, scheme: &Rc<Scheme>) -> Result<Tensor, Refusal> {
        let ints = if scheme.whole().is_some() { ints } else { self.plain(ints)? };
        let known = self.real.get(&ints.id).into_iter().flatten();
        if let Some((_, tensor)) = known.into_iter().find(|(of, _)| of == scheme) {
            return Ok(*tensor);
        }
        let dequantize = Dequantize((**scheme).clone());
        let id = self.emit(dequantize, &[ints.id], DType::F32)?;
        let tensor = Tensor { id, last: ints.last };
        self.real.entry(ints.id).or_default().push((scheme.clone(), tensor));
        Ok(tensor)
    }

    /// Writes a node with one output.
    pub(super) fn emit(
        &mut self,
        op: impl Operator + 'a,
        inputs: &[ValueId],
        dtype: DType,
    ) -> Result<ValueId, Refusal> {
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        Ok(self.emit_all(Box::new(op), inputs, &[dtype])?[0])
    }

    /// Writes a node with outputs of `dtypes`; one that can be computed now is, and not written.
    pub(super) fn emit_all(
        &mut self,
        op: Box<dyn Operator + 'a>,
        inputs: Vec<Option<ValueId>>,
        dtypes: &[DType],
    ) -> Result<Vec<ValueId>, Refusal> {
        self.budget.take_for::<(Node<'_>, usize)>(2 + inputs.len())?;
        let mut outputs = Vec::with_capacity(dtypes.len());
        for &dtype in dtypes {
            let value =
                Value { dtype, shape: Vec::new(), quant: Quant::None, data: None, nibbles: false };
            outputs.push(self.value(value)?.id);
        }
        let (index, name) = self.at;
        let (bodies, intermediates) = (Vec::new(), Vec::new());
        let outputs_of = outputs.clone();
        let node = Node { index, name, op, inputs, outputs: outputs_of, bodies, intermediates };
        self.graph.nodes.push(node);
        let place = self.graph.nodes.len() - 1;
        program::resolve_node(&mut self.graph, place, Target::plain(self.budget), &mut self.work)?;
        if outputs.iter().all(|&id| self.graph.values[id].data.is_some()) {
            self.graph.nodes.pop();
        }
        Ok(outputs)
    }

    /// The value itself.
    pub(super) fn of(&self, tensor: Tensor) -> &Value<'a> {
        &self.graph.values[tensor.id]
    }

    pub(super) fn dtype(&self, tensor: Tensor) -> DType {
        self.of(tensor).dtype
    }

    /// ONNX's shape of it.
    pub(super) fn shape(&self, tensor: Tensor) -> Vec<usize> {
        let mut shape = self.of(tensor).shape.clone();
        if tensor.last && shape.len() > 2 {
            shape[1..].rotate_right(1);
        }
        shape
    }

    /// The place in memory of ONNX's `axis`.
    pub(super) fn axis(&self, tensor: Tensor, axis: usize) -> usize {
        match (tensor.last, axis) {
            (false, _) | (true, 0) => axis,
            (true, 1) => self.of(tensor).shape.len() - 1,
            (true, _) => axis - 1,
        }
    }

    /// Elements from one to the next along each of ONNX's axes.
    pub(super) fn strides(&self, tensor: Tensor) -> Vec<usize> {
        let mut strides = dense(&self.of(tensor).shape);
        if tensor.last && strides.len() > 2 {
            strides[1..].rotate_right(1);
        }
        strides
    }

    /// The tensor in ONNX's order.
    pub(super) fn plain(&mut self, tensor: Tensor) -> Result<Tensor, Refusal> {
        if tensor.last { self.relaid(tensor, false) } else { Ok(tensor) }
    }

    /// The tensor with its second axis last.
    pub(super) fn channels_last(&mut self, tensor: Tensor) -> Result<Tensor, Refusal> {
        let ready = tensor.last || self.of(tensor).shape.len() < 3;
        if ready { Ok(Tensor { last: true, ..tensor }) } else { self.relaid(tensor, true) }
    }

    fn relaid(&mut self, tensor: Tensor, last: bool) -> Result<Tensor, Refusal> {
        if let Some(known) = self.moved.get(&tensor) {
            return Ok(*known);
        }
        let (mut shape, mut strides) = (self.shape(tensor), self.strides(tensor));
        if last {
            shape[1..].rotate_left(1);
            strides[1..].rotate_left(1);
        }
        let id = self.arranged(tensor, &shape, &strides)?;
        let to = Tensor { id, last };
        self.moved.insert(tensor, to);
        self.moved.insert(to, tensor);
        Ok(to)
    }

    /// The elements of `tensor` as a dense tensor of `shape`, whose axes lie `strides` apart in it.
    pub(super) fn arranged(
        &mut self,
        tensor: Tensor,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<ValueId, Refusal> {
        let same =
            shape.iter().zip(strides).zip(dense(shape)).all(|((&l, &s), d)| l == 1 || s == d);
        let id = if same {
            self.alias(tensor.id, shape.to_vec())?
        } else {
            self.take_tables(shape)?;
            let turn = Turn { shape: shape.to_vec(), strides: strides.to_vec() };
            self.rearrange(tensor.id, turn)?
        };
        Ok(id)
    }

    /// Room for one table entry for each index of `shape`.
    pub(super) fn take_tables(&self, shape: &[usize]) -> Result<(), Refusal> {
        let elements = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len));
        if elements.is_none_or(|elements| elements > ARENA_MAX) {
            return Err(malformed(format!("a tensor of shape {shape:?}")));
        }
        let sum = shape.iter().fold(0usize, |sum, &len| sum.saturating_add(len));
        self.budget.take_for::<usize>(sum.saturating_mul(2))?;
        Ok(())
    }

    /// Emits what moves the elements of a value and leaves their meaning.
    pub(super) fn rearrange(
        &mut self,
        id: ValueId,
        op: impl Operator + 'a,
    ) -> Result<ValueId, Refusal> {
        let (dtype, quant) = (self.graph.values[id].dtype, self.graph.values[id].quant.clone());
        let to = self.emit(op, &[id], dtype)?;
        if matches!(quant, Quant::Tensor(_)) {
            self.graph.values[to].quant = quant;
        }
        Ok(to)
    }

    /// The same elements under another shape, in memory's order.
    pub(super) fn alias(&mut self, id: ValueId, shape: Vec<usize>) -> Result<ValueId, Refusal> {
        let (dtype, quant) = (self.graph.values[id].dtype, self.graph.values[id].quant.clone());
        if self.graph.values[id].shape == shape {
            return Ok(id);
        }
        let to = self.emit(Alias { shape }, &[id], dtype)?;
        if matches!(quant, Quant::Tensor(_)) {
            self.graph.values[to].quant = quant;
        }
        Ok(to)
    }

    /// `tensor` under ONNX's `shape`.
    pub(super) fn reshaped(
        &mut self,
        tensor: Tensor,
        shape: Vec<usize>,
    ) -> Result<Tensor, Refusal> {
        let tensor = self.plain(tensor)?;
        Ok(Tensor { id: self.alias(tensor.id, shape)?, last: false })
    }

    /// Notes how the integers of a value stand for reals, where nothing was said before.
    pub(super) fn mark(&mut self, tensor: Tensor, params: Params) {
        let value = &mut self.graph.values[tensor.id];
        if value.quant == Quant::None && params.dtype == value.dtype {
            let quantization = Quantization { scale: params.scale, zero_point: params.zero };
            value.quant = Quant::Tensor(quantization);
        }
    }

    /// The only node that takes `name`, which is no output of the model.
    pub(super) fn only_user(&self, name: &str) -> Option<usize> {
        match self.users.get(name).map(Vec::as_slice) {
            Some(&[Some(user)]) => Some(user),
            _ => None,
        }
    }

    /// The integers of the constant `name`.
    pub(super) fn integers(&mut self, name: &'a str) -> Result<Vec<i64>, Refusal> {
        let tensor = self.tensor(name)?;
        let value = self.of(tensor);
        let Some(data) = &value.data else {
            return Err(unsupported("a shape or axis that is computed at run time"));
        };
        self.budget.take_for::<i64>(value.elements())?;
        let signed = |byte: &u8| i64::from(byte.cast_signed());
        match value.dtype {
            DType::I64 => Ok(data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()),
            DType::I32 => {
                Ok(data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect())
            }
            DType::I16 => {
                Ok(data.as_chunks().0.iter().map(|b| i16::from_le_bytes(*b).into()).collect())
            }
            DType::I8 => Ok(data.iter().map(signed).collect()),
            DType::U8 | DType::Bool => Ok(data.iter().map(|&byte| byte.into()).collect()),
            other => Err(malformed(format!("{other} where integers belong"))),
        }
    }

    /// The reals of the constant `name`.
    pub(super) fn floats(&mut self, name: &'a str) -> Result<Vec<f32>, Refusal> {
        let tensor = self.tensor(name)?;
        let value = self.of(tensor);
        let Some(data) = &value.data else {
            return Err(unsupported("a scale, bound or statistic that is computed at run time"));
        };
        if value.dtype != DType::F32 {
            return Err(malformed(format!("{} where reals belong", value.dtype)));
        }
        self.budget.take_for::<f32>(value.elements())?;
        Ok(data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Scales and zero points by name; without one, zero. `dtype` is that of the integers.
    pub(super) fn scheme(
        &mut self,
        scales: &'a str,
        zeros: &'a str,
        axis: usize,
        dtype: DType,
    ) -> Result<Scheme, Refusal> {
        let scales = self.floats(scales)?;
        let zeros = match zeros {
            "" => vec![0; scales.len()],
            zeros => self.integers(zeros)?.into_iter().map(|zero| zero as i32).collect(),
        };
        // One zero point may stand for many.
        let zeros = if zeros.len() == 1 { vec![zeros[0]; scales.len()] } else { zeros };
        Scheme::new(scales, zeros, axis, dtype)
    }

    /// The same for a whole tensor.
    pub(super) fn params(
        &mut self,
        scale: &'a str,
        zero: &'a str,
        dtype: DType,
    ) -> Result<Params, Refusal> {
        let scheme = self.scheme(scale, zero, 0, dtype)?;
        scheme.whole().ok_or_else(|| unsupported("an activation with more than one scale"))
    }

    /// The type of the constant `name`.
    pub(super) fn dtype_of(&mut self, name: &'a str) -> Result<DType, Refusal> {
        let tensor = self.tensor(name)?;
        Ok(self.dtype(tensor))
    }
}
