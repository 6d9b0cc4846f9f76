//! The spool on a thread of its own: the network never waits for the disk.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::Notify;

use super::message::{Id, Message, Place};
use crate::spool::{Chunk, Gone, Index, LANES, Lane, Spool, SpoolError};
use crate::storage::Disk;

/// A spool that could not be opened or written is tried again that often.
const AGAIN: Duration = Duration::from_secs(30);

/// Where the spool is, and how large it may grow.
#[derive(Clone, Debug)]
pub(in crate::net) struct Home {
    pub(in crate::net) disk: Arc<dyn Disk>,
    pub(in crate::net) dir: PathBuf,
    pub(in crate::net) bytes_max: u64,
    /// Without a lock: for a disk that no other process sees.
    pub(in crate::net) alone: bool,
}

/// What the keeper is asked to do, in order.
#[derive(Debug)]
pub(super) enum Order {
    /// Make these durable.
    Keep(Lane, Vec<(Id, Place, Arc<Message>)>),
    /// Read what lies together from here on.
    Read(Lane, Index),
    /// Everything below is finished.
    Finish(Lane, Index),
    /// Make durable what is finished.
    Save,
}

/// What the keeper has done.
#[derive(Debug)]
pub(super) enum Report {
    /// The spool is open; what is in it, as ranges by lane, and the first place behind them.
    Opened { lanes: [Range<Index>; 2], next: Place },
    /// They are durable, the first one under this index.
    Kept(Lane, Index, Vec<Id>),
    /// They are not: no room, too large, or the disk fails.
    NotKept(Vec<Id>),
    /// What was read from there on.
    Read(Lane, Index, Chunk),
    /// The disk fails. Nothing is kept, read or finished until it is opened again.
    Broken(String),
    /// The spool gave the oldest up for something newer.
    Gone(Lane, Range<Index>),
}

#[derive(Default)]
struct Desk {
    orders: VecDeque<Order>,
    reports: VecDeque<Report>,
    bytes: u64,
    busy: bool,
    closed: bool,
}

struct Shared {
    desk: Mutex<Desk>,
    ordered: Condvar,
    reported: Notify,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self, report: Report) {
        self.desk().reports.push_back(report);
        self.reported.notify_one();
    }
}

/// The near end.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; [`Report::Opened`] or [`Report::Broken`] follows.
    pub(super) fn start(home: Home) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk { busy: true, ..Desk::default() }),
            ordered: Condvar::new(),
            reported: Notify::new(),
        });
        let mut work = Work { home, shared: Arc::clone(&shared), spool: None };
        let thread = thread::Builder::new().name("spool".to_owned()).spawn(move || work.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn order(&self, order: Order) {
        self.shared.desk().orders.push_back(order);
        self.shared.ordered.notify_one();
    }

    /// The oldest report that was not heard.
    pub(super) fn next(&self) -> Option<Report> {
        self.shared.desk().reports.pop_front()
    }

    /// Returns when there was a report since the last call; cancelling it loses nothing.
    pub(super) async fn reported(&self) {
        self.shared.reported.notified().await;
    }

    /// Bytes that the spool takes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.shared.desk().bytes
    }

    /// Carries out what was ordered, and ends; for as long as the disk takes.
    pub(super) fn close(&mut self) {
        self.shared.desk().closed = true;
        self.shared.ordered.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the spool's thread ended with a panic");
        }
    }

    /// Waits until all that was ordered is done and reported.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        let unsettled = |desk: &Desk| desk.busy || !desk.orders.is_empty();
        while unsettled(&self.shared.desk()) {
            thread::yield_now();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.desk().closed = true;
        self.shared.ordered.notify_one();
    }
}

struct Work {
    home: Home,
    shared: Arc<Shared>,
    spool: Option<Spool>,
}

impl Work {
    fn run(&mut self) {
        self.open();
        while let Some(orders) = self.orders() {
            self.carry_out(orders);
            if let Some(spool) = &self.spool {
                self.shared.desk().bytes = spool.bytes();
            }
        }
    }

    fn open(&mut self) {
        let Home { disk, dir, bytes_max, alone } = &self.home;
        let opened = match alone {
            true => Spool::unlocked(Arc::clone(disk), dir, *bytes_max),
            false => Spool::open(Arc::clone(disk), dir, *bytes_max),
        };
        match opened {
            Ok(spool) => {
                let newest = |lane| {
                    let (place, _) = Message::decode(lane, spool.newest(lane)?)?;
                    Some(place.0.saturating_add(1))
                };
                let next = LANES.into_iter().filter_map(newest).max().unwrap_or_default();
                let lanes = LANES.map(|lane| spool.range(lane));
                self.shared.desk().bytes = spool.bytes();
                self.shared.report(Report::Opened { lanes, next: Place(next) });
                self.spool = Some(spool);
            }
            Err(error) => self.shared.report(Report::Broken(error.to_string())),
        }
    }

    /// What is to be done; waits for it. `None` when all is done and no more comes.
    fn orders(&mut self) -> Option<VecDeque<Order>> {
        loop {
            let mut desk = self.shared.desk();
            desk.busy = false;
            let idle = |desk: &mut Desk| desk.orders.is_empty() && !desk.closed;
            let mut desk = match &self.spool {
                Some(_) => {
                    let waited = self.shared.ordered.wait_while(desk, idle);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                None => {
                    let waited = self.shared.ordered.wait_timeout_while(desk, AGAIN, idle);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            desk.busy = true;
            if !desk.orders.is_empty() {
                return Some(std::mem::take(&mut desk.orders));
            }
            if desk.closed {
                return None;
            }
            drop(desk);
            self.open();
        }
    }

    fn carry_out(&mut self, mut orders: VecDeque<Order>) {
        while let Some(order) = orders.pop_front() {
            let done = match order {
                Order::Keep(lane, mut messages) => {
                    // What came for the same lane meanwhile costs the same sync.
                    while let Some(Order::Keep(_, more)) = orders.pop_front_if(
                        |next| matches!(next, Order::Keep(other, _) if *other == lane),
                    ) {
                        messages.extend(more);
                    }
                    self.keep(lane, &messages)
                }
                Order::Read(lane, from) => self.read(lane, from),
                Order::Finish(lane, floor) => self.with(|spool| spool.finish(lane, floor)),
                Order::Save => self.with(Spool::save),
            };
            if let Err(error) = done {
                self.spool = None;
                self.shared.report(Report::Broken(error.to_string()));
            }
        }
    }

    /// Does it if the spool is there; what it is told of while it is not, it learns anew.
    fn with(
        &mut self,
        act: impl FnOnce(&mut Spool) -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        self.spool.as_mut().map_or(Ok(()), act)
    }

    fn keep(
        &mut self,
        lane: Lane,
        messages: &[(Id, Place, Arc<Message>)],
    ) -> Result<(), SpoolError> {
        let all: Vec<Id> = messages.iter().map(|(id, ..)| *id).collect();
        let Some(spool) = &mut self.spool else {
            self.shared.report(Report::NotKept(all));
            return Ok(());
        };
        let (mut ids, mut bodies, mut large) = (Vec::new(), Vec::new(), Vec::new());
        for (id, place, message) in messages {
            let body = message.encode(*place);
            match spool.takes(&body) {
                true => {
                    ids.push(*id);
                    bodies.push(body);
                }
                false => large.push(*id),
            }
        }
        if !large.is_empty() {
            self.shared.report(Report::NotKept(large));
        }
        let mut gone = Gone::new();
        let first = spool.append(lane, &bodies, &mut gone);
        for (lane, range) in gone {
            self.shared.report(Report::Gone(lane, range));
        }
        match first {
            Ok(Some(first)) => self.shared.report(Report::Kept(lane, first, ids)),
            Ok(None) => self.shared.report(Report::NotKept(ids)),
            Err(error) => {
                self.shared.report(Report::NotKept(ids));
                return Err(error);
            }
        }
        Ok(())
    }

    fn read(&mut self, lane: Lane, from: Index) -> Result<(), SpoolError> {
        let Some(spool) = &self.spool else { return Ok(()) };
        let chunk = spool.read(lane, from)?;
        self.shared.report(Report::Read(lane, from, chunk));
        Ok(())
    }
}
