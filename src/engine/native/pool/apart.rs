//! Slices that the threads of a run take apart: stretches of the output, and scratch.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use crate::engine::native::plan::ALIGN;

/// A slice whose places are handed out to several threads.
#[derive(Debug)]
struct Apart<'s, T> {
    first: *mut T,
    len: usize,
    slice: PhantomData<&'s mut [T]>,
}

// SAFETY: threads get places that no other has, as `Apart::place` demands.
unsafe impl<T: Send> Sync for Apart<'_, T> {}

impl<'s, T> Apart<'s, T> {
    fn new(slice: &'s mut [T]) -> Self {
        Self { first: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// # Safety
    /// Nobody has any of `place` as long as the caller has it.
    #[allow(clippy::mut_from_ref)]
    unsafe fn place(&self, place: Range<usize>) -> &mut [T] {
        assert!(place.start <= place.end && place.end <= self.len, "it lies in the slice");
        // SAFETY: these lie in the slice, which is borrowed as long as `self`, and nobody else has them.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(place.start), place.len()) }
    }
}

/// A slice in stretches, one after the other.
#[derive(Debug)]
pub(crate) struct Stretches<'s, T> {
    of: Apart<'s, T>,
    ends: &'s [usize],
}

impl<'s, T> Stretches<'s, T> {
    /// Stretches of `all` that end at `ends`, in ascending order.
    pub(crate) fn new(all: &'s mut [T], ends: &'s [usize]) -> Self {
        assert!(ends.is_sorted(), "stretches do not overlap");
        Self { of: Apart::new(all), ends }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The one of this number.
    ///
    /// # Safety
    /// Nobody has this one as long as the caller has it.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn stretch(&self, number: usize) -> &mut [T] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        // SAFETY: stretches do not overlap, and nobody else has this one.
        unsafe { self.of.place(start..self.ends[number]) }
    }
}

/// As many equal rooms in scratch as there are threads, which share no cache line. Operators with the same
/// scratch have the same ones: each thread finds its own in its cache, whatever it was used for before.
#[derive(Debug)]
pub(crate) struct Rooms<'s, T> {
    of: Apart<'s, T>,
    room: usize,
    count: usize,
}

/// Scratch for each of `threads` that need so much of it: several share no cache line.
pub(crate) fn room(needed: usize, threads: usize) -> usize {
    if threads == 1 { needed } else { needed.next_multiple_of(ALIGN) }
}

impl<'s, T> Rooms<'s, T> {
    /// Of all of `scratch`: [`room`] for each thread, or more.
    pub(crate) fn new(scratch: &'s mut [T], threads: usize) -> Self {
        let room = scratch.len() / threads;
        let room = if threads == 1 { room } else { room / ALIGN * ALIGN };
        Self { of: Apart::new(scratch), room, count: threads }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// That of the thread of this number.
    ///
    /// # Safety
    /// Nobody has this one as long as the caller has it.
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn room(&self, thread: usize) -> &mut [T] {
        // SAFETY: rooms do not overlap, and nobody else has this one.
        unsafe { self.of.place(thread * self.room..(thread + 1) * self.room) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other() {
        let mut all: Vec<usize> = (0..9).collect();
        let stretches = Stretches::new(&mut all, &[2, 2, 7]);
        // SAFETY: each is asked for once.
        let found = [0, 1, 2].map(|number| unsafe { stretches.stretch(number) });
        assert_eq!(found.map(|found| found.to_vec()), [vec![0, 1], vec![], vec![2, 3, 4, 5, 6]]);
    }

    #[test]
    #[should_panic(expected = "it lies in the slice")]
    fn none_lies_beyond_the_slice() {
        let mut all = [0; 3];
        // SAFETY: it is the only one.
        unsafe { Stretches::new(&mut all, &[4]).stretch(0) };
    }

    #[test]
    fn rooms_begin_at_cache_lines() {
        let mut scratch: Vec<usize> = (0..500).collect();
        let rooms = Rooms::new(&mut scratch, 3);
        // SAFETY: each is asked for once.
        let found = [0, 1, 2].map(|thread| unsafe { rooms.room(thread) });
        assert_eq!(found.map(|room| (room[0], room.len())), [(0, 128), (128, 128), (256, 128)]);
    }

    #[test]
    fn one_thread_has_all() {
        let mut scratch = [0; 77];
        let rooms = Rooms::new(&mut scratch, 1);
        // SAFETY: it is the only one.
        assert_eq!(unsafe { rooms.room(0) }.len(), 77);
    }

    #[test]
    fn without_scratch_there_are_rooms_for_all() {
        let mut none = [0u8; 0];
        let rooms = Rooms::new(&mut none, 2);
        // SAFETY: each is asked for once.
        assert_eq!([0, 1].map(|thread| unsafe { rooms.room(thread) }.len()), [0, 0]);
    }
}
