//! Numbers of the TFLite schema (version 3): fields by table, and the names of the operators.
//! Source: the field order of `schema.fbs` in TensorFlow.

/// File identifier, at byte 4.
pub(super) const IDENTIFIER: &[u8] = b"TFL3";
/// The version that `Model.version` has to have.
pub(super) const VERSION: u32 = 3;

pub(super) mod model {
    pub(in super::super) const VERSION: usize = 0;
    pub(in super::super) const OPERATOR_CODES: usize = 1;
    pub(in super::super) const SUBGRAPHS: usize = 2;
    pub(in super::super) const BUFFERS: usize = 4;
    pub(in super::super) const SIGNATURE_DEFS: usize = 7;
}

pub(super) mod operator_code {
    pub(in super::super) const DEPRECATED_BUILTIN_CODE: usize = 0;
    pub(in super::super) const CUSTOM_CODE: usize = 1;
    pub(in super::super) const BUILTIN_CODE: usize = 3;
}

pub(super) mod subgraph {
    pub(in super::super) const TENSORS: usize = 0;
    pub(in super::super) const INPUTS: usize = 1;
    pub(in super::super) const OUTPUTS: usize = 2;
    pub(in super::super) const OPERATORS: usize = 3;
}

pub(super) mod tensor {
    pub(in super::super) const SHAPE: usize = 0;
    pub(in super::super) const TYPE: usize = 1;
    pub(in super::super) const BUFFER: usize = 2;
    pub(in super::super) const NAME: usize = 3;
    pub(in super::super) const QUANTIZATION: usize = 4;
    pub(in super::super) const IS_VARIABLE: usize = 5;
    pub(in super::super) const SPARSITY: usize = 6;
    pub(in super::super) const SHAPE_SIGNATURE: usize = 7;
}

pub(super) mod sparsity {
    pub(in super::super) const TRAVERSAL_ORDER: usize = 0;
    pub(in super::super) const BLOCK_MAP: usize = 1;
    pub(in super::super) const DIM_METADATA: usize = 2;
}

pub(super) mod dim_metadata {
    pub(in super::super) const FORMAT: usize = 0;
    pub(in super::super) const DENSE_SIZE: usize = 1;
    pub(in super::super) const SEGMENTS_TYPE: usize = 2;
    pub(in super::super) const SEGMENTS: usize = 3;
    pub(in super::super) const INDICES_TYPE: usize = 4;
    pub(in super::super) const INDICES: usize = 5;
}

pub(super) mod quantization {
    pub(in super::super) const SCALE: usize = 2;
    pub(in super::super) const ZERO_POINT: usize = 3;
    pub(in super::super) const DETAILS_TYPE: usize = 4;
    pub(in super::super) const QUANTIZED_DIMENSION: usize = 6;
}

pub(super) mod operator {
    pub(in super::super) const OPCODE_INDEX: usize = 0;
    pub(in super::super) const INPUTS: usize = 1;
    pub(in super::super) const OUTPUTS: usize = 2;
    pub(in super::super) const OPTIONS_TYPE: usize = 3;
    pub(in super::super) const OPTIONS: usize = 4;
    pub(in super::super) const CUSTOM_OPTIONS: usize = 5;
    pub(in super::super) const INTERMEDIATES: usize = 8;
}

pub(super) mod var_handle_options {
    pub(in super::super) const CONTAINER: usize = 0;
    pub(in super::super) const SHARED_NAME: usize = 1;
}

pub(super) mod buffer {
    pub(in super::super) const DATA: usize = 0;
    pub(in super::super) const OFFSET: usize = 1;
}

pub(super) mod signature_def {
    pub(in super::super) const INPUTS: usize = 0;
    pub(in super::super) const OUTPUTS: usize = 1;
    pub(in super::super) const SUBGRAPH_INDEX: usize = 4;
}

pub(super) mod tensor_map {
    pub(in super::super) const NAME: usize = 0;
    pub(in super::super) const TENSOR_INDEX: usize = 1;
}

/// Name of `BuiltinOperator` number `code`.
pub(super) fn operator_name(code: i32) -> Option<&'static str> {
    usize::try_from(code).ok().and_then(|code| OPERATORS.get(code)).copied()
}

/// Number of the `BuiltinOperator` called `name`.
pub(in super::super) fn operator_number(name: &str) -> Option<i32> {
    OPERATORS.iter().position(|&known| known == name).and_then(|code| i32::try_from(code).ok())
}

/// `BuiltinOperator` by number.
const OPERATORS: [&str; 210] = [
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "EMBEDDING_LOOKUP",
    "FLOOR",
    "FULLY_CONNECTED",
    "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION",
    "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION",
    "LOGISTIC",
    "LSH_PROJECTION",
    "LSTM",
    "MAX_POOL_2D",
    "MUL",
    "RELU",
    "RELU_N1_TO_1",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RNN",
    "SOFTMAX",
    "SPACE_TO_DEPTH",
    "SVDF",
    "TANH",
    "CONCAT_EMBEDDINGS",
    "SKIP_GRAM",
    "CALL",
    "CUSTOM",
    "EMBEDDING_LOOKUP_SPARSE",
    "PAD",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "GATHER",
    "BATCH_TO_SPACE_ND",
    "SPACE_TO_BATCH_ND",
    "TRANSPOSE",
    "MEAN",
    "SUB",
    "DIV",
    "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "STRIDED_SLICE",
    "BIDIRECTIONAL_SEQUENCE_RNN",
    "EXP",
    "TOPK_V2",
    "SPLIT",
    "LOG_SOFTMAX",
    "DELEGATE",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "CAST",
    "PRELU",
    "MAXIMUM",
    "ARG_MAX",
    "MINIMUM",
    "LESS",
    "NEG",
    "PADV2",
    "GREATER",
    "GREATER_EQUAL",
    "LESS_EQUAL",
    "SELECT",
    "SLICE",
    "SIN",
    "TRANSPOSE_CONV",
    "SPARSE_TO_DENSE",
    "TILE",
    "EXPAND_DIMS",
    "EQUAL",
    "NOT_EQUAL",
    "LOG",
    "SUM",
    "SQRT",
    "RSQRT",
    "SHAPE",
    "POW",
    "ARG_MIN",
    "FAKE_QUANT",
    "REDUCE_PROD",
    "REDUCE_MAX",
    "PACK",
    "LOGICAL_OR",
    "ONE_HOT",
    "LOGICAL_AND",
    "LOGICAL_NOT",
    "UNPACK",
    "REDUCE_MIN",
    "FLOOR_DIV",
    "REDUCE_ANY",
    "SQUARE",
    "ZEROS_LIKE",
    "FILL",
    "FLOOR_MOD",
    "RANGE",
    "RESIZE_NEAREST_NEIGHBOR",
    "LEAKY_RELU",
    "SQUARED_DIFFERENCE",
    "MIRROR_PAD",
    "ABS",
    "SPLIT_V",
    "UNIQUE",
    "CEIL",
    "REVERSE_V2",
    "ADD_N",
    "GATHER_ND",
    "COS",
    "WHERE",
    "RANK",
    "ELU",
    "REVERSE_SEQUENCE",
    "MATRIX_DIAG",
    "QUANTIZE",
    "MATRIX_SET_DIAG",
    "ROUND",
    "HARD_SWISH",
    "IF",
    "WHILE",
    "NON_MAX_SUPPRESSION_V4",
    "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND",
    "SELECT_V2",
    "DENSIFY",
    "SEGMENT_SUM",
    "BATCH_MATMUL",
    "PLACEHOLDER_FOR_GREATER_OP_CODES",
    "CUMSUM",
    "CALL_ONCE",
    "BROADCAST_TO",
    "RFFT2D",
    "CONV_3D",
    "IMAG",
    "REAL",
    "COMPLEX_ABS",
    "HASHTABLE",
    "HASHTABLE_FIND",
    "HASHTABLE_IMPORT",
    "HASHTABLE_SIZE",
    "REDUCE_ALL",
    "CONV_3D_TRANSPOSE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "BROADCAST_ARGS",
    "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE",
    "RANDOM_UNIFORM",
    "MULTINOMIAL",
    "GELU",
    "DYNAMIC_UPDATE_SLICE",
    "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD",
    "UNSORTED_SEGMENT_MAX",
    "UNSORTED_SEGMENT_SUM",
    "ATAN2",
    "UNSORTED_SEGMENT_MIN",
    "SIGN",
    "BITCAST",
    "BITWISE_XOR",
    "RIGHT_SHIFT",
    "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD",
    "STABLEHLO_DIVIDE",
    "STABLEHLO_MULTIPLY",
    "STABLEHLO_MAXIMUM",
    "STABLEHLO_RESHAPE",
    "STABLEHLO_CLAMP",
    "STABLEHLO_CONCATENATE",
    "STABLEHLO_BROADCAST_IN_DIM",
    "STABLEHLO_CONVOLUTION",
    "STABLEHLO_SLICE",
    "STABLEHLO_CUSTOM_CALL",
    "STABLEHLO_REDUCE",
    "STABLEHLO_ABS",
    "STABLEHLO_AND",
    "STABLEHLO_COSINE",
    "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR",
    "STABLEHLO_LOG",
    "STABLEHLO_MINIMUM",
    "STABLEHLO_NEGATE",
    "STABLEHLO_OR",
    "STABLEHLO_POWER",
    "STABLEHLO_REMAINDER",
    "STABLEHLO_RSQRT",
    "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT",
    "STABLEHLO_TANH",
    "STABLEHLO_SCATTER",
    "STABLEHLO_COMPARE",
    "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE",
    "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_PAD",
    "STABLEHLO_IOTA",
    "STABLEHLO_DOT_GENERAL",
    "STABLEHLO_REDUCE_WINDOW",
    "STABLEHLO_SORT",
    "STABLEHLO_WHILE",
    "STABLEHLO_GATHER",
    "STABLEHLO_TRANSPOSE",
    "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR",
    "REDUCE_WINDOW",
    "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT",
    "STABLEHLO_CASE",
];
