//! Sensors that are several sensors as one: where their frames come from.

use std::time::Duration;

use super::Fan;
use crate::queue;
use crate::sensor::DriverSettings;

/// How far a joined sensor may be behind its parts before their frames are dropped.
const BEHIND: Duration = Duration::from_secs(2);

/// Gives each joined sensor that feeds a pipeline the frames of its parts.
pub(super) fn feed(fans: &mut [Fan]) {
    for joined in 0..fans.len() {
        let DriverSettings::Join(join) = fans[joined].settings.clone() else { continue };
        if fans[joined].queues.is_empty() {
            continue;
        }
        let pipelines = fans[joined].pipelines.clone();
        let mut receivers = Vec::with_capacity(join.parts.len());
        for part in &join.parts {
            let Some(fan) = fans.iter_mut().find(|fan| fan.name == part.name) else { continue };
            // Without a specification neither of them is started.
            let Ok(spec) = &fan.spec else { continue };
            let capacity = (spec.rate_hz * BEHIND.as_secs_f64()).ceil().max(16.0) as usize;
            let (sender, receiver) = queue::frames(spec.channels.len(), capacity);
            fan.queues.push(sender);
            // What happens to a part is told to those who see it through the joined one.
            let new = pipelines.iter().filter(|name| !fan.pipelines.contains(name)).cloned();
            let new: Vec<_> = new.collect();
            fan.pipelines.extend(new);
            receivers.push(receiver);
        }
        join.feeds.set(receivers);
    }
}
