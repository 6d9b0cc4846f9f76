//! Helpers share work, never wait in each other's way, and go when nobody needs them.

use std::array;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, LazyLock};

use bytemuck::Pod;

use super::*;
use crate::engine::native::memory::Arena;
use crate::engine::native::plan::ALIGN;
use crate::engine::threads::{Affinity, pin};

/// More threads than the machines that tests run on have cores.
pub(in super::super) static POOL: LazyLock<Pool> = LazyLock::new(|| pool(8));

/// As if there were so many cores, with all helpers.
fn pool(cores: usize) -> Pool {
    let pool = Pool::new(cores);
    pool.hire(cores).unwrap();
    pool
}

fn is_helper() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with("helper-"))
}

/// `work` on all of so many threads, as far as they are free, with both buffers.
pub(in super::super) fn walk<Y: Pod + Send, S: Pod + Send>(
    threads: usize,
    y: &mut [Y],
    scratch: &mut [S],
    work: impl Fn(&Team<'_>, ViewMut<'_, Y>, ViewMut<'_, S>) + Sync,
) {
    let [len, own] = [size_of_val(y), size_of_val(scratch)];
    let start = len.next_multiple_of(ALIGN);
    let mut arena = Arena::new(start + own).unwrap();
    arena.bytes_mut()[..len].copy_from_slice(bytemuck::cast_slice(y));
    arena.bytes_mut()[start..].copy_from_slice(bytemuck::cast_slice(scratch));
    let both = |team: &Team<'_>, arena: ViewMut<'_, u8>| {
        let (y, scratch) = arena.split_at(start);
        work(team, y.part(0..len).cast(), scratch.cast());
    };
    let mut turns = Turns::new(threads);
    POOL.begin(&mut turns, &[]).walk(arena.bytes_mut(), both, both);
    y.copy_from_slice(bytemuck::cast_slice(&arena.bytes()[..len]));
    scratch.copy_from_slice(bytemuck::cast_slice(&arena.bytes()[start..]));
}

/// A turn of parts of nothing.
fn share(team: &Team<'_>, parts: usize, work: impl Fn(usize)) {
    let parts = Stretches::new(ViewMut::new(&mut []), &[0; PARTS_MAX][..parts]);
    team.share(parts, Rooms::none(), |claim, _: &mut [()], _| work(claim.part()));
}

/// A walk of the calling thread and `pool`'s helpers, through nothing.
fn together(pool: &Pool, threads: usize, cores: &[usize], work: impl Fn(&Team<'_>) + Sync) {
    let mut turns = Turns::new(threads);
    let work = |team: &Team<'_>, _: ViewMut<'_, ()>| work(team);
    pool.begin(&mut turns, cores).walk(&mut [], work, work);
}

/// The calling thread and one helper are at `work` at the same time.
fn both(pool: &Pool, cores: &[usize], work: impl Fn() + Sync) {
    let met = Barrier::new(2);
    together(pool, 2, cores, |team| {
        share(team, 2, |_| {
            met.wait();
            work();
        });
    });
}

#[test]
fn every_part_is_done_once_in_the_rooms_that_there_are() {
    for threads in 1..5 {
        let (mut parts, mut scratch) = ([0u64; PARTS_MAX], vec![0u64; threads * ALIGN]);
        let ends: [usize; PARTS_MAX] = array::from_fn(|i| i + 1);
        walk(8, &mut parts, &mut scratch, |team, parts, scratch| {
            let rooms = Rooms::new(scratch, threads);
            team.share(Stretches::new(parts, &ends), rooms, |claim, part, room| {
                part[0] += claim.part() as u64 + 1;
                room[0] += 1;
            });
        });
        assert_eq!(parts, ends.map(|end| end as u64));
        let done = scratch.chunks(ALIGN).map(|room| room[0]);
        assert_eq!(done.sum::<u64>(), PARTS_MAX as u64);
    }
}

#[test]
fn rows_are_shared_and_what_is_left_over_goes_with_the_last() {
    for threads in 1..5 {
        let mut values = [0usize; 11];
        walk(threads, &mut values, &mut [0u8; 0], |team, values, _| {
            team.share_rows(threads, values, [3, 3], |_, rows, values| {
                let first = rows.start * 3;
                values.iter_mut().enumerate().for_each(|(i, value)| *value += first + i);
            });
        });
        assert_eq!(values, array::from_fn(|i| i));
    }
    let mut two = [7; 2];
    Team::alone().share_rows(4, ViewMut::new(&mut two), [0, 64], |_, rows, values| {
        assert_eq!((rows, values.len()), (0..0, 2));
    });
}

#[test]
fn a_turn_begins_when_all_parts_of_the_one_before_are_done() {
    // Each turn reads what the one before wrote, everywhere.
    let next = |x: &[u64], i: usize| {
        let at = |i: usize| x[i % PARTS_MAX];
        at(i).wrapping_mul(3).wrapping_add(at(i + 1)) ^ at(i + 31).rotate_left(7)
    };
    let turn = |team: &Team<'_>, round: usize, x: View<'_, u64>, y: ViewMut<'_, u64>| {
        // Few parts and many, for fewer threads than there are, too.
        let parts = 1 + round % PARTS_MAX;
        let first = |part: usize| part * PARTS_MAX / parts;
        let ends: Vec<usize> = (1..=parts).map(first).collect();
        let mut none = [(); 0];
        let rooms = Rooms::new(ViewMut::new(&mut none), 1 + round % 5);
        team.share(Stretches::new(y, &ends), rooms, |claim, y, _| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = next(x.of(claim), first(claim.part()) + i);
            }
        });
    };
    let first: [u64; PARTS_MAX] = array::from_fn(|i| i as u64);
    let rounds = if cfg!(miri) { 40 } else { 2000 };
    let expected = (0..rounds).fold(first, |x, _| array::from_fn(|i| next(&x, i)));
    for threads in [2, 3, 8] {
        let (mut x, mut y) = (first, [0u64; PARTS_MAX]);
        walk(threads, &mut x, &mut y, |team, mut x, mut y| {
            for round in (0..rounds).step_by(2) {
                turn(team, round, x.view(), y.reborrow());
                turn(team, round + 1, y.view(), x.reborrow());
            }
        });
        assert_eq!(x, expected, "{threads} threads");
    }
}

#[test]
fn who_is_done_helps_who_is_behind() {
    // The thread that has part 0 holds it until all the others are done: there has to be a helper.
    let done = AtomicUsize::new(1);
    together(&pool(2), 2, &[], |team| {
        share(team, 8, |part| {
            if part == 0 {
                while done.load(Ordering::Acquire) < 8 {
                    thread::yield_now();
                }
            } else {
                done.fetch_add(1, Ordering::Release);
            }
        });
    });
}

#[test]
fn nobody_waits_for_who_is_late() {
    // The helper comes to the first turn when the caller has done ten.
    let pool = pool(2);
    let turns = AtomicUsize::new(0);
    together(&pool, 2, &[], |team| {
        if is_helper() {
            while turns.load(Ordering::Acquire) < 10 {
                thread::yield_now();
            }
        }
        for turn in 0..20 {
            share(team, 3, |part| {
                assert!(turn >= 10 || !is_helper(), "turn {turn} is over");
                if part == 0 {
                    turns.store(turn + 1, Ordering::Release);
                }
            });
        }
    });
    assert_eq!(turns.into_inner(), 20);
}

#[test]
fn who_waits_long_sleeps_and_is_woken() {
    let pool = pool(2);
    both(&pool, &[], || {});
    let mut turns = Turns::new(2);
    let sleepers = |turns: &Turns| turns.sleepers();
    let walked = AtomicUsize::new(0);
    let crew = pool.begin(&mut turns, &[]);
    let (_, shared) = crew.of.unwrap();
    let walk = |team: &Team<'_>, _: ViewMut<'_, ()>| {
        let met = &walked;
        share(team, 2, |part| {
            // Both are here; one goes on, and the other waits until that one sleeps.
            met.fetch_add(1, Ordering::AcqRel);
            while met.load(Ordering::Acquire) < 2 {
                thread::yield_now();
            }
            while part == 0 && sleepers(shared) == 0 {
                thread::yield_now();
            }
        });
    };
    crew.walk(&mut [], walk, walk);
    assert_eq!((walked.into_inner(), shared.sleepers()), (2, 0));
}

#[test]
fn runs_have_no_more_threads_than_there_are_cores() {
    let pool = pool(4);
    let [mut a, mut b, mut c, mut d] = [3, 4, 4, 10].map(Turns::new);
    let threads = |crew: &Crew<'_>| 1 + crew.desks().count();
    let first = pool.begin(&mut a, &[]);
    let second = pool.begin(&mut b, &[]);
    let third = pool.begin(&mut c, &[]);
    assert_eq!([&first, &second, &third].map(threads), [3, 1, 1]);
    drop((first, third));
    assert_eq!(threads(&pool.begin(&mut c, &[])), 3);
    drop(second);
    assert_eq!(threads(&pool.begin(&mut d, &[])), 4);
}

#[test]
fn a_single_core_has_no_helpers() {
    let pool = pool(1);
    let mut turns = Turns::new(4);
    let crew = pool.begin(&mut turns, &[]);
    assert!(crew.is_alone());
    let mut parts = [0; 9];
    let ends: [usize; 9] = array::from_fn(|i| i + 1);
    let own = |team: &Team<'_>, parts: ViewMut<'_, i32>| {
        team.share(Stretches::new(parts, &ends), Rooms::none(), |_, part, _| part[0] += 1);
    };
    crew.walk(&mut parts, own, |_, _| panic!("nobody helps"));
    assert_eq!(parts, [1; 9]);
}

#[test]
fn a_helpers_panic_is_the_callers_and_the_helper_goes_on() {
    let pool = pool(2);
    for in_helper in [true, false] {
        let panicking = || both(&pool, &[], || assert!(is_helper() != in_helper, "on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        both(&pool, &[], || {});
    }
}

#[test]
fn helpers_end_with_the_pool() {
    let pool = pool(3);
    both(&pool, &[], || {});
    let desk = pool.desks[0].clone();
    drop(pool);
    assert_eq!(Arc::strong_count(&desk), 1, "the helper has let go of its desk");
}

#[test]
fn a_helper_runs_where_the_run_wants_it_and_else_not_on_its_callers_core() {
    let pool = pool(2);
    let cores = || (0..1024).filter(|&core| Affinity::current().has(core)).collect::<Vec<usize>>();
    let all = cores();
    let found = |wanted: &[usize]| {
        let found = Mutex::new(Vec::new());
        both(&pool, wanted, || {
            if is_helper() {
                *lock(&found) = cores();
            }
        });
        found.into_inner().unwrap()
    };
    assert_eq!(found(&all[..1]), all[..1]);
    let here = all[0];
    pin(here).unwrap();
    let others: Vec<usize> = all.iter().copied().filter(|&core| core != here).collect();
    assert_eq!(found(&[]), if others.is_empty() { all } else { others });
}
