//! What waits for the broker: the one keeper of results and events until their PUBACK.
//!
//! The MQTT library is only a transport. New messages stand in memory, in order, and depart from there while the
//! broker takes them. An event is on disk before it departs; a result that has not been acknowledged within the
//! commit interval is written, too. What is on disk leaves memory while there is no connection, and is read back
//! when there is one: the backlog.
//!
//! ```text
//!  push ──► live ──────────────────────────► depart ──► on its way ──PUBACK──► forgotten
//!             │ events at once,       ▲ read back
//!             ▼ results after 5 s     │
//!           spool ──────────────► backlog
//! ```
//!
//! A short backlog departs first, so that the order is that of time. Once it is older than
//! [`Rules::in_order`], live messages are not held up any more: the two then take turns, each in its own order,
//! the backlog no faster than [`Rules::drain_hz`]. When there is no room the oldest results go before the oldest
//! events; what is on its way is never given up, since it may already have arrived.

mod done;
mod keeper;
mod message;
mod queue;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::spool::{Chunk, Index, LANES, Lane};
use done::Done;
use keeper::{Keeper, Order, Report};
use message::Place;
use queue::{Entry, Kept, Queue};

pub(super) use keeper::Home;
pub(super) use message::{Id, Message};

/// An event that the disk has not taken by then departs without it: a card that stalls must not silence a board.
const HOLD: Duration = Duration::from_secs(1);
/// So many finished messages are told to the spool at once.
const TELL: Index = 64;
/// What is finished is made durable that often; a crash repeats at most what was finished since.
const SAVE: Duration = Duration::from_secs(30);
/// The backlog may depart that far ahead of its rate: a timer for each message would be a waste.
const BURST: Duration = Duration::from_millis(100);

/// How messages are kept and sent.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Room in memory for topics and payloads, each message 64 bytes more.
    pub(super) bytes_max: usize,
    /// Where messages outlive the process; `None` for memory only.
    pub(super) home: Option<Home>,
    /// A result that is not acknowledged by then is written to disk.
    pub(super) commit: Duration,
    /// Whether results are on disk before they depart, as events are.
    pub(super) each: bool,
    /// How long live messages wait for those before them.
    pub(super) in_order: Duration,
    /// Messages a second that the backlog departs at.
    pub(super) drain_hz: f64,
}

/// What of a lane is on disk.
#[derive(Debug, Default)]
struct Backlog {
    done: Done,
    /// The next message's index.
    end: Index,
    /// Those that are on disk alone: not in memory, not finished.
    away: u64,
    /// Where reading goes on.
    next: Index,
    /// Where what is being read begins.
    reading: Option<Index>,
    /// Those that were read back.
    queue: Queue,
    /// Below this the spool knows what is finished.
    told: Index,
}

impl Backlog {
    fn is_empty(&self) -> bool {
        self.away == 0 && self.queue.is_empty()
    }

    /// Where the messages in memory came from is forgotten: they are read again.
    fn rewind(&mut self) {
        self.away = self.end.saturating_sub(self.done.floor())
            - self.done.within(&(self.done.floor()..self.end));
        self.next = self.done.floor();
        self.reading = None;
        self.queue = Queue::default();
    }
}

/// Since when there is a backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Not,
    Since(Instant),
    /// From an earlier run.
    Long,
}

/// How the disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// There is none: memory only.
    None,
    Works,
    /// Not opened yet, or it fails.
    Away,
}

/// The messages that wait and those on their way.
pub(super) struct Outbox {
    rules: Rules,
    keeper: Option<Keeper>,
    disk: Disk,
    error: Option<String>,
    live: Queue,
    lanes: [Backlog; 2],
    connected: bool,
    behind: Behind,
    next: Id,
    next_place: Place,
    /// Messages of `live` before this are late.
    live_from: Place,
    /// Acknowledged while they were being written.
    overtaken: BTreeSet<Id>,
    /// Of what is in memory alone: when the oldest was taken in, or earlier, and how many bytes, or more.
    unkept_since: Option<Instant>,
    unkept_bytes: usize,
    drain_at: Option<Instant>,
    save_at: Option<Instant>,
    was_live: bool,
    dropped: u64,
}

impl Outbox {
    /// Starts the thread that keeps messages, where `rules` name a home for them; without it, it is memory only.
    pub(super) fn new(rules: Rules) -> Self {
        let keeper = rules.home.clone().and_then(|home| {
            let started = Keeper::start(home);
            started.map_err(|error| log::error!("no thread for the spool: {error}")).ok()
        });
        Self {
            disk: if keeper.is_some() { Disk::Away } else { Disk::None },
            keeper,
            error: None,
            rules,
            live: Queue::default(),
            lanes: Default::default(),
            connected: false,
            behind: Behind::Not,
            next: Id(0),
            next_place: Place(0),
            live_from: Place(0),
            overtaken: BTreeSet::new(),
            unkept_since: None,
            unkept_bytes: 0,
            drain_at: None,
            save_at: None,
            was_live: false,
            dropped: 0,
        }
    }

    /// Messages inside, on disk or in memory.
    pub(super) fn len(&self) -> usize {
        let [results, events] = &self.lanes;
        let read = results.queue.len() + events.queue.len();
        let away = usize::try_from(results.away + events.away).unwrap_or(usize::MAX);
        (self.live.len() + read).saturating_add(away)
    }

    /// Messages that a stop would lose.
    pub(super) fn at_risk(&self) -> usize {
        let is_at_risk =
            |entry: &&Entry| !entry.done && matches!(entry.kept, Kept::No | Kept::Never);
        self.live.iter().filter(is_at_risk).count()
    }

    /// Whether nothing new waits; there may be a backlog.
    pub(super) fn is_up_to_date(&self) -> bool {
        self.live.is_empty()
    }

    /// Why the spool does not work; `None` while it does, and where there is none.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Bytes that the spool takes on disk.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.keeper.as_ref().map_or(0, Keeper::bytes)
    }

    /// How many messages were given up since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Returns when the disk has something to say; cancelling it loses nothing.
    pub(super) async fn reported(&self) {
        match &self.keeper {
            Some(keeper) => keeper.reported().await,
            None => std::future::pending().await,
        }
    }

    fn order(&self, order: Order) {
        if let Some(keeper) = &self.keeper {
            keeper.order(order);
        }
    }

    fn lane(&mut self, lane: Lane) -> &mut Backlog {
        &mut self.lanes[lane as usize]
    }

    fn name(&mut self) -> Id {
        let id = self.next;
        self.next = Id(id.0 + 1);
        id
    }

    /// Takes `message`.
    pub(super) fn push(&mut self, message: Message, now: Instant) {
        let (id, place) = (self.name(), self.next_place);
        self.next_place = Place(place.0.saturating_add(1));
        let best_effort = message.qos == crate::sink::Qos::AtMostOnce;
        let kept = if best_effort || self.disk == Disk::None { Kept::Never } else { Kept::No };
        let cost = message.cost();
        let message = Arc::new(message);
        self.live.push(Entry { id, place, message, kept, since: now, done: false });
        if kept == Kept::No {
            self.unkept_since.get_or_insert(now);
            self.unkept_bytes += cost;
        }
        self.make_room();
    }

    /// Gives up what memory has no room for: first what is on disk, too.
    fn make_room(&mut self) {
        // One that is larger than everything gives up nothing else.
        let too_large = self.rules.bytes_max;
        let alone = |entry: &Entry| entry.message.cost() > too_large;
        if self.live.remove(alone).is_some() {
            self.dropped += 1;
        }
        while self.live.bytes() > self.rules.bytes_max {
            if let Some(entry) = self.live.remove(|entry| matches!(entry.kept, Kept::At(_))) {
                self.evicted(&entry);
                continue;
            }
            // What is being written is not given up, and cannot be much: whatever comes meanwhile is.
            let may_go = |entry: &Entry| entry.kept != Kept::Asked;
            let is_result = |entry: &Entry| may_go(entry) && entry.message.lane == Lane::Result;
            let given_up = self.live.remove(is_result).or_else(|| self.live.remove(may_go));
            if given_up.is_none() {
                return; // the rest is on its way
            }
            self.dropped += 1;
        }
    }

    /// `entry` left memory, and is on disk.
    fn evicted(&mut self, entry: &Entry) {
        if let Kept::At(index) = entry.kept {
            let lane = self.lane(entry.message.lane);
            lane.away += 1;
            lane.next = lane.next.min(index);
        }
        if self.behind == Behind::Not {
            self.behind = Behind::Since(entry.since);
        }
    }

    /// The connection stands, or is gone: all that is not finished waits again, in the old order, and is late
    /// from now on. Best-effort messages are given up.
    pub(super) fn rewind(&mut self, connected: bool) {
        self.connected = connected;
        self.live_from = self.next_place;
        let before = self.live.len();
        self.live.rewind();
        self.live.retain(|entry| !entry.is_best_effort());
        self.dropped += (before - self.live.len()) as u64;
        for lane in &mut self.lanes {
            lane.rewind();
        }
        // What is in memory is not read again.
        for entry in self.live.iter() {
            if let Kept::At(_) = entry.kept {
                let lane = &mut self.lanes[entry.message.lane as usize];
                lane.away = lane.away.saturating_sub(1);
            }
        }
        if !connected {
            self.evict(self.next_place);
        }
    }

    /// Memory is for what is new: of what came before `below`, what is on disk is left there.
    fn evict(&mut self, below: Place) {
        let on_disk = |entry: &Entry| entry.place < below && matches!(entry.kept, Kept::At(_));
        while let Some(entry) = self.live.remove(on_disk) {
            self.evicted(&entry);
        }
    }

    /// The next message to be sent, which from now on is on its way, and whether it is a repeat or late.
    pub(super) fn depart(&mut self, now: Instant) -> Option<(Id, Arc<Message>, bool)> {
        let held = |entry: &&Entry| self.hold(entry, now).is_none_or(|till| till <= now);
        let live = self.live.front().filter(held).map(|entry| entry.place);
        let unread = |lane: &Backlog| lane.away > 0 && lane.queue.front().is_none();
        let is_read = !self.lanes.iter().any(unread);
        let late = if is_read { self.oldest_read() } else { None };
        let far_behind = self.is_far_behind(now);
        let may_drain = self.drain_at.is_none_or(|at| at <= now + BURST);
        let is_late = match (live, late) {
            (None, None) => return None,
            // An older one may be on disk.
            (Some(_), None) if !is_read && !far_behind => return None,
            (Some(_), None) => false,
            (Some(_), Some(_)) if far_behind => self.was_live && may_drain,
            (Some(live), Some((_, late))) => late < live,
            (None, Some(_)) => true,
        };
        match late {
            Some((lane, _)) if is_late => may_drain.then(|| self.depart_late(lane, now)).flatten(),
            _ => {
                self.was_live = true;
                let late_below = self.live_from;
                let entry = self.live.depart()?;
                Some((entry.id, Arc::clone(&entry.message), entry.place < late_below))
            }
        }
    }

    fn depart_late(&mut self, lane: Lane, now: Instant) -> Option<(Id, Arc<Message>, bool)> {
        self.was_live = false;
        let pause = Duration::from_secs_f64(1.0 / self.rules.drain_hz);
        self.drain_at = Some(self.drain_at.map_or(now, |at| at.max(now)) + pause);
        let entry = self.lane(lane).queue.depart()?;
        Some((entry.id, Arc::clone(&entry.message), true))
    }

    /// The oldest message that was read back and waits.
    fn oldest_read(&self) -> Option<(Lane, Place)> {
        let front = |lane: Lane| Some((lane, self.lanes[lane as usize].queue.front()?.place));
        LANES.into_iter().filter_map(front).min_by_key(|(_, place)| *place)
    }

    /// Until when `entry` waits for the disk; `None` if it does not.
    fn hold(&self, entry: &Entry, now: Instant) -> Option<Instant> {
        let first_to_disk = entry.message.lane == Lane::Event || self.rules.each;
        let first_to_disk = first_to_disk || self.joins_backlog(entry, now);
        let waits = matches!(entry.kept, Kept::No | Kept::Asked) && self.disk == Disk::Works;
        (first_to_disk && waits).then(|| entry.since + HOLD)
    }

    /// Whether `entry`, which waited for the connection like all before it, keeps its place behind them.
    fn joins_backlog(&self, entry: &Entry, now: Instant) -> bool {
        entry.place < self.live_from && self.is_far_behind(now)
    }

    fn is_far_behind(&self, now: Instant) -> bool {
        match self.behind {
            Behind::Not => false,
            Behind::Since(since) => now.saturating_duration_since(since) > self.rules.in_order,
            Behind::Long => true,
        }
    }

    /// The broker has `id`, or it is given up: it is forgotten. `false` when it was not on its way.
    pub(super) fn finish(&mut self, id: Id) -> bool {
        let [results, events] = &mut self.lanes;
        let finished = self.live.finish(id);
        let finished = finished.or_else(|| results.queue.finish(id));
        let Some(entry) = finished.or_else(|| events.queue.finish(id)) else { return false };
        match entry.kept {
            Kept::At(index) => self.finished(entry.message.lane, index..index + 1),
            Kept::Asked => drop(self.overtaken.insert(id)),
            Kept::No | Kept::Never => {}
        }
        true
    }

    fn finished(&mut self, lane: Lane, range: Range<Index>) {
        self.lane(lane).done.insert(range);
    }

    /// When [`Outbox::turn`] is to be called next, if nothing else happens.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let works = self.disk == Disk::Works;
        let commit = self.unkept_since.filter(|_| works).map(|since| since + self.rules.commit);
        let held = self.live.front().and_then(|entry| self.hold(entry, now));
        let drains = self.connected && self.oldest_read().is_some();
        let drain =
            self.drain_at.filter(|_| drains).map(|at| at.checked_sub(BURST / 2).unwrap_or(at));
        let late = |at: &Instant| *at > now;
        let save = self.save_at.filter(|_| works);
        [commit, held.filter(late), drain.filter(late), save].into_iter().flatten().min()
    }

    /// Hears what the disk has done, and tells it what to do next.
    pub(super) fn turn(&mut self, now: Instant) {
        self.listen(now);
        if self.disk != Disk::Works {
            return;
        }
        self.keep(now);
        let late_below = if self.is_far_behind(now) { self.live_from } else { Place(0) };
        self.evict(if self.connected { late_below } else { self.next_place });
        if self.lanes.iter().all(Backlog::is_empty) {
            self.behind = Behind::Not;
        }
        for lane in LANES {
            let connected = self.connected;
            let backlog = self.lane(lane);
            if connected
                && backlog.away > 0
                && backlog.queue.front().is_none()
                && backlog.reading.is_none()
            {
                let from = backlog.next;
                backlog.reading = Some(from);
                self.order(Order::Read(lane, from));
            }
            self.tell(lane, TELL, now);
        }
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_at = None;
            self.save(now);
        }
    }

    /// Tells the spool what is finished, if that is `least` more than it knows, or all.
    fn tell(&mut self, lane: Lane, least: Index, now: Instant) {
        let backlog = self.lane(lane);
        let floor = backlog.done.floor();
        if floor > backlog.told && (floor - backlog.told >= least || floor >= backlog.end) {
            backlog.told = floor;
            self.order(Order::Finish(lane, floor));
            self.save_at.get_or_insert(now + SAVE);
        }
    }

    fn save(&mut self, now: Instant) {
        LANES.into_iter().for_each(|lane| self.tell(lane, 1, now));
        self.save_at = None;
        self.order(Order::Save);
    }

    /// Has written what is to be: events at once, results when one of them has waited too long.
    fn keep(&mut self, now: Instant) {
        let due = |since: Instant| now.saturating_duration_since(since) >= self.rules.commit;
        let is_much = |bytes: usize| bytes > self.rules.bytes_max / 4;
        if self.unkept_since.is_some_and(due) || is_much(self.unkept_bytes) {
            // They may have arrived meanwhile.
            let unkept = |entry: &&Entry| entry.kept == Kept::No && !entry.done;
            let unkept = || self.live.iter().filter(unkept);
            self.unkept_since = unkept().map(|entry| entry.since).min();
            self.unkept_bytes = unkept().map(|entry| entry.message.cost()).sum();
        }
        let Some(oldest) = self.unkept_since else { return };
        let joins = |entry: &Entry| self.joins_backlog(entry, now);
        let joins = self.connected && self.live.front().is_some_and(joins);
        let results = self.rules.each || joins || is_much(self.unkept_bytes) || due(oldest);
        self.ask(results);
        if results {
            (self.unkept_since, self.unkept_bytes) = (None, 0);
        }
    }

    fn ask(&mut self, results: bool) {
        let mut asked: [Vec<(Id, Place, Arc<Message>)>; 2] = Default::default();
        for entry in self.live.iter_mut() {
            let wanted = results || entry.message.lane == Lane::Event;
            if wanted && entry.kept == Kept::No && !entry.done {
                entry.kept = Kept::Asked;
                let message = Arc::clone(&entry.message);
                asked[message.lane as usize].push((entry.id, entry.place, message));
            }
        }
        for (lane, messages) in LANES.into_iter().zip(asked) {
            if !messages.is_empty() {
                self.order(Order::Keep(lane, messages));
            }
        }
    }

    /// Hears all that the disk has to say.
    fn listen(&mut self, now: Instant) {
        while let Some(report) = self.keeper.as_ref().and_then(Keeper::next) {
            self.hear(report, now);
        }
    }

    fn hear(&mut self, report: Report, now: Instant) {
        match report {
            Report::Opened { lanes, next } => self.opened(lanes, next, now),
            Report::Kept(lane, first, ids) => self.kept(lane, first, &ids),
            Report::NotKept(ids) => self.not_kept(&ids),
            Report::Read(lane, from, chunk) => self.read(lane, from, chunk, now),
            Report::Gone(lane, range) => self.gone(lane, range),
            Report::Broken(why) => {
                log::error!("{why}; results and events wait in memory until it works again");
                self.error = Some(why);
                self.disk = Disk::Away;
                for lane in &mut self.lanes {
                    lane.reading = None;
                }
            }
        }
    }

    fn opened(&mut self, lanes: [Range<Index>; 2], next: Place, now: Instant) {
        if self.error.take().is_some() {
            log::info!("the spool works again");
        }
        self.disk = Disk::Works;
        let left: u64 = lanes.iter().map(|range| range.end - range.start).sum();
        if left > 0 {
            log::info!(
                "{left} results and events of an earlier run or connection are in the spool"
            );
            self.behind = Behind::Long;
        }
        // Those that came before it was open get their places behind those of earlier runs.
        self.next_place = self.next_place.max(next);
        for (lane, range) in LANES.into_iter().zip(lanes) {
            *self.lane(lane) = Backlog {
                done: Done::below(range.start),
                end: range.end,
                told: range.start,
                ..Backlog::default()
            };
            self.lane(lane).rewind();
        }
        for entry in self.live.iter_mut().filter(|entry| !entry.is_best_effort()) {
            entry.kept = Kept::No;
        }
        self.unkept_since = Some(now);
    }

    fn kept(&mut self, lane: Lane, first: Index, ids: &[Id]) {
        self.lane(lane).end = first + ids.len() as u64;
        let mut places: std::collections::HashMap<Id, Index> =
            ids.iter().copied().zip(first..).collect();
        let written = self.live.iter_mut().filter(|entry| entry.kept == Kept::Asked && !entry.done);
        for entry in written {
            if let Some(index) = places.remove(&entry.id) {
                entry.kept = Kept::At(index);
            }
        }
        for (id, index) in places {
            match self.overtaken.remove(&id) {
                true => self.finished(lane, index..index + 1),
                // Its connection was lost, and it has left memory.
                false => self.lane(lane).away += 1,
            }
        }
    }

    fn not_kept(&mut self, ids: &[Id]) {
        let mut lost: HashSet<Id> = ids.iter().copied().collect();
        for entry in self.live.iter_mut() {
            if lost.remove(&entry.id) {
                entry.kept = Kept::Never;
            }
        }
        lost.retain(|id| !self.overtaken.remove(id));
        self.dropped += lost.len() as u64;
    }

    fn read(&mut self, lane: Lane, from: Index, chunk: Chunk, now: Instant) {
        let in_memory: HashSet<Index> = self.in_memory(lane).collect();
        let backlog = self.lane(lane);
        if backlog.reading != Some(from) {
            return; // of another connection
        }
        backlog.reading = None;
        let next = chunk.next;
        let mut lost = next.saturating_sub(from) - backlog.done.within(&(from..next));
        lost -= in_memory.iter().filter(|index| (from..next).contains(index)).count() as u64;
        let (mut found, mut names) = (0, self.next.0..);
        let backlog = &mut self.lanes[lane as usize];
        for (index, body) in chunk.messages {
            if index < from || backlog.done.contains(index) || in_memory.contains(&index) {
                continue;
            }
            if let Some((place, message)) = Message::decode(lane, &body) {
                let id = Id(names.next().unwrap_or_default());
                let (message, kept) = (Arc::new(message), Kept::At(index));
                backlog.queue.push(Entry { id, place, message, kept, since: now, done: false });
                found += 1;
            } else {
                backlog.done.insert(index..index + 1);
            }
        }
        self.next = Id(names.start);
        lost -= found;
        backlog.away = backlog.away.saturating_sub(found + lost);
        // Unless something before it has left memory meanwhile.
        if backlog.next >= from {
            backlog.next = backlog.next.max(next);
        }
        if lost > 0 {
            log::error!("{lost} messages in the spool cannot be read any more");
            self.dropped += lost;
            self.forget_unreadable(lane, from..next);
        }
    }

    /// What of `range` is not in memory and not finished is given up.
    fn forget_unreadable(&mut self, lane: Lane, range: Range<Index>) {
        let in_memory: HashSet<Index> = self.in_memory(lane).collect();
        for index in range.filter(|index| !in_memory.contains(index)) {
            self.finished(lane, index..index + 1);
        }
    }

    /// The indices of messages of `lane` that are in memory.
    fn in_memory(&self, lane: Lane) -> impl Iterator<Item = Index> {
        let live = self.live.iter().filter(move |entry| entry.message.lane == lane);
        let index = |entry: &Entry| match entry.kept {
            Kept::At(index) if !entry.done => Some(index),
            _ => None,
        };
        live.chain(self.lanes[lane as usize].queue.iter()).filter_map(index)
    }

    /// The spool gave `range` up. What of it is in memory is still sent.
    fn gone(&mut self, lane: Lane, range: Range<Index>) {
        let in_memory = self.in_memory(lane).filter(|index| range.contains(index)).count() as u64;
        let backlog = self.lane(lane);
        let done = backlog.done.within(&range);
        let lost = (range.end - range.start).saturating_sub(done + in_memory);
        backlog.away = backlog.away.saturating_sub(lost);
        backlog.next = backlog.next.max(range.end);
        backlog.done.insert(range.clone());
        backlog.told = backlog.told.max(range.end);
        self.dropped += lost;
    }

    /// Has everything kept that can be, and waits for the disk. How many are lost.
    pub(super) fn close(&mut self, now: Instant) -> usize {
        self.rewind(false);
        if self.disk == Disk::Works {
            self.ask(true);
            self.save(now);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.close();
        }
        self.listen(now);
        self.at_risk()
    }
}

#[cfg(test)]
mod tests;
