//! Runs one node at load, where nothing that it reads can change.

use super::{flip, gather};
use crate::engine::native::limits::Fuel;
use crate::engine::native::memory::{Arena, Memory, Place, Span};
use crate::engine::native::ops::{Compiled, Refusal, Site, malformed};
use crate::engine::native::plan::ALIGN;
use crate::engine::native::pool::Crew;

/// The bytes of each output of the site's node, whose inputs are all constant. Adds to `work`.
pub(super) fn fold(site: &Site<'_>, work: &mut u64) -> Result<Vec<Vec<u8>>, Refusal> {
    let step = match site.node.op.compile(site)? {
        Compiled::Step(step) => step,
        Compiled::Alias => {
            let data = site.input(0)?.data.as_ref();
            let data = data.ok_or_else(|| malformed("an input that is not constant"))?;
            site.budget.take(data.len())?;
            return Ok(vec![data.to_vec()]);
        }
    };
    *work = work.saturating_add(step.work);
    let mut len = 0usize;
    let mut block = |bytes: usize| -> Span {
        let start = len;
        len = (len + bytes).next_multiple_of(ALIGN);
        start..start + bytes
    };
    let values: Vec<_> = site.node.outputs.iter().map(|&id| &site.graph.values[id]).collect();
    let outputs: Vec<Span> = values.iter().map(|value| block(value.bytes())).collect();
    let scratch = block(step.scratch);
    site.budget.take(2 * len)?;
    let mut arena = Arena::new(len)?;
    let steps = [(site.node, step)];
    let (constants, spans) = gather(site.graph, &steps, site.budget)?;
    let step = &steps[0].1;
    let read = step.reads.iter().filter_map(|&i| site.node.inputs.get(i).copied().flatten());
    let inputs: Vec<Place> =
        read.map(|id| Place::Constant(spans[id].clone().unwrap_or_default())).collect();
    step.kernel.run(&mut Memory {
        arena: arena.bytes_mut(),
        constants: constants.bytes(),
        given: &[],
        inputs: &inputs,
        outputs: &outputs,
        scratch: &scratch,
        fuel: &Fuel::new(),
        crew: &Crew::ALONE,
    });
    let taken = values.iter().zip(outputs).map(|(value, span)| {
        let mut bytes = arena.bytes()[span].to_vec();
        flip(value.dtype, &mut bytes);
        bytes
    });
    Ok(taken.collect())
}
