//! How another bundle takes over from one that serves: between two windows, by one exchange of pointers, on the
//! inference thread itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::data::{Content, Finding, Kept};
use crate::postprocess::Found;
use crate::predict::{PredictError, Predictor};

/// A bundle made ready for one pipeline.
pub struct Serving {
    /// The model's name.
    pub model: Arc<str>,
    /// The model's version.
    pub version: Arc<str>,
    /// Channels of the sensor that the recipe takes, in the recipe's order.
    pub columns: Vec<usize>,
    /// Recipe, engine, postprocess.
    pub predictor: Predictor,
    rows: Vec<f32>,
}

impl Serving {
    /// `columns` are indices of the sensor's channels.
    pub fn new(model: &str, version: &str, columns: Vec<usize>, predictor: Predictor) -> Self {
        let (model, version) = (Arc::from(model), Arc::from(version));
        Self { model, version, columns, predictor, rows: Vec::new() }
    }

    /// What is found in a window of `channels` values a frame; see [`Predictor::predict_next`] for `fresh`.
    ///
    /// # Errors
    /// By the part that failed.
    pub fn predict(
        &mut self,
        window: Content<'_>,
        fresh: usize,
        channels: usize,
    ) -> Result<Found, PredictError> {
        let window = match window {
            Content::Picture(picture) => return self.predictor.predict_picture(picture),
            Content::Rows(rows) => rows,
        };
        if self.columns.iter().copied().eq(0..channels) {
            return self.predictor.predict_next(window, fresh);
        }
        // The first window takes the memory for all.
        self.rows.clear();
        for frame in window.chunks_exact(channels) {
            self.rows.extend(self.columns.iter().map(|&column| frame[column]));
        }
        self.predictor.predict_next(&self.rows, fresh)
    }
}

/// A window as it was served.
pub struct Served {
    /// What was in it.
    pub window: Kept,
    /// How many of its frames, the last ones, were not in the one received before.
    pub fresh: usize,
    /// What was found.
    pub finding: Finding,
}

/// Where served windows go while another bundle is compared.
pub struct Shadow {
    to: SyncSender<Served>,
    /// The window before was received.
    follows: bool,
}

impl Shadow {
    /// Whoever receives sees the next window first.
    pub fn new(to: SyncSender<Served>) -> Self {
        Self { to, follows: false }
    }

    /// Sends the window with what was found. Whoever compares takes what there is room for; a window that serves
    /// never waits.
    pub(super) fn offer(&mut self, window: Content<'_>, fresh: usize, finding: Option<&Finding>) {
        let fresh = if self.follows { fresh } else { usize::MAX };
        self.follows = finding.is_some_and(|finding| {
            let (window, finding) = (window.keep(), finding.clone());
            self.to.try_send(Served { window, fresh, finding }).is_ok()
        });
    }
}

/// Where windows go besides, as long as there is room; a window that serves never waits.
#[derive(Default)]
pub struct Taps {
    /// Each window with what was found, while another bundle is compared.
    pub shadow: Option<Shadow>,
    /// Each window as it comes, row-major `[length, the sensor's channels]`, also without a model.
    pub capture: Option<SyncSender<Vec<f32>>>,
}

/// What a pipeline is told between two windows.
pub enum Order {
    /// This serves from now on; nothing with `None`.
    Serve(Option<Box<Serving>>),
    /// Sets [`Taps::shadow`].
    Copy(Option<SyncSender<Served>>),
    /// Sets [`Taps::capture`]; it ends when nobody receives any more.
    Capture(SyncSender<Vec<f32>>),
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// The pipeline is busy with one window for that long, or hangs.
    #[error("the pipeline did not come to the end of a window in time")]
    TooLate,
    /// The pipeline has ended.
    #[error("the pipeline has ended")]
    Ended,
}

/// Where orders for one pipeline lie until it takes them.
#[derive(Default)]
pub struct Exchange {
    /// Looked at for every frame, so that an order costs nothing as long as there is none.
    ordered: AtomicBool,
    /// One order at a time: updates and commands give them.
    turn: Mutex<()>,
    desk: Mutex<Desk>,
    taken: Condvar,
}

#[derive(Default)]
struct Desk {
    order: Option<Order>,
    left: Option<Box<Serving>>,
    ended: bool,
}

impl Exchange {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an order and waits until it is taken; gives back what served before, so that it is freed here and
    /// not on the inference thread.
    ///
    /// # Errors
    /// When it is not taken `within` that time: it is withdrawn then.
    pub fn order(&self, order: Order, within: Duration) -> Result<Option<Box<Serving>>, NotTaken> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut desk = self.desk();
        if desk.ended {
            return Err(NotTaken::Ended);
        }
        desk.order = Some(order);
        self.ordered.store(true, Ordering::Release);
        let waits = |desk: &mut Desk| desk.order.is_some() && !desk.ended;
        let waited = self.taken.wait_timeout_while(desk, within, waits);
        let (mut desk, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if desk.order.take().is_some() {
            self.ordered.store(false, Ordering::Release);
            return Err(if desk.ended { NotTaken::Ended } else { NotTaken::TooLate });
        }
        Ok(desk.left.take())
    }

    /// Whether the pipeline has ended, as after a recording.
    pub fn has_ended(&self) -> bool {
        self.desk().ended
    }

    /// The pipeline's side, between two windows: an order, if there is one.
    pub(super) fn take(&self, serving: &mut Option<Box<Serving>>, taps: &mut Taps) {
        if !self.ordered.load(Ordering::Acquire) {
            return;
        }
        let mut desk = self.desk();
        match desk.order.take() {
            Some(Order::Serve(mut new)) => {
                if let (Some(new), Some(old)) = (&mut new, &*serving) {
                    new.predictor.go_on_from(&old.predictor);
                }
                desk.left = std::mem::replace(serving, new);
            }
            Some(Order::Copy(to)) => taps.shadow = to.map(Shadow::new),
            Some(Order::Capture(to)) => taps.capture = Some(to),
            None => {}
        }
        self.ordered.store(false, Ordering::Release);
        self.taken.notify_all();
    }

    /// The pipeline's side: it takes no more orders.
    pub(super) fn end(&self) {
        self.desk().ended = true;
        self.taken.notify_all();
    }
}
