//! `driver = "join"`: several sensors as one.

use super::{Driver, Sensor};
use crate::config::keys;
use crate::config::name::SensorName;
use crate::config::quantity::Rate;
use crate::config::raw::Section;
use crate::config::value::{list, parsed, quantity};

const PARTS_MAX: usize = 16;

/// Settings of the `join` driver.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The sensors, in the order of their channels, each with its driver.
    pub parts: Vec<(SensorName, Driver)>,
    /// Rows a second.
    pub rate: Rate,
}

/// As it is written: the names only.
pub(super) struct Named {
    sensors: Vec<SensorName>,
    rate: Rate,
}

impl Named {
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let section = section.with(&keys::JOIN);
        section.close();
        let sensors = section.require("sensors", list(parsed::<SensorName>));
        let rate = section.require("rate", quantity::<Rate>);
        Some(Self { sensors: sensors?, rate: rate? })
    }

    /// With the drivers that the names stand for; what is wrong is noted. `None`, too, where one of them is wrong itself.
    pub(super) fn resolve(
        self,
        section: &Section<'_>,
        all: &[&str],
        read: &[(usize, Sensor)],
    ) -> Option<Join> {
        let Self { sensors, rate } = self;
        let names: Vec<&str> = sensors.iter().map(SensorName::as_str).collect();
        if !(2..=PARTS_MAX).contains(&names.len()) {
            section
                .wrong("sensors", format!("needs 2 to {PARTS_MAX} sensors, has {}", names.len()));
            return None;
        }
        if let Some(twice) = names.iter().enumerate().find(|(n, name)| names[..*n].contains(name)) {
            section.wrong("sensors", format!("{:?} is there twice", twice.1));
            return None;
        }
        if let Some(nobody) = names.iter().find(|name| !all.contains(name)) {
            let why = format!("there is no [[sensor]] called {nobody:?} that can be joined");
            section.wrong("sensors", why);
            return None;
        }
        let driver = |name: SensorName| {
            let found = read.iter().find(|(_, sensor)| sensor.name == name)?;
            Some((name, found.1.driver.clone()))
        };
        let parts: Vec<_> = sensors.into_iter().map(driver).collect::<Option<_>>()?;
        Some(Join { parts, rate })
    }
}
