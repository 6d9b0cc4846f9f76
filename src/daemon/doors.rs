//! The models of pipelines, as requests reach them, over HTTP or as commands.

use std::sync::{Arc, Mutex};

use anyhow::Context as _;

use super::assemble::{Current, Loaded};
use super::report::{self, Reporter};
use crate::config::{Config, Secrets};
use crate::net::http::{self, Door, HttpServer, HttpSettings, Inlet, Instance, Takes};
use crate::predict::Predictor;

/// Starts the HTTP server that `config` wants, if any.
pub(super) fn start(
    config: &Config,
    secrets: &Secrets,
    reporter: &Arc<Mutex<Reporter>>,
    inlets: Vec<Inlet>,
) -> anyhow::Result<Option<HttpServer>> {
    let Some(settings) = &config.http else { return Ok(None) };
    inlets.iter().for_each(|inlet| inlet.rows.feed());
    let doors = all(reporter);
    let settings = HttpSettings { listen: settings.listen, token: secrets.http_token.clone() };
    let reporter = reporter.clone();
    let health = Box::new(move || report::lock(&reporter).health());
    let server = http::start(settings, http::Doors { doors, inlets, health }).context("[http]")?;
    Ok(Some(server))
}

/// One for each pipeline that could be started.
pub(super) fn all(reporter: &Mutex<Reporter>) -> Vec<Door> {
    let reporter = report::lock(reporter);
    reporter.running().map(|(name, current)| door(name, current.clone())).collect()
}

/// A pipeline's model for requests: a session of its own, so that requests and windows do not meet. Made anew when
/// another version runs.
fn door(name: &str, current: Current) -> Door {
    const NONE: &str = "the model has no version on this board yet";
    let shape = {
        let current = current.clone();
        move || {
            let loaded = current.get().ok_or(NONE)?;
            let recipe = &loaded.manifest.recipe;
            Ok(match recipe.picture {
                Some(_) => Takes::Picture,
                None => Takes::Rows { frames: recipe.frames, channels: recipe.channels.len() },
            })
        }
    };
    let mut own: Option<(Arc<Loaded>, Predictor)> = None;
    let predict = move |instance: Instance<'_>| {
        let loaded = current.get().ok_or(NONE)?;
        if own.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &loaded)) {
            let predictor = loaded.predictor().map_err(|error| error.to_string())?;
            own = Some((loaded, predictor));
        }
        let (_, predictor) = own.as_mut().ok_or(NONE)?;
        predictor.reset();
        let found = match instance {
            Instance::Rows(rows) => predictor.predict(rows),
            Instance::Picture(picture) => predictor.predict_picture(picture),
        };
        found.map(|(finding, _)| finding).map_err(|error| error.to_string())
    };
    let (shape, predict) = (Box::new(shape), Mutex::new(Box::new(predict) as http::Predict));
    Door { pipeline: name.to_owned(), shape, predict }
}
