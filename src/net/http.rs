//! The HTTP server: `POST /predict`, `POST /sensors/NAME`, `/healthz`, Prometheus `/metrics`. It runs on a thread of its own,
//! so that a slow client delays neither sampling nor the connection to the broker.

mod metrics;
mod predict;

pub use predict::{Door, Instance, Predict, Shape, Takes, predict};

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, body::Bytes};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use super::wire::{Health, Verdict};
use crate::data::Secret;
use crate::sensor::input::{NotTaken, Rows};

/// Largest request body.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Largest body with rows: it is read on the server's own thread.
const ROWS_BYTES_MAX: usize = 256 << 10;
/// Predictions at one time; more wait.
const PREDICTIONS_MAX: usize = 2;
/// A request that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to listen and who may ask.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Port 0 asks the system for a free one.
    pub listen: SocketAddr,
    /// What `Authorization: Bearer …` must carry on every route but `/healthz`.
    pub token: Option<Secret>,
}

/// What the server answers with.
pub struct Doors {
    /// One for each pipeline.
    pub doors: Vec<Door>,
    /// One for each sensor that takes rows.
    pub inlets: Vec<Inlet>,
    /// The device's health, composed when asked for.
    pub health: Box<dyn Fn() -> Health + Send + Sync>,
}

/// A sensor that takes rows, as HTTP sees it.
pub struct Inlet {
    /// The sensor's name.
    pub sensor: String,
    /// Where they go.
    pub rows: Rows,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken or not ours.
    #[error("cannot listen on {listen}: {source}; choose another [http] listen")]
    Listen {
        /// As configured.
        listen: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// No thread or no event loop.
    #[error("cannot start the HTTP thread: {0}")]
    Thread(std::io::Error),
}

/// The running server; dropping it stops it.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the HTTP thread ended with a panic");
        }
    }
}

/// Starts the server; it listens when this returns.
///
/// # Errors
/// When the address cannot be had.
pub fn start(settings: HttpSettings, doors: Doors) -> Result<HttpServer, HttpError> {
    let listen = settings.listen;
    let socket = std::net::TcpListener::bind(listen)
        .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
        .map_err(|source| HttpError::Listen { listen, source })?;
    let address = socket.local_addr().map_err(|source| HttpError::Listen { listen, source })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(PREDICTIONS_MAX)
        .build()
        .map_err(HttpError::Thread)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let app =
        router(Shared { doors, token: settings.token, turns: Semaphore::new(PREDICTIONS_MAX) });
    let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
        runtime.block_on(async move {
            let served = async {
                let listener = TcpListener::from_std(socket)?;
                axum::serve(listener, app).await
            };
            tokio::select! {
                ended = served => {
                    if let Err(error) = ended {
                        log::error!("the HTTP server stopped: {error}");
                    }
                }
                // Open requests are cut: a stop must not wait for clients.
                _ = stopped => {}
            }
        });
        runtime.shutdown_background();
    });
    let thread = Some(thread.map_err(HttpError::Thread)?);
    Ok(HttpServer { address, stop: Some(stop), thread })
}

struct Shared {
    doors: Doors,
    token: Option<Secret>,
    turns: Semaphore,
}

fn router(shared: Shared) -> Router {
    let shared = Arc::new(shared);
    Router::new()
        .route("/predict", post(answer_predict))
        .route("/metrics", get(answer_metrics))
        .route("/sensors/{name}", post(answer_rows))
        .layer(from_fn_with_state(shared.clone(), check_token))
        .route("/healthz", get(answer_healthz))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "no such route") })
        .method_not_allowed_fallback(|| async {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this route takes another method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// `{"error": …}` with a status.
fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

async fn check_token(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    if let Some(token) = &shared.token
        && !bears(request.headers(), token)
    {
        return refuse(StatusCode::UNAUTHORIZED, "send the token as `Authorization: Bearer …`");
    }
    next.run(request).await
}

fn bears(headers: &HeaderMap, token: &Secret) -> bool {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(sent) = sent.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    let (sent, token) = (sent.trim().as_bytes(), token.expose().as_bytes());
    // Every byte is looked at, so that the time tells nothing about where they differ.
    let differ = sent.iter().zip(token).fold(0, |differ, (a, b)| differ | (a ^ b));
    sent.len() == token.len() && differ == 0
}

#[derive(Deserialize)]
struct Which {
    pipeline: Option<String>,
}

async fn answer_predict(
    State(shared): State<Arc<Shared>>,
    which: Result<Query<Which>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Query(which) = match which {
        Ok(which) => which,
        Err(error) => return refuse(error.status(), &error.body_text()),
    };
    let body = match body {
        Ok(body) => body,
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return too_long(BODY_BYTES_MAX);
        }
        Err(error) => return refuse(error.status(), &error.body_text()),
    };
    let Ok(_turn) = shared.turns.acquire().await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    };
    let work = {
        let shared = shared.clone();
        tokio::task::spawn_blocking(move || {
            predict::answer(&shared.doors.doors, which.pipeline.as_deref(), &body)
        })
    };
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(Ok(prediction))) => Json(json!({ "prediction": prediction })).into_response(),
        Ok(Ok(Err(message))) => refuse(StatusCode::BAD_REQUEST, &message),
        Ok(Err(_)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the prediction failed"),
        Err(_) => refuse(StatusCode::GATEWAY_TIMEOUT, "the prediction took too long"),
    }
}

async fn answer_rows(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let inlets = &shared.doors.inlets;
    let Some(inlet) = inlets.iter().find(|inlet| inlet.sensor == name) else {
        let names: Vec<&str> = inlets.iter().map(|inlet| inlet.sensor.as_str()).collect();
        let there = match names.is_empty() {
            true => "no sensor has driver = \"http\"".to_owned(),
            false => format!("there are: {}", names.join(", ")),
        };
        return refuse(StatusCode::NOT_FOUND, &format!("no sensor of this name; {there}"));
    };
    let body = match body {
        Ok(body) if body.len() <= ROWS_BYTES_MAX => body,
        Ok(_) => return too_long(ROWS_BYTES_MAX),
        Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return too_long(ROWS_BYTES_MAX);
        }
        Err(error) => return refuse(error.status(), &error.body_text()),
    };
    match inlet.rows.push(&body) {
        Ok(rows) => (StatusCode::ACCEPTED, Json(json!({ "rows": rows }))).into_response(),
        Err(NotTaken::Bad(why)) => refuse(StatusCode::BAD_REQUEST, &why),
        Err(NotTaken::Full) => {
            let why = "the sensor has not taken the rows before yet: more come than its rate";
            let mut answer = refuse(StatusCode::TOO_MANY_REQUESTS, why);
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            answer
        }
    }
}

fn too_long(bytes_max: usize) -> Response {
    let message = format!("the body is longer than {bytes_max} bytes");
    refuse(StatusCode::PAYLOAD_TOO_LARGE, &message)
}

async fn answer_healthz(State(shared): State<Arc<Shared>>) -> Response {
    let health = (shared.doors.health)();
    let status = match health.state {
        Verdict::Ok | Verdict::Degraded => StatusCode::OK,
        Verdict::Failing => StatusCode::SERVICE_UNAVAILABLE,
    };
    // No more than the state: the route needs no token.
    (status, Json(json!({ "status": health.state }))).into_response()
}

async fn answer_metrics(State(shared): State<Arc<Shared>>) -> Response {
    let text = metrics::text(&(shared.doors.health)());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
