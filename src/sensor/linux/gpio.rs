//! Lines of a GPIO chip of the Linux kernel, by either version of its interface, with errors that a person can act on.

use std::io;
use std::path::Path;
use std::time::Duration;

use gpiocdev::line::{Bias as KernelBias, EdgeDetection, EdgeKind, Value};
use gpiocdev::{AbiVersion, Chip, Request};

use crate::sensor::SensorError;
use crate::sensor::bus::fault;
use crate::sensor::gpio::{Bias, Edge, Line, LineId, Measure, Open, Seen};

/// Edges of a line that the kernel is asked to keep, the most that it does.
const KEPT: u32 = 1024;
/// Edges that are taken at once.
const AT_ONCE: usize = 64;
/// No wire has more between two looks: what comes faster waits for the next.
const MOST: usize = 16_384;

/// A line that this process has.
pub(in crate::sensor) struct LinuxLine {
    request: Request,
    offset: u32,
    debounced: bool,
}

/// Takes a line, which no other process has then, or says what to do.
pub(in crate::sensor) fn open(chip: &Path, line: &Line) -> Result<LinuxLine, SensorError> {
    let file = chip.display();
    let opened = Chip::from_path(chip).map_err(|error| {
        let advice = match kind(&error) {
            Some(io::ErrorKind::PermissionDenied) => {
                ": add the user that runs edgerun to the file's group, gpio on some systems"
            }
            _ => ": `ls /dev/gpiochip*` shows the chips, `gpiodetect` what they are",
        };
        fault("opening the GPIO chip", format!("{file}: {error}{advice}"))
    })?;
    let doing = "taking a GPIO line";
    let refused = |error: gpiocdev::Error| fault(doing, format!("{file}: {error}"));
    let offset = match &line.id {
        LineId::Offset(offset) => *offset,
        LineId::Name(name) => match opened.find_line_info(name) {
            Some(found) => found.offset,
            None => {
                let why = format!("{file} has no line {name:?}; `gpioinfo` shows its lines");
                return Err(SensorError::Unusable(why));
            }
        },
    };
    let newer = opened.detect_abi_version().map_err(refused)? == AbiVersion::V2;
    let bouncing = !line.debounce.is_zero();
    // Before 5.10 bouncing is kept away here, which takes all edges.
    let edge = match (line.measure, line.edge) {
        _ if bouncing && !newer => Some(EdgeDetection::BothEdges),
        (Measure::Level, _) => None,
        (_, Edge::Rising) => Some(EdgeDetection::RisingEdge),
        (_, Edge::Falling) => Some(EdgeDetection::FallingEdge),
        (_, Edge::Both) => Some(EdgeDetection::BothEdges),
    };
    let mut request = Request::builder();
    request.on_chip(chip).with_consumer("edgerun").with_line(offset).as_input();
    request.with_bias(match line.bias {
        Bias::AsIs => None,
        Bias::Off => Some(KernelBias::Disabled),
        Bias::PullUp => Some(KernelBias::PullUp),
        Bias::PullDown => Some(KernelBias::PullDown),
    });
    if line.active_low {
        request.as_active_low();
    }
    if edge.is_some() {
        request.with_edge_detection(edge);
    }
    if newer && bouncing {
        request.with_debounce_period(line.debounce);
    }
    if newer && edge.is_some() {
        request.with_kernel_event_buffer_size(KEPT);
    }
    let request = request.request().map_err(|error| match kind(&error) {
        Some(io::ErrorKind::ResourceBusy) => {
            let why = format!("{file}: line {offset} is another program's; `gpioinfo` shows whose");
            SensorError::InUse(why)
        }
        Some(io::ErrorKind::InvalidInput) => {
            let bias = match line.bias {
                Bias::AsIs => "",
                _ => ", or this kernel (5.5 and newer can) or chip cannot set a bias: leave it out and use a resistor",
            };
            SensorError::Unusable(format!("{file}: there is no line {offset}{bias} ({error})"))
        }
        _ => fault(doing, format!("{file}: line {offset}: {error}")),
    })?;
    Ok(LinuxLine { request, offset, debounced: newer && bouncing })
}

/// What the kernel said.
fn kind(error: &gpiocdev::Error) -> Option<io::ErrorKind> {
    let words = match error {
        gpiocdev::Error::Os(number) => return Some(io::Error::from_raw_os_error(number.0).kind()),
        gpiocdev::Error::Uapi(_, inner) => inner.to_string(),
        _ => return None,
    };
    // The crate keeps the number of this one to itself, but for the words: `… (os error 16)`.
    let (_, number) = words.rsplit_once("(os error ")?;
    let number = number.split(')').next()?.parse().ok()?;
    Some(io::Error::from_raw_os_error(number).kind())
}

impl Open for LinuxLine {
    fn level(&mut self) -> Result<bool, SensorError> {
        let value = self.request.value(self.offset);
        let value = value.map_err(|error| fault("reading a GPIO line", error.to_string()))?;
        Ok(value == Value::Active)
    }

    fn edges(&mut self, each: &mut dyn FnMut(Seen)) -> Result<(), SensorError> {
        let failed =
            |error: gpiocdev::Error| fault("reading a GPIO line's edges", error.to_string());
        if !self.request.has_edge_event().map_err(failed)? {
            return Ok(());
        }
        let mut events = self.request.new_edge_event_buffer(AT_ONCE);
        for _ in 0..MOST {
            if !events.has_event().map_err(failed)? {
                break;
            }
            let event = events.read_event().map_err(failed)?;
            each(Seen {
                at: Duration::from_nanos(event.timestamp_ns),
                rising: event.kind == EdgeKind::Rising,
                // The first is 1; an older kernel has none.
                number: (event.line_seqno != 0).then_some(event.line_seqno),
            });
        }
        Ok(())
    }

    fn is_debounced(&self) -> bool {
        self.debounced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(chip: &str) -> String {
        let line = Line {
            name: "door".into(),
            id: LineId::Offset(3),
            measure: Measure::Level,
            edge: Edge::Rising,
            bias: Bias::AsIs,
            active_low: false,
            debounce: Duration::ZERO,
        };
        open(Path::new(chip), &line).err().expect("cannot be opened").to_string()
    }

    #[test]
    fn what_is_no_chip_is_named_with_what_to_do() {
        for chip in ["/dev/gpiochip-none", "/dev/null"] {
            let said = says(chip);
            assert!(said.starts_with(&format!("opening the GPIO chip: {chip}: ")), "{said}");
            assert!(said.contains("`gpiodetect`"), "{said}");
        }
    }
}
