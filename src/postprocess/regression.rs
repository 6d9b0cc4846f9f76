//! `regression`: a number in its unit.

use std::sync::Arc;

use super::{Found, Task};
use crate::data::Finding;
use crate::model::Regression;

pub(super) struct Reader {
    scale: f32,
    offset: f32,
    unit: Arc<str>,
}

impl Reader {
    pub(super) fn new(settings: &Regression) -> Self {
        let Regression { scale, offset, ref unit, .. } = *settings;
        Self { scale, offset, unit: Arc::from(unit.as_str()) }
    }
}

impl Task for Reader {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let value = outputs[0][0] * self.scale + self.offset;
        (Finding::Regression { value, unit: self.unit.clone() }, None)
    }
}
