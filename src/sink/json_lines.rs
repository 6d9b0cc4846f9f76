//! One JSON object a line, the same as on MQTT: for standard output, a file or a pipe.

use std::io::Write;

use super::Sink;
use crate::data::{Event, Inference, Rejected, Session, payload};

/// Writes results and events to `W`, flushed after each line.
///
/// It is as fast as `W`: a pipe whose reader stands still holds the inference thread. The daemon's
/// lasting sink is [`super::MqttSink`], which never waits.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    session: Session,
    line: Vec<u8>,
    closed: bool,
}

impl<W: Write> JsonLines<W> {
    /// Lines of this `session` to `out`.
    pub fn new(out: W, session: Session) -> Self {
        Self { out, session, line: Vec::with_capacity(512), closed: false }
    }

    /// Gives `out` back.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn end_line(&mut self) -> Result<(), Rejected> {
        self.line.push(b'\n');
        let written = self.out.write_all(&self.line).and_then(|()| self.out.flush());
        if let Err(error) = written {
            // Once: a reader that has gone (`edgerun run | head`) does not come back.
            log::warn!("JSON lines end here: cannot write them: {error}");
            self.closed = true;
            return Err(Rejected::Closed);
        }
        Ok(())
    }

    fn begin_line(&mut self) -> Result<(), Rejected> {
        self.line.clear();
        if self.closed { Err(Rejected::Closed) } else { Ok(()) }
    }
}

impl<W: Write + Send> Sink for JsonLines<W> {
    fn publish(&mut self, found: Inference) -> Result<(), Rejected> {
        self.begin_line()?;
        payload::write_result(&found, &self.session, &mut self.line);
        self.end_line()
    }

    fn event(&mut self, event: Event) -> Result<(), Rejected> {
        self.begin_line()?;
        payload::write_event(&event, &self.session, &mut self.line);
        self.end_line()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sink::memory::examples;

    #[test]
    fn every_result_and_event_is_one_line_of_json() {
        let mut sink = JsonLines::new(Vec::new(), Session::from_bits([1; 16]));
        sink.publish(examples::inference(1)).unwrap();
        sink.event(examples::event("walking")).unwrap();
        sink.publish(examples::inference(2)).unwrap();
        let text = String::from_utf8(sink.into_inner()).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["seq"], &lines[2]["seq"]), (&1.into(), &2.into()));
        assert_eq!(lines[1]["event"], "label_changed");
    }

    #[test]
    fn a_reader_that_has_gone_closes_the_sink() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = JsonLines::new(Gone, Session::from_bits([1; 16]));
        assert_eq!(sink.publish(examples::inference(1)), Err(Rejected::Closed));
        assert_eq!(sink.event(examples::event("walking")), Err(Rejected::Closed));
    }
}
