//! Lines of `/dev/gpiochipN`, of either kernel interface.

use gpiocdev::line::Value;
use gpiocdev::{Chip, Request};

use super::{Line, LineId, Settings};

struct Held {
    request: Request,
    offset: u32,
}

/// Takes the line of `settings` as an output that is `high` from its first moment on. The level is the wire's:
/// `active_low` is not told to the kernel.
pub(super) fn open(settings: &Settings, high: bool) -> Result<Box<dyn Line>, String> {
    let chip_name = settings.chip.display();
    let said = |error: gpiocdev::Error| format!("{chip_name}: {error}");
    let offset = match &settings.line {
        LineId::Offset(offset) => *offset,
        LineId::Name(name) => {
            let chip = Chip::from_path(&settings.chip).map_err(said)?;
            let found = chip.find_line_info(name);
            found
                .ok_or_else(|| {
                    format!("{chip_name} has no line {name:?}; `gpioinfo` shows its lines")
                })?
                .offset
        }
    };
    let request = Request::builder()
        .on_chip(&settings.chip)
        .with_consumer("edgerun")
        .with_line(offset)
        .as_output(value(high))
        .request()
        .map_err(said)?;
    Ok(Box::new(Held { request, offset }))
}

fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}

impl Line for Held {
    fn drive(&mut self, high: bool) -> Result<(), String> {
        let set = self.request.set_value(self.offset, value(high));
        set.map(|_| ()).map_err(|error| format!("line {}: {error}", self.offset))
    }
}
