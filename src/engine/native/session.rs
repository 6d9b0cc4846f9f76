//! One thread's runs of a program.

use std::sync::Arc;

use super::limits::{Fuel, WORK_MAX};
use super::memory::{Arena, Place, given};
use super::pool::{Pool, Turns};
use super::program::Program;
use crate::data::{Signature, Tensor, TensorData};
use crate::engine::{EngineError, EngineKind, Part, Session, Threads, check_tensors};

/// A program's arena, and who may help to run it.
#[derive(Debug)]
pub(super) struct NativeSession {
    signature: Arc<Signature>,
    program: Arc<Program>,
    arena: Arena,
    threads: Threads,
    pool: Arc<Pool>,
    turns: Turns,
}

impl NativeSession {
    pub(super) fn new(
        signature: Arc<Signature>,
        program: Arc<Program>,
        threads: Threads,
        pool: Arc<Pool>,
    ) -> Result<Self, EngineError> {
        let arena = Arena::new(program.arena_bytes)?;
        pool.hire(program.helpers).map_err(|source| EngineError::Run {
            engine: EngineKind::Native,
            why: format!("no thread to help: {source}"),
        })?;
        let turns = Turns::new(1 + program.helpers);
        let mut session = Self { signature, program, arena, threads, pool, turns };
        session.reset();
        Ok(session)
    }

    /// One run; `ended` is compiled away where it does nothing.
    fn run(
        &mut self,
        inputs: &[Tensor],
        outputs: &mut [Tensor],
        ended: impl FnMut(Part),
    ) -> Result<(), EngineError> {
        check_tensors(&self.signature, inputs, outputs)?;
        let crew = self.pool.begin(&mut self.turns, self.threads.helpers_cores());
        let (arena, fuel) = (self.arena.bytes_mut(), Fuel::new());
        self.program.run_in_parts(inputs, arena, &fuel, &crew, ended);
        if fuel.is_out() {
            let why = format!("its loops take more than {WORK_MAX} steps for this input");
            return Err(EngineError::Run { engine: EngineKind::Native, why });
        }
        for (tensor, place) in outputs.iter_mut().zip(&self.program.outputs) {
            let from = match place {
                Place::Arena(span) => &arena[span.clone()],
                Place::Constant(span) => &self.program.constants.bytes()[span.clone()],
                Place::Input(input) => given(&inputs[*input]),
            };
            copy_out(from, tensor.data_mut())?;
        }
        Ok(())
    }
}

impl Session for NativeSession {
    fn reset(&mut self) {
        for (span, initial) in &self.program.states {
            self.arena.bytes_mut()[span.clone()].copy_from_slice(initial);
        }
    }

    fn infer(&mut self, inputs: &[Tensor], outputs: &mut [Tensor]) -> Result<(), EngineError> {
        self.run(inputs, outputs, |_| {})
    }

    fn infer_in_parts(
        &mut self,
        inputs: &[Tensor],
        outputs: &mut [Tensor],
        ended: &mut dyn FnMut(Part),
    ) -> Result<bool, EngineError> {
        self.run(inputs, outputs, ended)?;
        Ok(true)
    }
}

fn copy_out(from: &[u8], to: &mut TensorData) -> Result<(), EngineError> {
    match to {
        TensorData::U8(values) => {
            for (to, from) in values.iter_mut().zip(from) {
                *to = from ^ 0x80;
            }
        }
        TensorData::I8(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::I16(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::I32(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::I64(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::F32(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::F64(values) => bytemuck::cast_slice_mut(values).copy_from_slice(from),
        TensorData::Bool(values) => {
            for (to, from) in values.iter_mut().zip(from) {
                *to = *from != 0;
            }
        }
        TensorData::Str(_) => return Err(not_carried(to)),
    }
    Ok(())
}

fn not_carried(data: &TensorData) -> EngineError {
    let why = format!("{} tensors cannot be handed over", data.dtype());
    EngineError::Run { engine: EngineKind::Native, why }
}
