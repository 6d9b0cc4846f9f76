//! Helpers share work, never wait in each other's way, and go when nobody needs them.

use std::array;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, LazyLock};

use super::*;
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

/// Shares parts of nothing between so many threads.
fn share(team: &Team<'_>, parts: usize, threads: usize, work: impl Fn(usize) + Sync) {
    let ends = &[0; PARTS_MAX][..parts];
    let (parts, rooms) = (Stretches::new(&mut [], ends), Rooms::new(&mut [], threads));
    team.share(parts, rooms, |part, _: &mut [()], _: &mut [()]| work(part));
}

/// Shares two parts between the calling thread and one helper: both are at them at the same time.
fn both(team: &Team<'_>, work: impl Fn() + Sync) {
    let met = Barrier::new(2);
    share(team, 2, 2, |_| {
        met.wait();
        work();
    });
}

#[test]
fn every_part_is_done_once_in_the_rooms_that_there_are() {
    let team = POOL.begin(7, &[]);
    for threads in 1..5 {
        let (mut parts, mut scratch) = ([0; PARTS_MAX], vec![0; threads * ALIGN]);
        let ends: [usize; PARTS_MAX] = array::from_fn(|i| i + 1);
        let rooms = Rooms::new(&mut scratch, threads);
        team.share(Stretches::new(&mut parts, &ends), rooms, |number, part, room| {
            part[0] += number + 1;
            room[0] += 1;
        });
        assert_eq!(parts, ends);
        assert_eq!(scratch.chunks(ALIGN).map(|room| room[0]).sum::<usize>(), PARTS_MAX);
    }
}

#[test]
fn rows_are_shared_and_what_is_left_over_goes_with_the_last() {
    let team = POOL.begin(7, &[]);
    for threads in 1..5 {
        let mut values = [0; 11];
        team.share_rows(threads, &mut values, [3, 3], |rows, values| {
            let first = rows.start * 3;
            values.iter_mut().enumerate().for_each(|(i, value)| *value += first + i);
        });
        assert_eq!(values, array::from_fn(|i| i));
    }
    team.share_rows(4, &mut [7; 2], [0, 64], |rows, values| {
        assert_eq!((rows, values.len()), (0..0, 2))
    });
}

#[test]
fn who_is_done_helps_who_is_behind() {
    let team = POOL.begin(1, &[]);
    // The thread that has part 0 holds it until all the others are done.
    let done = AtomicUsize::new(1);
    share(&team, 8, 2, |part| {
        if part == 0 {
            while done.load(Ordering::Acquire) < 8 {
                thread::yield_now();
            }
        } else {
            done.fetch_add(1, Ordering::Release);
        }
    });
}

#[test]
fn runs_have_no_more_threads_than_there_are_cores() {
    let pool = pool(4);
    let first = pool.begin(2, &[]);
    let second = pool.begin(3, &[]);
    let third = pool.begin(3, &[]);
    assert_eq!([first.threads(), second.threads(), third.threads()], [3, 1, 1]);
    drop((first, third));
    assert_eq!(pool.begin(3, &[]).threads(), 3);
    drop(second);
    assert_eq!(pool.begin(9, &[]).threads(), 4);
}

#[test]
fn a_single_core_has_no_helpers() {
    let pool = pool(1);
    let team = pool.begin(3, &[]);
    assert_eq!(team.threads(), 1);
    let mut parts = [0; 9];
    let ends: [usize; 9] = array::from_fn(|i| i + 1);
    let rooms = Rooms::new(&mut [(); 0], 4);
    team.share(Stretches::new(&mut parts, &ends), rooms, |_, part, _: &mut [()]| part[0] += 1);
    assert_eq!(parts, [1; 9]);
}

#[test]
fn a_helpers_panic_is_the_callers_and_the_helper_goes_on() {
    let pool = pool(2);
    let team = pool.begin(1, &[]);
    for in_helper in [true, false] {
        let panicking = || both(&team, || assert!(is_helper() != in_helper, "on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
        both(&team, || {});
    }
}

#[test]
fn helpers_end_with_the_pool() {
    let pool = pool(3);
    both(&pool.begin(1, &[]), || {});
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
        both(&pool.begin(1, wanted), || {
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
