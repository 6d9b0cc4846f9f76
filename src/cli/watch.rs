//! `edgerun watch`: boards as they say themselves that they are, live.

mod boards;
mod table;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::broker::BrokerArgs;
use super::plain::{json_line, plain};
use super::{Outcome, stop_on_signal};
use crate::clock::{Clock, SystemClock};
use crate::config::DeviceId;
use crate::net::{self, Heard, News, Say};
use boards::Boards;

/// The table is drawn no more often than this, and at least every second: ages grow.
const DRAW: Duration = Duration::from_millis(200);
const REDRAW: Duration = Duration::from_secs(1);
/// What boards say of themselves, below `edgerun/DEVICE/`.
const TOPICS: [&str; 6] = ["status", "info", "health", "result/+", "event/+", "model/+/reported"];

/// Arguments of `edgerun watch`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One board only; all of them without it
    #[arg(long, value_name = "ID")]
    device: Option<DeviceId>,

    #[command(flatten)]
    broker: BrokerArgs,

    /// Prints each message as a line of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let settings = args.broker.settings("watch")?;
    let base = match &settings.prefix {
        Some(prefix) => format!("{prefix}/edgerun/"),
        None => "edgerun/".to_owned(),
    };
    let device = args.device.as_ref().map_or("+", DeviceId::as_str);
    let filters: Vec<String> =
        TOPICS.iter().map(|topic| format!("{base}{device}/{topic}")).collect();
    let stop = stop_on_signal()?;
    let address = settings.address();
    let mut view = View {
        live: !args.json && io::stdout().is_terminal(),
        json: args.json,
        boards: Boards::default(),
        state: format!("connecting to {address}"),
        drawn: None,
        changed: true,
        out,
    };
    let mut failed = None;
    let mut talk = |news: News<'_>| -> Vec<Say> {
        let shown = match news {
            News::Subscribed => view.says(format!("connected to {address}")),
            News::Heard(heard) => view.hear(&base, heard),
            News::Nothing => Ok(()),
            News::Away(why) => view.says(plain(why)),
        };
        if let Err(error) = shown.and_then(|()| view.draw()) {
            failed.get_or_insert(error);
            stop.store(true, Ordering::Release);
        }
        Vec::new()
    };
    let ended = net::converse(settings, &filters, &mut talk, &stop);
    if let Some(error) = failed {
        return Err(error.into());
    }
    ended?;
    view.end()?;
    Ok(Outcome::Good)
}

struct View<'a> {
    /// Whether a terminal shows it, so that it is drawn in place.
    live: bool,
    json: bool,
    boards: Boards,
    /// How the connection is.
    state: String,
    drawn: Option<Duration>,
    changed: bool,
    out: &'a mut dyn Write,
}

impl View<'_> {
    fn says(&mut self, state: String) -> io::Result<()> {
        if self.state != state {
            self.changed = true;
            self.state = state;
        }
        Ok(())
    }

    /// A message of a board, which may hold anything.
    fn hear(&mut self, base: &str, heard: &Heard) -> io::Result<()> {
        let Some((device, topic)) = heard.topic.strip_prefix(base).and_then(|t| t.split_once('/'))
        else {
            return Ok(());
        };
        let payload: Option<Value> = serde_json::from_slice(&heard.payload).ok();
        if self.json {
            let line = json!({
                "device": device, "topic": topic, "retained": heard.retained,
                "payload": payload.unwrap_or(Value::Null),
            });
            writeln!(self.out, "{}", json_line(&line))?;
            return self.out.flush();
        }
        let now = SystemClock.monotonic();
        let Some(payload) = payload.filter(Value::is_object) else {
            // An empty one clears a retained topic: the board is to be forgotten.
            if heard.payload.is_empty() && topic == "status" {
                self.boards.forget(device);
            }
            return Ok(());
        };
        self.boards.hear(device, topic, &payload, heard.retained, now);
        self.changed = true;
        if !self.live {
            writeln!(self.out, "{}", table::line(device, topic, &payload))?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        let now = SystemClock.monotonic();
        let since = self.drawn.map(|at| now.saturating_sub(at));
        let due = since.is_none_or(|since| since >= if self.changed { DRAW } else { REDRAW });
        if !self.live || !due {
            return Ok(());
        }
        (self.drawn, self.changed) = (Some(now), false);
        let (width, height) = size();
        let lines = table::table(&self.boards, &self.state, now, width, height);
        // Without wrapping: a terminal that is made narrower meanwhile would show every line twice.
        let mut text = "\x1b[?7l\x1b[H".to_owned();
        for (index, line) in lines.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\r\n" };
            text.push_str(&format!("{newline}{line}\x1b[K"));
        }
        text.push_str("\x1b[J\x1b[?7h");
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        if self.live {
            writeln!(self.out)?;
        }
        self.out.flush()
    }
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}
