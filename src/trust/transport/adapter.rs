//! The one way from a [`Source`] into tough.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;
use tough::{Bytes, Transport, TransportError, TransportErrorKind, TransportStream, async_trait};
use url::Url;

use super::pump::pump;
use super::{FetchError, Patience, RepositoryPath, Source};

/// Chunks on their way to tough.
const CHUNKS: usize = 4;
const PART_CHUNK: u64 = 64 << 10;

/// The beginning of a target that an earlier fetch left.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Part {
    pub(in crate::trust) path: PathBuf,
    /// Bytes in the file.
    pub(in crate::trust) have: u64,
    /// Bytes of the whole target.
    pub(in crate::trust) total: u64,
}

/// tough's transport over a source.
#[derive(Clone, Debug)]
pub(in crate::trust) struct Adapter {
    source: Arc<dyn Source>,
    patience: Patience,
    /// For the next target that is fetched.
    part: Arc<Mutex<Option<Part>>>,
}

impl Adapter {
    pub(in crate::trust) fn new(source: Arc<dyn Source>, patience: Patience) -> Self {
        Self { source, patience, part: Arc::default() }
    }

    /// tough's base URLs for metadata and targets: only their last names are looked at.
    pub(in crate::trust) fn bases() -> (Url, Url) {
        let base = |text| Url::parse(text).expect("a URL that is written here");
        (base("repository:///metadata/"), base("repository:///targets/"))
    }

    /// The next target that is fetched begins with `part`.
    pub(in crate::trust) fn resume(&self, part: Option<Part>) {
        *self.part.lock().unwrap_or_else(PoisonError::into_inner) = part;
    }
}

#[async_trait]
impl Transport for Adapter {
    /// Every error travels as an item of the stream: one that is returned here would mean "no newer
    /// root" to tough, whatever it was.
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        let name = url.path().trim_start_matches('/').replace("%2B", "+");
        let part = self.part.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Self { source, patience, .. } = self.clone();
        let errors = sender.clone();
        let run = move || {
            let result = match RepositoryPath::new(&name) {
                Some(path) => bring(&*source, &path, part.as_ref(), &patience, &sender),
                None => Err(FetchError::Refused(format!("{name} is no file of a repository"))),
            };
            if let Err(error) = result {
                // Nobody listens any more where this cannot be sent.
                errors.blocking_send(Err(error)).ok();
            }
        };
        // A thread of its own: a runtime that is dropped waits for its blocking tasks, and a read from
        // a dead network may take long.
        let thread = std::thread::Builder::new().name("update-fetch".to_owned()).spawn(run);
        let receiver = match thread {
            Ok(_) => receiver,
            Err(error) => {
                let (sender, receiver) = mpsc::channel(1);
                sender.try_send(Err(FetchError::Failed(error.to_string()))).ok();
                receiver
            }
        };
        Ok(Box::pin(Chunks { url, receiver }))
    }
}

type Chunk = Result<Bytes, FetchError>;

fn bring(
    source: &dyn Source,
    path: &RepositoryPath,
    part: Option<&Part>,
    patience: &Patience,
    sender: &mpsc::Sender<Chunk>,
) -> Result<(), FetchError> {
    let mut at = 0;
    if let Some(part) = part {
        let failed = |error: std::io::Error| {
            FetchError::Refused(format!("{}: {error}", part.path.display()))
        };
        let mut file = File::open(&part.path).map_err(failed)?;
        while at < part.have {
            let mut chunk = Vec::new();
            let wanted = PART_CHUNK.min(part.have - at);
            let count = (&mut file).take(wanted).read_to_end(&mut chunk).map_err(failed)?;
            if count == 0 {
                return Err(FetchError::Refused(format!("{} shrank", part.path.display())));
            }
            at += count as u64;
            if sender.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                return Ok(());
            }
        }
        if at == part.total {
            return Ok(());
        }
    }
    pump(source, path, at, patience, &mut |bytes| sender.blocking_send(Ok(bytes)).is_ok())
}

/// What arrives from the thread, with tough's errors.
struct Chunks {
    url: Url,
    receiver: mpsc::Receiver<Chunk>,
}

impl Stream for Chunks {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|chunk| {
            chunk.map(|chunk| {
                chunk.map_err(|error| {
                    let kind = match error {
                        FetchError::NotFound => TransportErrorKind::FileNotFound,
                        _ => TransportErrorKind::Other,
                    };
                    TransportError::new_with_cause(kind, &self.url, error)
                })
            })
        })
    }
}
