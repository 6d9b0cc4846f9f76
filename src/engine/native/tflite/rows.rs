//! One row of a list that a loop fills, as TensorFlow's converter writes it: the rows before, the
//! new one, the rows after. Cut that way the parts change their lengths from round to round; written
//! over the old row they do not.

use std::collections::BTreeMap;

use super::lower::name;
use super::{Importer, schema};
use crate::data::DType;
use crate::engine::native::flatbuffer::Table;
use crate::engine::native::limits::PORTS_MAX;
use crate::engine::native::ops::Refusal;

/// What changes in a graph; operators by their place in the file.
#[derive(Debug, Default)]
pub(super) struct Rewrites {
    /// Left out.
    pub(super) gone: Vec<usize>,
    /// Another first input.
    pub(super) first: BTreeMap<usize, i32>,
    /// Writes the second of these tensors into the first, from where the third says.
    pub(super) updates: BTreeMap<usize, [i32; 3]>,
}

/// The operators of a graph, as far as this module reads them.
struct Operators {
    all: Vec<Operator>,
    made_by: BTreeMap<i32, usize>,
    uses: BTreeMap<i32, usize>,
}

struct Operator {
    name: &'static str,
    inputs: Vec<i32>,
    /// A concatenation along the first axis and nothing else.
    plain: bool,
}

impl Operators {
    /// The operator called `name` that makes `tensor`, and its place.
    fn maker(&self, tensor: i32, name: &str) -> Option<(usize, &Operator)> {
        let place = *self.made_by.get(&tensor)?;
        Some((place, &self.all[place])).filter(|(_, operator)| operator.name == name)
    }

    fn is_used_once(&self, tensor: i32) -> bool {
        self.uses.get(&tensor) == Some(&1)
    }
}

impl<'a> Importer<'a, '_> {
    /// The rows that the graph writes.
    pub(super) fn rewrites(&self) -> Result<Rewrites, Refusal> {
        let mut found = Rewrites::default();
        // Such lists are filled within loops.
        if self.path.len() < 2 {
            return Ok(found);
        }
        let operators = self.operators()?;
        for (place, operator) in operators.all.iter().enumerate() {
            let [before, row, after] = operator.inputs[..] else { continue };
            if operator.plain {
                self.rewrite(&operators, &mut found, place, [before, row, after]);
            }
        }
        Ok(found)
    }

    /// Recognizes one list; `None` where it is something else.
    fn rewrite(
        &self,
        operators: &Operators,
        found: &mut Rewrites,
        place: usize,
        [before, row, after]: [i32; 3],
    ) -> Option<()> {
        let (cut_before, left) = operators.maker(before, "SLICE")?;
        let (cut_after, right) = operators.maker(after, "SLICE")?;
        let (&[list, from, size], &[same, begin, rest]) = (&left.inputs[..], &right.inputs[..])
        else {
            return None;
        };
        let (_, size) = operators.maker(size, "CONCATENATION")?;
        let (joined, joints) = operators.maker(begin, "CONCATENATION")?;
        let (&[count, open], &[next, zeros]) = (&size.inputs[..], &joints.inputs[..]) else {
            return None;
        };
        let (at, index) = operators.maker(count, "RESHAPE")?;
        let (_, index_after) = operators.maker(next, "RESHAPE")?;
        let (_, sum) = operators.maker(*index_after.inputs.first()?, "ADD")?;
        let all = |tensor: i32, number: i32| {
            self.numbers(tensor).is_some_and(|all| all.iter().all(|&found| found == number))
        };
        let fits = list == same
            && size.plain
            && joints.plain
            && all(from, 0)
            && all(open, -1)
            && all(zeros, 0)
            && all(rest, -1)
            && sum.inputs.first() == index.inputs.first()
            && sum.inputs.get(1).is_some_and(|&one| all(one, 1))
            && at < joined
            && [before, after, begin].into_iter().all(|tensor| operators.is_used_once(tensor))
            && self.is_one_row(row);
        if fits {
            found.gone.extend([cut_before, cut_after]);
            found.first.insert(joined, count);
            found.updates.insert(place, [list, row, begin]);
        }
        None
    }

    fn operators(&self) -> Result<Operators, Refusal> {
        let tables = self.subgraph.tables(schema::subgraph::OPERATORS)?;
        let mut operators =
            Operators { all: Vec::new(), made_by: BTreeMap::new(), uses: BTreeMap::new() };
        self.budget.take_for::<[Operator; 2]>(tables.len())?;
        for place in 0..tables.len() {
            let Some(table) = tables.get(place)? else { continue };
            let operator = self.operator(&table)?;
            self.budget.take_for::<[i32; 8]>(operator.inputs.len())?;
            for &tensor in &operator.inputs {
                *operators.uses.entry(tensor).or_default() += 1;
            }
            for tensor in table.scalars::<i32>(schema::operator::OUTPUTS)?.iter().take(PORTS_MAX) {
                operators.made_by.insert(tensor, place);
            }
            operators.all.push(operator);
        }
        for tensor in self.subgraph.scalars::<i32>(schema::subgraph::OUTPUTS)?.iter() {
            *operators.uses.entry(tensor).or_default() += 1;
        }
        Ok(operators)
    }

    fn operator(&self, table: &Table<'a>) -> Result<Operator, Refusal> {
        let opcode = table.scalar(schema::operator::OPCODE_INDEX, 0u32)?;
        let code = usize::try_from(opcode).ok().map(|opcode| self.file.codes.get(opcode));
        let name = code.transpose()?.flatten().map(|code| name(&code)).transpose()?.flatten();
        let name = name.unwrap_or_default();
        let inputs = table.scalars::<i32>(schema::operator::INPUTS)?.iter();
        let mut plain = name == "CONCATENATION";
        if let Some(options) = table.table(schema::operator::OPTIONS)?.filter(|_| plain) {
            // ConcatenationOptions: axis, activation.
            plain = options.scalar(0, 0i32)? == 0 && options.scalar(1, 0i8)? == 0;
        }
        Ok(Operator { name, inputs: inputs.take(PORTS_MAX).collect(), plain })
    }

    /// The numbers of a constant of 32-bit integers.
    fn numbers(&self, tensor: i32) -> Option<Vec<i32>> {
        let table = self.tensors.get(usize::try_from(tensor).ok()?).ok()??;
        let value = self.read(&table).ok().filter(|value| value.dtype == DType::I32)?;
        let data = value.data.filter(|data| data.len() <= 4 * PORTS_MAX)?;
        Some(data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
    }

    /// Whether a tensor's first dimension is 1.
    fn is_one_row(&self, tensor: i32) -> bool {
        let table =
            usize::try_from(tensor).ok().and_then(|tensor| self.tensors.get(tensor).ok()?);
        let value = table.and_then(|table| self.read(&table).ok());
        value.is_some_and(|value| value.shape.first() == Some(&1))
    }
}
