//! What the threads of a walk work on: slices that they all know, and take apart in turns.
//!
//! Between turns a thread knows where a slice is and how long, and cannot look into it: others may still, or again,
//! write there. With a [`Claim`] it can: see [`Team::share`](super::Team::share).
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;

use bytemuck::Pod;

use crate::engine::native::plan::ALIGN;

/// Says that the calling thread has a part of a turn, as long as it lasts.
#[derive(Debug)]
pub(crate) struct Claim {
    part: usize,
}

impl Claim {
    /// # Safety
    /// The calling thread alone has this part of a turn, from now on as long as the claim lasts, and the turn is
    /// not over before; all threads share the same slices in it.
    pub(super) unsafe fn new(part: usize) -> Self {
        Self { part }
    }

    /// The part's number.
    pub(crate) fn part(&self) -> usize {
        self.part
    }
}

/// A slice that all threads of a walk may read, in turns that do not write it.
#[derive(Debug)]
pub(crate) struct View<'s, T> {
    first: *const T,
    len: usize,
    slice: PhantomData<&'s [T]>,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

impl<'s, T> View<'s, T> {
    pub(crate) fn new(slice: &'s [T]) -> Self {
        Self { first: slice.as_ptr(), len: slice.len(), slice: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slice, for a part of a turn.
    #[inline(always)]
    pub(crate) fn of<'c>(self, _: &'c Claim) -> &'c [T]
    where
        's: 'c,
    {
        // SAFETY: it lies in a slice that is borrowed for `'s`. Nobody writes it in this turn: to share it to be
        // written borrows or moves the `ViewMut` that this one is of, or lies apart from, and all threads do the same.
        unsafe { std::slice::from_raw_parts(self.first, self.len) }
    }

    /// These of its values.
    fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "it lies in the slice");
        Self { first: self.first.wrapping_add(range.start), len: range.len(), slice: PhantomData }
    }

    /// One after the other, each of `len` values, at least one; what is left over is in none.
    pub(crate) fn chunks_exact(self, len: usize) -> impl Iterator<Item = Self> {
        (0..self.len / len).map(move |i| self.part(i * len..(i + 1) * len))
    }

    /// The same bytes as values of another type.
    pub(crate) fn cast<U: Pod>(self) -> View<'s, U>
    where
        T: Pod,
    {
        let first = self.first.cast::<U>();
        let len = cast_len::<T, U>(self.len, first);
        View { first, len, slice: PhantomData }
    }
}

/// A slice that all threads of a walk may write, each its own parts of it in a turn.
#[derive(Debug)]
pub(crate) struct ViewMut<'s, T> {
    first: *mut T,
    len: usize,
    slice: PhantomData<&'s mut [T]>,
}

// SAFETY: with it alone nobody gets at the slice, but for places that no other thread has.
unsafe impl<T: Send> Sync for ViewMut<'_, T> {}

impl<'s, T> ViewMut<'s, T> {
    pub(crate) fn new(slice: &'s mut [T]) -> Self {
        Self { first: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The same for another thread of the walk.
    pub(super) fn again(&self) -> ViewMut<'_, T> {
        ViewMut { first: self.first, len: self.len, slice: PhantomData }
    }

    /// To be written for a while.
    pub(crate) fn reborrow(&mut self) -> ViewMut<'_, T> {
        self.again()
    }

    /// To be read for a while.
    pub(crate) fn view(&self) -> View<'_, T> {
        View { first: self.first, len: self.len, slice: PhantomData }
    }

    /// These of its values.
    pub(crate) fn part(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "it lies in the slice");
        Self { first: self.first.wrapping_add(range.start), len: range.len(), slice: PhantomData }
    }

    /// The first `len` of them, and the others.
    pub(crate) fn split_at(self, len: usize) -> (Self, Self) {
        assert!(len <= self.len, "it lies in the slice");
        let after = self.first.wrapping_add(len);
        let rest = Self { first: after, len: self.len - len, slice: PhantomData };
        (Self { len, ..self }, rest)
    }

    /// One after the other, each of `len` values, at least one; what is left over is in none.
    pub(crate) fn chunks_exact(self, len: usize) -> impl Iterator<Item = Self> {
        let (first, count) = (self.first, self.len / len);
        (0..count).map(move |i| Self {
            first: first.wrapping_add(i * len),
            len,
            slice: PhantomData,
        })
    }

    /// Two ranges to be written, and what else there is, to be read.
    ///
    /// # Panics
    /// When they overlap, or lie outside.
    #[inline(always)]
    pub(crate) fn apart(self, [a, b]: [Range<usize>; 2]) -> ([Self; 2], Others<'s, T>) {
        assert!(are_apart(&a, &b), "what is written lies apart");
        let all = || Self { first: self.first, len: self.len, slice: PhantomData };
        let of = View { first: self.first, len: self.len, slice: PhantomData };
        let others = Others { of, but: [a.clone(), b.clone()] };
        ([all().part(a), all().part(b)], others)
    }

    /// The same bytes as values of another type.
    pub(crate) fn cast<U: Pod>(self) -> ViewMut<'s, U>
    where
        T: Pod,
    {
        let first = self.first.cast::<U>();
        let len = cast_len::<T, U>(self.len, first);
        ViewMut { first, len, slice: PhantomData }
    }

    /// # Safety
    /// Nobody else has any of it.
    pub(super) unsafe fn all(self) -> &'s mut [T] {
        // SAFETY: this is the slice, which is borrowed for `'s`, and nobody else has any of it.
        unsafe { std::slice::from_raw_parts_mut(self.first, self.len) }
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

/// A slice but for two ranges of it.
#[derive(Debug)]
pub(crate) struct Others<'s, T> {
    of: View<'s, T>,
    but: [Range<usize>; 2],
}

impl<'s, T> Others<'s, T> {
    /// # Panics
    /// When `range` overlaps with what is left out, or lies outside.
    #[inline(always)]
    pub(crate) fn view(&self, range: Range<usize>) -> View<'s, T> {
        let [a, b] = &self.but;
        assert!(are_apart(&range, a) && are_apart(&range, b), "what is written lies apart");
        self.of.part(range)
    }
}

#[inline(always)]
fn are_apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

/// How many values of type `U` there are in `len` of type `T`, of which `first` is the first.
fn cast_len<T, U>(len: usize, first: *const U) -> usize {
    assert!(first.is_aligned(), "values lie where their type does");
    let bytes = len * size_of::<T>();
    assert!(bytes.is_multiple_of(size_of::<U>()), "whole values");
    bytes / size_of::<U>()
}

/// A slice in stretches, one after the other.
#[derive(Debug)]
pub(crate) struct Stretches<'s, T> {
    of: ViewMut<'s, T>,
    ends: &'s [usize],
}

impl<'s, T> Stretches<'s, T> {
    /// Stretches of `all` that end at `ends`, in ascending order.
    pub(crate) fn new(all: ViewMut<'s, T>, ends: &'s [usize]) -> Self {
        assert!(ends.is_sorted(), "stretches do not overlap");
        Self { of: all, ends }
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
    of: ViewMut<'s, T>,
    room: usize,
    count: usize,
}

/// Scratch for each of `threads` that need so much of it: several share no cache line.
pub(crate) fn room(needed: usize, threads: usize) -> usize {
    if threads == 1 { needed } else { needed.next_multiple_of(ALIGN) }
}

impl<'s, T> Rooms<'s, T> {
    /// Of all of `scratch`: [`room`] for each thread, or more.
    pub(crate) fn new(scratch: ViewMut<'s, T>, threads: usize) -> Self {
        let all = scratch.len();
        let room = if threads == 1 { all } else { all / threads / ALIGN * ALIGN };
        Self { of: scratch, room, count: threads }
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

impl<'s> Rooms<'s, u8> {
    /// For work that needs none, on any number of threads.
    pub(crate) fn none() -> Self {
        Self { of: ViewMut::new(&mut []), room: 0, count: usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_follow_each_other() {
        let mut all: Vec<usize> = (0..9).collect();
        let stretches = Stretches::new(ViewMut::new(&mut all), &[2, 2, 7]);
        // SAFETY: each is asked for once.
        let found = [0, 1, 2].map(|number| unsafe { stretches.stretch(number) });
        assert_eq!(found.map(|found| found.to_vec()), [vec![0, 1], vec![], vec![2, 3, 4, 5, 6]]);
    }

    #[test]
    #[should_panic(expected = "it lies in the slice")]
    fn none_lies_beyond_the_slice() {
        let mut all = [0; 3];
        // SAFETY: it is the only one.
        unsafe { Stretches::new(ViewMut::new(&mut all), &[4]).stretch(0) };
    }

    #[test]
    fn rooms_begin_at_cache_lines() {
        let mut scratch: Vec<usize> = (0..500).collect();
        let rooms = Rooms::new(ViewMut::new(&mut scratch), 3);
        // SAFETY: each is asked for once.
        let found = [0, 1, 2].map(|thread| unsafe { rooms.room(thread) });
        assert_eq!(found.map(|room| (room[0], room.len())), [(0, 128), (128, 128), (256, 128)]);
    }

    #[test]
    fn one_thread_has_all() {
        let mut scratch = [0; 77];
        let rooms = Rooms::new(ViewMut::new(&mut scratch), 1);
        // SAFETY: it is the only one.
        assert_eq!(unsafe { rooms.room(0) }.len(), 77);
    }

    #[test]
    fn without_scratch_there_are_rooms_for_all() {
        let rooms = Rooms::none();
        // SAFETY: each is asked for once.
        assert_eq!([0, 63].map(|thread| unsafe { rooms.room(thread) }.len()), [0, 0]);
    }

    #[test]
    fn views_are_cut_and_cast_as_slices_are() {
        let mut all: Vec<u32> = (0..11).collect();
        let (first, rest) = ViewMut::new(&mut all).split_at(3);
        assert_eq!((first.len(), rest.len(), rest.view().cast::<u8>().len()), (3, 8, 32));
        // SAFETY: nobody else has the slice.
        let claim = unsafe { Claim::new(0) };
        let seen: Vec<&[u32]> = rest.view().chunks_exact(3).map(|view| view.of(&claim)).collect();
        assert_eq!(seen, [[3, 4, 5], [6, 7, 8]]);
        assert_eq!(
            rest.part(2..4).view().cast::<u8>().of(&claim),
            [5, 0, 0, 0, 6, 0, 0, 0].map(u8::to_le)
        );
    }

    #[test]
    fn what_is_written_lies_apart() {
        let mut all: Vec<u8> = (0..9).collect();
        let overlaps = |written: [Range<usize>; 2], read| {
            let mut all = all.clone();
            let view = || ViewMut::new(&mut all).apart(written).1.view(read).len();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(view)).is_err()
        };
        assert!(overlaps([0..4, 3..5], 7..9) && overlaps([0..4, 6..9], 5..7));
        assert!(overlaps([4..8, 0..3], 2..4) && overlaps([0..1, 8..10], 2..4));
        let ([a, b], others) = ViewMut::new(&mut all).apart([2..4, 6..6]);
        // SAFETY: nobody else has the slice.
        let claim = unsafe { Claim::new(0) };
        assert_eq!((a.view().of(&claim), b.len()), (&[2, 3][..], 0));
        assert_eq!(others.view(4..6).of(&claim), [4, 5]);
    }

    #[test]
    #[should_panic(expected = "values lie where their type does")]
    fn values_are_not_read_where_they_cannot_lie() {
        let mut all = [0u32; 3];
        let bytes = ViewMut::new(&mut all).cast::<u8>();
        bytes.part(1..5).cast::<u32>();
    }
}
