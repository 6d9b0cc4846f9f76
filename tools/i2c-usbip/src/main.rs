//! An I²C adapter with a simulated MPU-6050, handed to the kernel as a USB device: see README.md.

mod adapter;
mod recording;
mod sensor;
mod usbip;

use std::error::Error;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use adapter::Adapter;
use sensor::sim::Bus;

/// vhci_hcd's virtual ports for devices of at most high speed.
const PORTS: std::ops::Range<u32> = 0..8;

/// The kernel's USB_SPEED_FULL, as of the real adapter's small controllers.
const SPEED: u32 = 2;

fn main() -> ExitCode {
    let removed: PathBuf = match std::env::args_os().skip(1).collect::<Vec<_>>().as_slice() {
        [path] => path.into(),
        _ => {
            eprintln!("usage: i2c-usbip FILE\n\nWhile FILE exists, the chip is not on the bus.");
            return ExitCode::from(2);
        }
    };
    match serve(removed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("i2c-usbip: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plugs the adapter in and answers the kernel until it hangs up.
fn serve(removed: PathBuf) -> Result<(), Box<dyn Error>> {
    let playback = recording::playback(recording::EXAMPLE)?;
    let mut adapter = Adapter::new(Bus::new(playback, removed));
    let (mut ours, kernels) = UnixStream::pair()?;
    plug_in(&kernels)?;
    // The kernel holds its end by now.
    drop(kernels);
    Ok(usbip::serve(&mut ours, &mut adapter)?)
}

/// Gives the kernel its end, at the first port that is free.
fn plug_in(kernels: &UnixStream) -> Result<(), String> {
    let attach = "/sys/devices/platform/vhci_hcd.0/attach";
    let mut last = String::new();
    for port in PORTS {
        // Port, socket, device id (bus 1, device 2: any will do), speed.
        match std::fs::write(attach, format!("{port} {} 65538 {SPEED}", kernels.as_raw_fd())) {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{attach}: {last}; is vhci_hcd loaded, is this root, is a port free?"))
}
