//! Bad weather between a board and its broker: a TCP proxy on loopback that does what it is told to.

#![expect(clippy::disallowed_methods, reason = "a slow line is slow")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
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

/// A thread that reads looks that often whether the weather has changed.
const LOOK: Duration = Duration::from_millis(20);
/// Connections at once; more are refused.
const CONNECTIONS: usize = 64;

#[derive(Clone, Copy)]
struct Sky {
    weather: Weather,
    /// How often everything was cut.
    cuts: usize,
    ended: bool,
}

struct Shared {
    sky: Mutex<Sky>,
    changed: Condvar,
    open: AtomicUsize,
    accepted: AtomicUsize,
    target: u16,
}

impl Shared {
    fn sky(&self) -> Sky {
        *self.sky.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Sky)) {
        change(&mut self.sky.lock().unwrap());
        self.changed.notify_all();
    }

    /// The weather for a connection that began after `cuts`, once it is not silent any more; `None` when the
    /// connection is over.
    fn weather(&self, cuts: usize) -> Option<Weather> {
        let is_over = |sky: &Sky| sky.cuts != cuts || sky.ended || sky.weather == Weather::Down;
        let silent = |sky: &mut Sky| !is_over(sky) && sky.weather == Weather::Silent;
        let sky = self.changed.wait_while(self.sky.lock().unwrap(), silent).unwrap();
        (!is_over(&sky)).then_some(sky.weather)
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
            sky: Mutex::new(Sky { weather, cuts: 0, ended: false }),
            changed: Condvar::new(),
            open: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            target,
        });
        let ours = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ours.sky().ended {
                    return;
                }
                let shared = Arc::clone(&ours);
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if shared.sky().weather == Weather::Down
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
        self.shared.change(|sky| sky.weather = weather);
    }

    /// Ends every connection that stands.
    pub(crate) fn cut(&self) {
        self.shared.change(|sky| sky.cuts += 1);
    }

    /// How many connections have come.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|sky| sky.ended = true);
        // Wakes the thread that accepts.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

/// One connection of the board, until either side or the weather ends it.
fn carry(shared: &Arc<Shared>, board: &TcpStream) {
    let Sky { weather, cuts, .. } = shared.sky();
    if weather == Weather::Silent {
        // Whatever comes after it: nobody has heard of this connection.
        shared.weather(cuts);
        return;
    }
    let Ok(broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target)) else { return };
    let twin = match weather {
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
    while let Some(weather) = shared.weather(cuts) {
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
