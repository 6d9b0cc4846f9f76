//! Where each thread of a run has its scratch.

use crate::engine::native::plan::ALIGN;

/// As many equal stretches of scratch as there are threads, which share no cache line. Operators with the same scratch have
/// the same ones: each thread finds its own in its cache, whatever it was used for before.
#[derive(Debug)]
pub(crate) struct Rooms<'s, T> {
    rest: &'s mut [T],
    room: usize,
    left: usize,
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
        Self { rest: &mut scratch[..room * threads], room, left: threads }
    }
}

impl<'s, T> Iterator for Rooms<'s, T> {
    type Item = &'s mut [T];

    fn next(&mut self) -> Option<&'s mut [T]> {
        self.left = self.left.checked_sub(1)?;
        let (room, rest) = std::mem::take(&mut self.rest).split_at_mut(self.room);
        self.rest = rest;
        Some(room)
    }
}

impl<T> DoubleEndedIterator for Rooms<'_, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let rest = std::mem::take(&mut self.rest);
        let (rest, room) = rest.split_at_mut(rest.len() - self.room);
        self.rest = rest;
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_begin_at_cache_lines_and_are_the_same_from_either_end() {
        let mut scratch: Vec<usize> = (0..500).collect();
        let mut rooms = Rooms::new(&mut scratch, 3);
        let first = rooms.next().unwrap();
        assert_eq!((first[0], first.len()), (0, 128));
        let last = rooms.next_back().unwrap();
        assert_eq!((last[0], last.len()), (256, 128));
        let [between, none] = [rooms.next_back(), rooms.next()];
        assert_eq!((between.unwrap()[0], none), (128, None));
    }

    #[test]
    fn one_thread_has_all() {
        let mut scratch = [0; 77];
        assert_eq!(Rooms::new(&mut scratch, 1).next().unwrap().len(), 77);
    }

    #[test]
    fn without_scratch_there_are_rooms_for_all() {
        let rooms = Rooms::new(&mut [0u8; 0], 2);
        assert_eq!(rooms.map(|room| room.len()).collect::<Vec<_>>(), [0, 0]);
    }
}
