//! What an operator of ours is to tract: shapes first, then values into tensors that are there.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;

use super::attributes::Attributes;
use crate::engine::tract::TENSOR_BYTES_MAX;
use crate::engine::tract::convert::zeros;

/// Type and shape of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub(super) dtype: DatumType,
    pub(super) shape: Vec<usize>,
}

impl Port {
    pub(super) fn new(dtype: DatumType, shape: impl Into<Vec<usize>>) -> Self {
        Self { dtype, shape: shape.into() }
    }

    pub(super) fn is_text(&self) -> bool {
        self.dtype == DatumType::String
    }

    /// A table of numbers: `(rows, columns)`; one dimension is one row.
    pub(super) fn table(&self) -> TractResult<(usize, usize)> {
        if self.is_text() {
            bail!("its input is text, not numbers");
        }
        match self.shape[..] {
            [columns] => Ok((1, columns)),
            [rows, columns] => Ok((rows, columns)),
            _ => bail!("its input is {:?}, not [rows, columns]", self.shape),
        }
    }

    fn bytes(&self) -> Option<usize> {
        let size = self.dtype.size_of().max(1);
        self.shape.iter().try_fold(size, |bytes, &dim| bytes.checked_mul(dim))
    }
}

/// An operator with its attributes, checked.
pub(super) trait Kernel: Debug + Send + Sync + Sized + 'static {
    /// Reads and checks a node's attributes.
    fn parse(attributes: &Attributes) -> TractResult<Self>;

    /// Types and shapes of all outputs, or why it cannot take these inputs.
    fn outputs(&self, inputs: &[Port]) -> TractResult<Vec<Port>>;

    /// Fills `outputs`, zeros of what [`Kernel::outputs`] said of these inputs.
    fn run(&self, inputs: &[&Tensor], outputs: &mut [Tensor]) -> TractResult<()>;
}

/// The only input.
pub(super) fn only(inputs: &[Port]) -> TractResult<&Port> {
    match inputs {
        [input] => Ok(input),
        _ => bail!("it has {} inputs instead of 1", inputs.len()),
    }
}

/// Both inputs.
pub(super) fn both(inputs: &[Port]) -> TractResult<(&Port, &Port)> {
    match inputs {
        [first, second] => Ok((first, second)),
        _ => bail!("it has {} inputs instead of 2", inputs.len()),
    }
}

/// Elements as they are.
pub(super) fn slice<T: Datum>(tensor: &Tensor) -> TractResult<&[T]> {
    tensor.try_as_plain_ram()?.as_slice::<T>()
}

/// Elements as float32, whatever numbers they are.
pub(super) fn reals(tensor: &Tensor) -> TractResult<Cow<'_, [f32]>> {
    match tensor.datum_type() {
        DatumType::F32 => Ok(Cow::Borrowed(slice(tensor)?)),
        _ => Ok(Cow::Owned(slice::<f32>(&*tensor.cast_to::<f32>()?)?.to_vec())),
    }
}

/// Sets all of an output.
pub(super) fn put<T: Datum>(
    output: &mut Tensor,
    values: impl Iterator<Item = T>,
) -> TractResult<()> {
    let mut view = output.try_as_plain_ram_mut()?;
    for (to, value) in view.as_slice_mut::<T>()?.iter_mut().zip(values) {
        *to = value;
    }
    Ok(())
}

/// A table's rows; `columns` may be 0.
pub(super) fn rows<T>(values: &[T], rows: usize, columns: usize) -> impl Iterator<Item = &[T]> {
    (0..rows).map(move |row| &values[row * columns..(row + 1) * columns])
}

/// The kernel as tract's: the same object before and after types are known.
#[derive(Debug)]
struct Node<K> {
    name: String,
    kernel: Arc<K>,
    /// How many of the kernel's outputs the node names.
    outputs: usize,
}

impl<K> Clone for Node<K> {
    fn clone(&self) -> Self {
        let (name, kernel) = (self.name.clone(), self.kernel.clone());
        Self { name, kernel, outputs: self.outputs }
    }
}

impl<K> PartialEq for Node<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kernel, &other.kernel) && self.outputs == other.outputs
    }
}

impl<K> Eq for Node<K> {}

/// Builds a node's operator; errors carry the name by which the node is found again.
pub(super) fn build<K: Kernel>(
    context: &ParsingContext,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let make = || -> TractResult<Box<dyn InferenceOp>> {
        if node.input.iter().chain(&node.output).any(String::is_empty) {
            bail!("an input or output has no name");
        }
        let kernel = Arc::new(K::parse(&Attributes { node, context })?);
        Ok(expand(Node { name: node.op_type.clone(), kernel, outputs: node.output.len() }))
    };
    let name = if node.name.is_empty() { node.output.first() } else { Some(&node.name) };
    let built = make().with_context(|| format!("building \"{}\"", name.map_or("", |name| name)))?;
    Ok((built, Vec::new()))
}

impl<K: Kernel> Node<K> {
    /// All outputs for these inputs, those too that the node does not name.
    fn ports(&self, inputs: &[Port]) -> TractResult<Vec<Port>> {
        let ports = self.kernel.outputs(inputs)?;
        if self.outputs > ports.len() {
            bail!("it names {} outputs and has {}", self.outputs, ports.len());
        }
        for port in &ports {
            if port.bytes().is_none_or(|bytes| bytes > TENSOR_BYTES_MAX) {
                bail!("an output of shape {:?} is too large", port.shape);
            }
        }
        Ok(ports)
    }
}

fn lengths(shape: &[TDim]) -> TractResult<Vec<usize>> {
    let length = |dim: &TDim| -> TractResult<usize> { Ok(usize::try_from(dim.to_i64()?)?) };
    shape.iter().map(length).collect()
}

/// What the solver gives for a shape.
type Shape = TVec<TDim>;

impl<K: Kernel> Expansion for Node<K> {
    fn name(&self) -> StaticName {
        self.name.clone().into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.outputs)
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        solver: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        let shapes = inputs.iter().map(|input| &input.shape);
        solver.given_all(shapes, move |solver, shapes: Vec<Shape>| {
            let types = inputs.iter().map(|input| &input.datum_type);
            solver.given_all(types, move |solver, types: Vec<DatumType>| {
                let port =
                    |(shape, dtype): (&Shape, &DatumType)| Ok(Port::new(*dtype, lengths(shape)?));
                let ports: TractResult<Vec<_>> = shapes.iter().zip(&types).map(port).collect();
                for (output, port) in outputs.iter().zip(self.ports(&ports?)?) {
                    let shape: TVec<TDim> = port.shape.iter().map(|dim| dim.to_dim()).collect();
                    solver.equals(&output.datum_type, port.dtype)?;
                    solver.equals(&output.shape, shape)?;
                }
                Ok(())
            })
        })
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl<K: Kernel> Op for Node<K> {
    fn name(&self) -> StaticName {
        self.name.clone().into()
    }

    op_as_typed_op!();
}

impl<K: Kernel> EvalOp for Node<K> {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let inputs: TVec<&Tensor> = inputs.iter().map(|value| &**value).collect();
        let port = |tensor: &&Tensor| Port::new(tensor.datum_type(), tensor.shape());
        let ports = self.ports(&inputs.iter().map(port).collect::<TVec<_>>())?;
        let empty = |port: &Port| zeros(port.dtype, &port.shape);
        let mut outputs = ports.iter().map(empty).collect::<TractResult<Vec<_>>>()?;
        self.kernel.run(&inputs, &mut outputs)?;
        outputs.truncate(self.outputs);
        Ok(outputs.into_iter().map(IntoTValue::into_tvalue).collect())
    }
}

impl<K: Kernel> TypedOp for Node<K> {
    as_op!();

    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let port = |fact: &&TypedFact| Ok(Port::new(fact.datum_type, lengths(&fact.shape)?));
        let ports = inputs.iter().map(port).collect::<TractResult<Vec<_>>>()?;
        let fact = |port: Port| port.dtype.fact(&*port.shape);
        Ok(self.ports(&ports)?.into_iter().take(self.outputs).map(fact).collect())
    }
}
