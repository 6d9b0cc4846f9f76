//! Tensors as engines take and give them, and the signature that describes them.

use std::fmt;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each name says all
pub enum DType {
    F32,
    F64,
    I8,
    U8,
    I16,
    I32,
    I64,
    Bool,
    Str,
}

impl DType {
    /// NumPy's name of the type, as used in manifests and in `inspect`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::Bool => "bool",
            Self::Str => "str",
        }
    }

    /// The type that [`DType::as_str`] names.
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [DType; 9] = [
            DType::F32,
            DType::F64,
            DType::I8,
            DType::U8,
            DType::I16,
            DType::I32,
            DType::I64,
            DType::Bool,
            DType::Str,
        ];
        ALL.into_iter().find(|dtype| dtype.as_str() == name)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Affine quantization of a whole tensor: `real = scale * (raw - zero_point)`.
///
/// Source: TensorFlow Lite 8-bit quantization specification.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Step between two raw values, in the tensor's real unit; above 0.
    pub scale: f32,
    /// The raw value that stands for real 0.
    pub zero_point: i32,
}

/// Elements of a tensor, row-major. One variant for each [`DType`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // each name says all
pub enum TensorData {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Str(Vec<String>),
}

/// Runs `$body` with `$values` bound to the vector inside a [`TensorData`], whatever its type.
macro_rules! each_dtype {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            TensorData::F32($values) => $body,
            TensorData::F64($values) => $body,
            TensorData::I8($values) => $body,
            TensorData::U8($values) => $body,
            TensorData::I16($values) => $body,
            TensorData::I32($values) => $body,
            TensorData::I64($values) => $body,
            TensorData::Bool($values) => $body,
            TensorData::Str($values) => $body,
        }
    };
}

impl TensorData {
    /// `len` zeros (empty strings for [`DType::Str`]).
    pub fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::F32 => Self::F32(vec![0.0; len]),
            DType::F64 => Self::F64(vec![0.0; len]),
            DType::I8 => Self::I8(vec![0; len]),
            DType::U8 => Self::U8(vec![0; len]),
            DType::I16 => Self::I16(vec![0; len]),
            DType::I32 => Self::I32(vec![0; len]),
            DType::I64 => Self::I64(vec![0; len]),
            DType::Bool => Self::Bool(vec![false; len]),
            DType::Str => Self::Str(vec![String::new(); len]),
        }
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::F32,
            Self::F64(_) => DType::F64,
            Self::I8(_) => DType::I8,
            Self::U8(_) => DType::U8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::Bool(_) => DType::Bool,
            Self::Str(_) => DType::Str,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each_dtype!(self, values => values.len())
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements `start..end`, copied.
    ///
    /// # Panics
    /// When the range is outside the data, as slicing does.
    pub fn slice(&self, start: usize, end: usize) -> Self {
        match self {
            Self::F32(values) => Self::F32(values[start..end].to_vec()),
            Self::F64(values) => Self::F64(values[start..end].to_vec()),
            Self::I8(values) => Self::I8(values[start..end].to_vec()),
            Self::U8(values) => Self::U8(values[start..end].to_vec()),
            Self::I16(values) => Self::I16(values[start..end].to_vec()),
            Self::I32(values) => Self::I32(values[start..end].to_vec()),
            Self::I64(values) => Self::I64(values[start..end].to_vec()),
            Self::Bool(values) => Self::Bool(values[start..end].to_vec()),
            Self::Str(values) => Self::Str(values[start..end].to_vec()),
        }
    }

    /// Appends `other`; both of one type.
    ///
    /// # Errors
    /// When the types differ; nothing is appended.
    pub fn extend(&mut self, other: &Self) -> Result<(), TensorError> {
        match (&mut *self, other) {
            (Self::F32(into), Self::F32(from)) => into.extend_from_slice(from),
            (Self::F64(into), Self::F64(from)) => into.extend_from_slice(from),
            (Self::I8(into), Self::I8(from)) => into.extend_from_slice(from),
            (Self::U8(into), Self::U8(from)) => into.extend_from_slice(from),
            (Self::I16(into), Self::I16(from)) => into.extend_from_slice(from),
            (Self::I32(into), Self::I32(from)) => into.extend_from_slice(from),
            (Self::I64(into), Self::I64(from)) => into.extend_from_slice(from),
            (Self::Bool(into), Self::Bool(from)) => into.extend_from_slice(from),
            (Self::Str(into), Self::Str(from)) => into.extend_from_slice(from),
            (into, from) => {
                return Err(TensorError::DType { expected: into.dtype(), found: from.dtype() });
            }
        }
        Ok(())
    }

    /// Every element as `f64` (labels and scores of any numeric type), or `None` for strings.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(match self {
            Self::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::F64(values) => values.clone(),
            Self::I8(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::U8(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::I16(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::I32(values) => values.iter().map(|&v| f64::from(v)).collect(),
            Self::I64(values) => values.iter().map(|&v| v as f64).collect(),
            Self::Bool(values) => values.iter().map(|&v| f64::from(u8::from(v))).collect(),
            Self::Str(_) => return None,
        })
    }
}

/// An n-dimensional array, row-major, that owns its elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// A tensor of `shape` over `data`.
    ///
    /// # Errors
    /// When the shape does not hold exactly that many elements.
    pub fn new(shape: Vec<usize>, data: TensorData) -> Result<Self, TensorError> {
        let needed = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if needed != Some(data.len()) {
            return Err(TensorError::Length { shape, found: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros that fits `spec`.
    pub fn zeros(spec: &TensorSpec) -> Self {
        Self { shape: spec.shape.clone(), data: TensorData::zeros(spec.dtype, spec.elements()) }
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The elements, row-major.
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The elements, to be overwritten in place. Their number must stay: engines reuse outputs.
    pub fn data_mut(&mut self) -> &mut TensorData {
        &mut self.data
    }

    /// Whether the tensor is what `spec` asks for.
    ///
    /// # Errors
    /// Says which of type and shape differs.
    pub fn check(&self, spec: &TensorSpec) -> Result<(), TensorError> {
        if self.dtype() != spec.dtype {
            return Err(TensorError::DType { expected: spec.dtype, found: self.dtype() });
        }
        if self.shape != spec.shape || self.data.len() != spec.elements() {
            return Err(TensorError::Shape {
                expected: spec.shape.clone(),
                found: self.shape.clone(),
            });
        }
        Ok(())
    }
}

/// Why a tensor is not what was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // the messages say all
pub enum TensorError {
    #[error("expected {expected}, found {found}")]
    DType { expected: DType, found: DType },
    #[error("expected shape {expected:?}, found {found:?}")]
    Shape { expected: Vec<usize>, found: Vec<usize> },
    #[error("shape {shape:?} does not hold {found} elements")]
    Length { shape: Vec<usize>, found: usize },
}

/// Name, type, shape and quantization of one input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorSpec {
    /// The name in the model's own signature.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Length of each dimension; a free batch dimension is 1.
    pub shape: Vec<usize>,
    /// How raw integers stand for real values; `None` where the tensor is not quantized.
    pub quantization: Option<Quantization>,
}

impl TensorSpec {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What a model takes and gives, in its own order.
#[derive(Clone, Debug, PartialEq, Default)]
#[allow(missing_docs)] // each name says all
pub struct Signature {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
}
