//! A TFLite file from fuzz bytes.

use edgerun::engine::native::{self, OperatorInfo};
use flatbuffers::{FlatBufferBuilder, TableFinishedWIPOffset, WIPOffset};

/// Choices, taken from the front of the fuzz bytes; zeros when they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { usize::from(self.byte()) % limit }
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// One tensor of the model.
struct Tensor {
    shape: Vec<i32>,
    dtype: i8,
    scales: Vec<f32>,
    zero_point: i64,
    axis: i32,
    data: Vec<u8>,
    variable: bool,
}

/// One operator of the model, over numbers of tensors.
struct Node<'a> {
    operator: &'a OperatorInfo,
    taken: Vec<i32>,
    given: Vec<i32>,
    /// The first fields of its options, whatever they mean: small numbers, or bits of real ones.
    options: Vec<i32>,
}

/// `BuiltinOperator` of operators outside of the standard set.
const CUSTOM: i32 = 32;
const OPTIONS: [i32; 8] = [1, 0, 1, 2, 3, 0x3f80_0000, -1, 0];
/// `TensorType` and the bytes of an element.
const TYPES: [(i8, usize); 10] =
    [(0, 4), (9, 1), (9, 1), (3, 1), (7, 2), (2, 4), (4, 8), (6, 1), (17, 1), (1, 2)];
const SCALES: [f32; 7] = [0.003_921_569, 0.5, 1.0, 0.047, 1e-6, 3000.0, 0.0078125];

fn tensor(choices: &mut Choices<'_>, constant: bool) -> Tensor {
    let (dtype, width) = choices.one_of(&TYPES);
    let rank = choices.below(6);
    let shape: Vec<i32> = (0..rank).map(|_| 1 + choices.below(7) as i32).collect();
    let elements: usize = shape.iter().map(|&dim| dim as usize).product();
    let (mut scales, mut zero_point, mut axis) = (Vec::new(), 0, 0);
    if matches!(dtype, 3 | 7 | 9 | 17) && choices.below(8) > 0 {
        scales.push(choices.one_of(&SCALES));
        zero_point = match dtype {
            3 => i64::from(choices.byte()),
            9 => i64::from(choices.byte().cast_signed()),
            _ => 0,
        };
        if choices.below(4) == 0 && rank > 0 {
            axis = choices.below(rank) as i32;
            let scale = scales[0];
            scales = (0..shape[axis as usize]).map(|i| scale * (1 + i) as f32).collect();
            zero_point = 0;
        }
    }
    let bytes = if dtype == 17 { elements.div_ceil(2) } else { elements * width };
    let mut data = Vec::new();
    if constant {
        // Small numbers: axes, sizes and amounts are to be legal now and then.
        data = (0..bytes)
            .map(|i| match (dtype, i % width) {
                (2 | 4, 0) => choices.one_of(&[0, 1, 2, 3, 255, 4, 1, 5]),
                (2 | 4, _) => 0,
                (0, 3) => choices.one_of(&[0x3f, 0xbf, 0x40, 0, 0x7f]),
                _ => choices.byte(),
            })
            .collect();
        if matches!(dtype, 2 | 4) {
            for element in data.chunks_exact_mut(width) {
                if element[0] == 255 {
                    element.fill(255);
                }
            }
        }
    }
    Tensor { shape, dtype, scales, zero_point, axis, data, variable: !constant && choices.below(16) == 0 }
}

/// A whole file.
pub fn model(bytes: &[u8]) -> Vec<u8> {
    let choices = &mut Choices(bytes);
    let operators: Vec<_> = native::operators();
    let mut tensors = vec![tensor(choices, false)];
    let inputs = 1 + choices.below(2);
    tensors.extend((1..inputs).map(|_| tensor(choices, false)));
    let mut nodes = Vec::new();
    for _ in 0..1 + choices.below(4) {
        let operator = &operators[choices.below(operators.len())];
        let made = tensors.len();
        let taken = (0..1 + choices.below(4)).map(|place| {
            match choices.below(if place == 0 { 6 } else { 3 }) {
                0 => {
                    tensors.push(tensor(choices, true));
                    tensors.len() as i32 - 1
                }
                1 if choices.below(8) == 0 => -1,
                _ => choices.below(made) as i32,
            }
        });
        let taken: Vec<i32> = taken.collect();
        let given: Vec<i32> = (0..1 + choices.below(16) / 14)
            .map(|_| {
                tensors.push(tensor(choices, false));
                tensors.len() as i32 - 1
            })
            .collect();
        let options = (0..8).map(|_| choices.one_of(&OPTIONS)).collect();
        nodes.push(Node { operator, taken, given, options });
    }
    write(&tensors, inputs, &nodes)
}

/// Where field `id` stands in a table's list of fields.
fn slot(id: u16) -> u16 {
    4 + 2 * id
}

type Offset = WIPOffset<TableFinishedWIPOffset>;

fn table(
    file: &mut FlatBufferBuilder<'_>,
    fields: impl FnOnce(&mut FlatBufferBuilder<'_>),
) -> Offset {
    let start = file.start_table();
    fields(file);
    WIPOffset::new(file.end_table(start).value())
}

/// The file of `nodes` over `tensors`, the first `inputs` of which the model takes. It gives all that
/// is made and not read.
fn write(tensors: &[Tensor], inputs: usize, nodes: &[Node<'_>]) -> Vec<u8> {
    let file = &mut FlatBufferBuilder::new();
    let mut buffers = vec![table(file, |_| {})];
    let mut written = Vec::new();
    for tensor in tensors {
        let mut number = 0u32;
        if !tensor.data.is_empty() {
            number = buffers.len() as u32;
            let data = file.create_vector(&tensor.data);
            buffers.push(table(file, |file| file.push_slot_always(slot(0), data)));
        }
        written.push(write_tensor(file, tensor, number));
    }
    let (mut codes, mut operators) = (Vec::new(), Vec::new());
    for (number, Node { operator, taken, given, options }) in nodes.iter().enumerate() {
        let custom = file.create_string(operator.name);
        codes.push(table(file, |file| {
            let builtin = operator.number().unwrap_or(CUSTOM);
            file.push_slot_always(slot(3), builtin);
            file.push_slot_always(slot(0), builtin.min(127) as i8);
            file.push_slot_always(slot(1), custom);
        }));
        let (taken, given) = (file.create_vector(taken), file.create_vector(given));
        let options = table(file, |file| {
            for (id, option) in options.iter().enumerate() {
                file.push_slot_always(slot(id as u16), *option);
            }
        });
        operators.push(table(file, |file| {
            file.push_slot_always(slot(0), number as u32);
            file.push_slot_always(slot(1), taken);
            file.push_slot_always(slot(2), given);
            file.push_slot_always(slot(3), operator.options_table());
            file.push_slot_always(slot(4), options);
        }));
    }
    let read: Vec<i32> = nodes.iter().flat_map(|node| node.taken.iter().copied()).collect();
    let made = nodes.iter().flat_map(|node| node.given.iter().copied());
    let outputs: Vec<i32> = made.filter(|id| !read.contains(id)).collect();
    let inputs: Vec<i32> = (0..inputs as i32).collect();
    let (inputs, outputs) = (file.create_vector(&inputs), file.create_vector(&outputs));
    let (written, operators) = (file.create_vector(&written), file.create_vector(&operators));
    let graph = table(file, |file| {
        file.push_slot_always(slot(0), written);
        file.push_slot_always(slot(1), inputs);
        file.push_slot_always(slot(2), outputs);
        file.push_slot_always(slot(3), operators);
    });
    let (graphs, codes) = (file.create_vector(&[graph]), file.create_vector(&codes));
    let buffers = file.create_vector(&buffers);
    let model = table(file, |file| {
        file.push_slot_always(slot(0), 3u32);
        file.push_slot_always(slot(1), codes);
        file.push_slot_always(slot(2), graphs);
        file.push_slot_always(slot(4), buffers);
    });
    file.finish(model, Some("TFL3"));
    file.finished_data().to_vec()
}

fn write_tensor(file: &mut FlatBufferBuilder<'_>, tensor: &Tensor, buffer: u32) -> Offset {
    let shape = file.create_vector(&tensor.shape);
    let scales = file.create_vector(&tensor.scales);
    let zero_points = file.create_vector(&vec![tensor.zero_point; tensor.scales.len()]);
    let quantization = table(file, |file| {
        file.push_slot_always(slot(2), scales);
        file.push_slot_always(slot(3), zero_points);
        file.push_slot_always(slot(6), tensor.axis);
    });
    table(file, |file| {
        file.push_slot_always(slot(0), shape);
        file.push_slot_always(slot(1), tensor.dtype);
        file.push_slot_always(slot(2), buffer);
        file.push_slot_always(slot(4), quantization);
        file.push_slot_always(slot(5), u8::from(tensor.variable));
    })
}
