//! Constants that begin where a cache line does: a vector across two lines takes two loads.

use std::ops::{Deref, DerefMut};

use bytemuck::Zeroable;

/// Bytes of a line, which are those of the longest vector.
const LINE: usize = 64;

/// Elements in one piece, the first at the beginning of a line.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    /// With room for a beginning anywhere.
    elements: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Zeroable + Clone> Aligned<T> {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let spare = LINE / size_of::<T>();
        let elements = vec![T::zeroed(); len + spare];
        let start = elements.as_ptr().align_offset(LINE).min(spare);
        Self { elements, start, len }
    }
}

impl<T: Zeroable + Copy> From<&[T]> for Aligned<T> {
    fn from(elements: &[T]) -> Self {
        let mut aligned = Self::zeros(elements.len());
        aligned.copy_from_slice(elements);
        aligned
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.elements[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.elements[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_begin_at_a_line() {
        for len in [0, 1, 1000] {
            let mut elements = Aligned::<f32>::zeros(len);
            elements.fill(1.0);
            assert!(elements.as_ptr().addr().is_multiple_of(LINE) && *elements == vec![1.0; len]);
        }
    }
}
