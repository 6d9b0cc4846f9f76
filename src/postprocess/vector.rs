//! `vector`: the output's numbers, at length 1 where that is wanted.

use super::{Found, Task};
use crate::data::Finding;
use crate::model::Vector;

pub(super) struct Numbers {
    normalize: bool,
}

impl Numbers {
    pub(super) fn new(settings: &Vector) -> Self {
        Self { normalize: settings.normalize }
    }
}

impl Task for Numbers {
    fn read(&mut self, _input: &[f32], outputs: &[&[f32]]) -> Found {
        let mut vector = outputs[0].to_vec();
        if self.normalize {
            let length = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
            // One of length 0 has no direction, and stays as it is.
            if length > 0.0 {
                vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
            }
        }
        (Finding::Vector { vector }, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(normalize: bool, values: [f32; 2]) -> Vec<f32> {
        match Numbers::new(&Vector { normalize }).read(&[], &[&values]).0 {
            Finding::Vector { vector } => vector,
            other => panic!("no vector: {other:?}"),
        }
    }

    #[test]
    fn a_vector_is_the_output_or_its_direction() {
        assert_eq!(read(false, [3.0, 4.0]), [3.0, 4.0]);
        assert_eq!(read(true, [3.0, 4.0]), [0.6, 0.8]);
        let huge = read(true, [3e30, 4e30]);
        assert!((huge[0] - 0.6).abs() < 1e-6 && (huge[1] - 0.8).abs() < 1e-6, "{huge:?}");
        assert_eq!(read(true, [0.0, 0.0]), [0.0, 0.0]);
    }
}
