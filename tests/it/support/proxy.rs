//! Bad weather between a board and its broker: a TCP proxy on loopback that does what it is told to.

#![expect(clippy::disallowed_methods, reason = "a slow line is slow")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They pass.
    Fair,
    /// They are closed at once, also those that stand.
    Down,
    /// They are accepted, and nothing is ever said. Those that stand fall silent.
    Silent,
    /// After so many bytes from the board they are cut in the middle of whatever it is.
    Cut(usize),
    /// Of what the board sends, every other connection gets but the first half of each read; then it is cut.
    Halved,
    /// Everything is late by that many milliseconds.
    Slow(u64),
    /// Each connection of the board comes to the broker twice; the second one carries the same bytes, and its
    /// answers are thrown away.
    Doubled,
}

/// A thread looks that often whether the weather has changed.
const LOOK: Duration = Duration::from_millis(20);
/// Connections at once; more are refused.
const CONNECTIONS: usize = 64;

struct Shared {
    weather: Mutex<Weather>,
    ended: AtomicBool,
    /// How often everything was cut.
    cuts: AtomicUsize,
    open: AtomicUsize,
    accepted: AtomicUsize,
    target: u16,
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap()
    }

    /// Whether a connection that began after `cuts` goes on.
    fn goes_on(&self, cuts: usize) -> bool {
        let is_cut = self.cuts.load(Ordering::Relaxed) != cuts;
        !is_cut && !self.ended.load(Ordering::Relaxed) && self.weather() != Weather::Down
    }
}

/// The proxy. Dropping it cuts everything.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// In front of the broker at port `target`.
    pub(crate) fn new(target: u16, weather: Weather) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            weather: Mutex::new(weather),
            ended: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            target,
        });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ours.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&ours);
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if shared.weather() == Weather::Down
                    || shared.open.load(Ordering::Relaxed) >= CONNECTIONS
                {
                    continue; // closes it
                }
                shared.open.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    carry(&shared, &stream);
                    stream.shutdown(Shutdown::Both).ok();
                    shared.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        Self { shared, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap() = weather;
    }

    /// Ends every connection that stands.
    pub(crate) fn cut(&self) {
        self.shared.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections have come.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

/// One connection of the board, until either side or the weather ends it.
fn carry(shared: &Arc<Shared>, board: &TcpStream) {
    let cuts = shared.cuts.load(Ordering::Relaxed);
    if shared.weather() == Weather::Silent {
        while shared.goes_on(cuts) && shared.weather() == Weather::Silent {
            thread::sleep(LOOK);
        }
        return;
    }
    let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)) else { return };
    let twin = match shared.weather() {
        Weather::Doubled => TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)).ok(),
        _ => None,
    };
    let back = {
        let (shared, from, to) =
            (Arc::clone(shared), broker.try_clone().unwrap(), board.try_clone().unwrap());
        thread::spawn(move || copy(&shared, cuts, &from, &to, None))
    };
    copy(shared, cuts, board, &broker, Some(twin.as_ref()));
    broker.shutdown(Shutdown::Both).ok();
    board.shutdown(Shutdown::Both).ok();
    back.join().ok();
}

/// One direction of it; `board` is there in that from the board, with the second connection if there is one.
fn copy(
    shared: &Shared,
    cuts: usize,
    mut from: &TcpStream,
    mut to: &TcpStream,
    board: Option<Option<&TcpStream>>,
) {
    let is_board = board.is_some();
    from.set_read_timeout(Some(LOOK)).unwrap();
    let (mut buffer, mut carried) = ([0; 4096], 0);
    while shared.goes_on(cuts) {
        let weather = shared.weather();
        if weather == Weather::Silent {
            thread::sleep(LOOK);
            continue;
        }
        let mut read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        let mut last = false;
        match weather {
            Weather::Slow(ms) => thread::sleep(Duration::from_millis(ms)),
            Weather::Cut(after) if is_board && carried + read >= after => {
                (read, last) = (after.saturating_sub(carried).min(read), true);
            }
            Weather::Halved if is_board && carried > 0 => (read, last) = (read / 2, true),
            _ => {}
        }
        carried += read;
        if let Some(Some(mut second)) = board {
            second.write_all(&buffer[..read]).ok();
        }
        if to.write_all(&buffer[..read]).is_err() || last {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
