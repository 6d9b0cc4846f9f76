//! What a core can do at best: the products of the kernels themselves, on rows and filters that stay in the
//! first cache. A profile's shares are of this.

use super::kernels::{Conv, Filters, FloatConv, FloatFilters, Geometry, Isa, Output};
use super::pool::{Team, View, ViewMut};
use crate::engine::{EngineError, EngineKind};

/// Rows and filters of one product, and the length of each.
const ROWS: usize = 48;
const FILTERS: usize = 64;
const LENGTH: usize = 256;

/// Products at full speed, in 8 bits and in floats.
#[derive(Debug)]
pub struct Peak {
    bytes: Conv,
    floats: FloatConv,
    input: Vec<i8>,
    output: Vec<i8>,
    scratch: Vec<u8>,
    real_input: Vec<f32>,
    real_output: Vec<f32>,
    real_scratch: Vec<f32>,
}

impl Peak {
    /// Multiply-accumulates of one product.
    pub const MACS: u64 = (ROWS * FILTERS * LENGTH) as u64;

    /// For the instructions that models are compiled for.
    ///
    /// # Errors
    /// When `EDGERUN_ISA` names none that this machine has.
    pub fn new() -> Result<Self, EngineError> {
        let unavailable =
            |why: String| EngineError::Unavailable { engine: EngineKind::Native, why };
        let isa = Isa::from_environment().map_err(|error| unavailable(error.to_string()))?;
        Self::of(isa).ok_or_else(|| unavailable("offsets do not fit".to_owned()))
    }

    fn of(isa: Isa) -> Option<Self> {
        let geometry = Geometry::rows(ROWS, LENGTH);
        let weights: Vec<i8> = (0..FILTERS * LENGTH).map(|i| (i % 251) as i8).collect();
        let filters = Filters {
            weights: &weights,
            bias: &[0; FILTERS],
            scales: &[1e-4; FILTERS],
            zero_point: 0,
            input_zero_point: 0,
        };
        let bytes = Conv::new(isa, geometry, filters, Output::new(0, -128, 127))?;
        let reals: Vec<f32> = weights.iter().map(|&w| f32::from(w)).collect();
        let filters = FloatFilters {
            weights: &reals,
            bias: &[0.0; FILTERS],
            bounds: [f32::NEG_INFINITY, f32::INFINITY],
        };
        let floats = FloatConv::new(isa, geometry, filters)?;
        Some(Self {
            scratch: vec![0; bytes.scratch()?],
            real_scratch: vec![0.0; floats.scratch()?],
            bytes,
            floats,
            input: vec![1; ROWS * LENGTH],
            output: vec![0; ROWS * FILTERS],
            real_input: vec![1.0; ROWS * LENGTH],
            real_output: vec![0.0; ROWS * FILTERS],
        })
    }

    /// One product in 8 bits.
    pub fn bytes(&mut self) {
        let (y, scratch) = (ViewMut::new(&mut self.output), ViewMut::new(&mut self.scratch));
        self.bytes.run(&Team::alone(), View::new(&self.input), y, scratch);
    }

    /// One product in floats.
    pub fn floats(&mut self) {
        let y = ViewMut::new(&mut self.real_output);
        let scratch = ViewMut::new(&mut self.real_scratch);
        self.floats.run(&Team::alone(), View::new(&self.real_input), y, scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_instruction_set_are_the_same() {
        let outputs = |isa| {
            let mut peak = Peak::of(isa).unwrap();
            peak.bytes();
            peak.floats();
            (peak.output, peak.real_output)
        };
        for isa in Isa::available() {
            assert!(outputs(isa) == outputs(Isa::SCALAR), "{isa:?}");
        }
    }
}
