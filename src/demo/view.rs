//! The live terminal view: a row for each recording, drawn anew in place while its windows arrive.

use std::io::{self, Write};

use super::recording::Recording;
use super::score::{Ending, Judged, Score, Summary, Update};
use super::story::Chapter;

/// Draws to a terminal, or prints finished rows elsewhere.
pub(super) struct View<W: Write> {
    out: W,
    live: bool,
    row: Option<Row>,
    /// The step of the update that is told.
    step: String,
}

/// What is known of the recording that plays now.
struct Row {
    recording: usize,
    truth: String,
    judged: Vec<Judged>,
    /// The row as it stands after the last of them.
    text: String,
}

const BAR: usize = 16;

impl<W: Write> View<W> {
    /// A view on `out`; `live` redraws the current row and uses colour: for terminals only.
    pub(super) fn new(out: W, live: bool) -> Self {
        Self { out, live, row: None, step: String::new() }
    }

    /// What this is, in a few lines.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn head(&mut self, lines: &[String]) -> io::Result<()> {
        for line in lines {
            writeln!(self.out, "{line}")?;
        }
        let head = format!(
            "\n  {:>2}  {:<10} {:<8} {:<10} {:<23} {:>8} {:>9}",
            "#", "truth", "windows", "found", "confidence", "latency", "accuracy"
        );
        writeln!(self.out, "{}", self.paint("2", &head))?;
        self.out.flush()
    }

    /// One result, judged.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn result(
        &mut self,
        judged: Judged,
        all: &[Recording],
        score: &Score,
    ) -> io::Result<()> {
        if self.row.as_ref().is_none_or(|row| row.recording != judged.recording) {
            self.end_row()?;
            let truth = all[judged.recording].label.clone();
            let (recording, judged, text) = (judged.recording, Vec::new(), String::new());
            self.row = Some(Row { recording, truth, judged, text });
        }
        if let Some(mut row) = self.row.take() {
            row.judged.push(judged);
            row.text = self.format(&row, score);
            if self.live {
                self.redraw(&row.text)?;
            }
            self.row = Some(row);
        }
        Ok(())
    }

    /// Back to the line's start, the text, then what an older one left behind it is cleared. Without wrapping
    /// meanwhile: on a narrow terminal the start would be another line's.
    fn redraw(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "\r\x1b[?7l{text}\x1b[K\x1b[?7h")?;
        self.out.flush()
    }

    /// Takes what is drawn in place away.
    fn clear(&mut self) -> io::Result<()> {
        if self.live {
            self.redraw("")?;
            write!(self.out, "\r")?;
        }
        Ok(())
    }

    fn end_row(&mut self) -> io::Result<()> {
        match self.row.take() {
            None => Ok(()),
            Some(_) if self.live => writeln!(self.out),
            Some(row) => writeln!(self.out, "{}", row.text),
        }
    }

    fn format(&self, row: &Row, score: &Score) -> String {
        let Some(last) = row.judged.last() else { return String::new() };
        let count = row.judged.len();
        let mean = row.judged.iter().map(|j| j.score).sum::<f64>() / count as f64;
        let mut latencies: Vec<u64> = row.judged.iter().map(|j| j.latency_us).collect();
        latencies.sort_unstable();
        let found = last.label.as_deref().unwrap_or("(unsure)");
        let marks: String = row
            .judged
            .iter()
            .map(|j| if j.right { self.paint("32", "✓") } else { self.paint("31", "✗") })
            .collect();
        let pad = " ".repeat(8usize.saturating_sub(count));
        format!(
            "  {:>2}  {:<10} {marks}{pad} {} {} {:>5.1} % {:>5} µs {:>7.1} %",
            row.recording + 1,
            row.truth,
            self.paint(if last.right { "32" } else { "31" }, &format!("{found:<10}")),
            self.paint("36", &bar(mean)),
            mean * 100.0,
            latencies[count / 2],
            score.accuracy() * 100.0,
        )
    }

    /// The lines below the recordings.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn end(&mut self, score: &Score, summary: &Summary, seconds: f64) -> io::Result<()> {
        self.end_row()?;
        let Summary { windows, accuracy, dropped, messages, latency_us, .. } = summary;
        if *windows == 0 {
            writeln!(self.out, "\n  no result yet: the first window takes 4 s of the recording")?;
            return self.out.flush();
        }
        let accuracy = format!("{:.1} %", accuracy * 100.0);
        writeln!(
            self.out,
            "\n  {windows} windows, {} right: accuracy {}",
            score.right(),
            self.paint("1", &accuracy)
        )?;
        writeln!(
            self.out,
            "  latency p50 {} µs, p99 {} µs · dropped {dropped} · {messages} messages from the broker · {seconds:.1} s",
            latency_us.p50, latency_us.p99
        )?;
        self.out.flush()
    }

    /// What the updates begin with.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn updates(&mut self, fingerprint: &str) -> io::Result<()> {
        let head =
            "\n  The sensor goes on, and the model is updated over the air. The board trusts the";
        writeln!(self.out, "{}", self.paint("2", head))?;
        let tail =
            format!("  publisher's root {}: two of three keys sign it.\n", short(fingerprint));
        writeln!(self.out, "{}", self.paint("2", &tail))?;
        self.out.flush()
    }

    /// How the update that is told stands, and that the pipeline goes on.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn step(
        &mut self,
        chapter: &Chapter,
        step: Option<String>,
        score: &Score,
    ) -> io::Result<()> {
        if let Some(step) = step {
            self.step = step;
        }
        if !self.live {
            return Ok(());
        }
        let text = format!(
            "  {} {}  {:<14} {} windows, accuracy {:.1} %",
            self.paint("36", "…"),
            chapter.version,
            self.step,
            score.windows(),
            score.accuracy() * 100.0
        );
        self.redraw(&text)
    }

    /// How an update ended.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn update(
        &mut self,
        chapter: &Chapter,
        update: &Update,
        score: &Score,
        seconds: f64,
    ) -> io::Result<()> {
        self.step.clear();
        self.clear()?;
        let (code, mark) = match update.outcome {
            Ending::Committed => ("32", "✓"),
            Ending::Rejected | Ending::Reverted => ("33", "✗"),
        };
        let outcome = self.paint(code, &format!("{:<9}", update.outcome));
        let mark = self.paint(code, mark);
        writeln!(
            self.out,
            "  {mark} {}  {outcome} {:<46} {seconds:>5.1} s",
            chapter.version, chapter.what
        )?;
        if let Some(reason) = &update.reason {
            let after = match update.outcome {
                Ending::Reverted => "; the version before serves again",
                Ending::Committed | Ending::Rejected => "",
            };
            for line in wrapped(&format!("{reason}{after}"), 72) {
                writeln!(self.out, "{}", self.paint("2", &format!("           {line}")))?;
            }
        }
        if !self.live {
            let (windows, accuracy) = (score.windows(), score.accuracy() * 100.0);
            writeln!(self.out, "           {windows} windows so far, accuracy {accuracy:.1} %")?;
        }
        self.out.flush()
    }

    /// The last lines, after the updates.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn end_updates(
        &mut self,
        score: &Score,
        summary: &Summary,
        seconds: f64,
    ) -> io::Result<()> {
        self.clear()?;
        let each = score
            .versions()
            .map(|(version, windows, right)| format!("{right} of {windows} right with {version}"));
        writeln!(self.out, "\n  {}", each.collect::<Vec<_>>().join(", "))?;
        let Summary { windows, dropped, messages, .. } = summary;
        writeln!(
            self.out,
            "  {windows} windows · dropped {dropped} · {messages} messages from the broker · {seconds:.1} s"
        )?;
        self.out.flush()
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.live { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The first groups of a fingerprint.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..16).unwrap_or(fingerprint)
}

/// `text` in lines of at most `width` characters where its words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always one");
        if line.is_empty() {
            *line = word.to_owned();
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// A bar of `BAR` cells, in eighths of a cell; `share` is 0 to 1.
fn bar(share: f64) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (share.clamp(0.0, 1.0) * (BAR * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if eighths < BAR * 8 {
        bar.push(PARTS[eighths % 8]);
        bar.push_str(&" ".repeat(BAR - 1 - eighths / 8));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(recording: usize, label: Option<&str>, right: bool) -> Judged {
        let (label, version) = (label.map(str::to_owned), "1.0.0".to_owned());
        Judged { round: 0, recording, version, label, score: 0.75, right, latency_us: 40 }
    }

    #[test]
    fn reasons_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("longer-than-that x", 7), ["longer-than-that", "x"]);
        assert_eq!(wrapped("", 7), [""]);
    }

    #[test]
    fn a_bar_has_one_width_whatever_it_shows() {
        for share in [-1.0, 0.0, 0.01, 0.5, 0.999, 1.0, 7.0, f64::NAN] {
            assert_eq!(bar(share).chars().count(), BAR, "{share}");
        }
        assert_eq!(bar(0.5).trim_end(), "████████");
    }

    #[test]
    fn a_row_is_drawn_again_in_its_own_line_however_narrow_the_terminal() {
        let all = [Recording { label: "walking".into(), frames: Vec::new() }];
        let mut view = View::new(Vec::new(), true);
        for _ in 0..2 {
            view.result(judged(0, Some("walking"), true), &all, &Score::default())
                .expect("memory takes it");
        }
        let text = String::from_utf8(view.out).expect("text");
        let drawn: Vec<&str> = text.split('\r').skip(1).collect();
        assert_eq!(drawn.len(), 2);
        for row in drawn {
            // DECAWM, DEC private mode 7: off for the row, on for what others write.
            assert!(row.starts_with("\x1b[?7l") && row.ends_with("\x1b[K\x1b[?7h"), "{row:?}");
            assert!(!row.contains('\n'), "{row:?}");
        }
    }

    #[test]
    fn a_demo_stopped_before_its_first_window_does_not_speak_of_accuracy() {
        let mut view = View::new(Vec::new(), false);
        view.end(&Score::default(), &Score::default().summary(0, Vec::new()), 0.1)
            .expect("memory takes it");
        let text = String::from_utf8(view.out).expect("text");
        assert!(text.contains("no result yet") && !text.contains("accuracy"), "{text}");
    }

    #[test]
    fn rows_without_a_terminal_are_plain_lines() {
        let recording = |label: &str| Recording { label: label.into(), frames: Vec::new() };
        let all = [recording("walking"), recording("running")];
        let mut score = Score::default();
        let mut view = View::new(Vec::new(), false);
        for (recording, label, right) in
            [(0, Some("walking"), true), (0, None, false), (1, Some("running"), true)]
        {
            let judged = judged(recording, label, right);
            score.result(&judged);
            view.result(judged, &all, &score).expect("memory takes it");
        }
        view.end(&score, &score.summary(0, Vec::new()), 1.5).expect("memory takes it");
        let text = String::from_utf8(view.out).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "   1  walking    ✓✗       (unsure)   ████████████      75.0 %    40 µs    50.0 %",
                "   2  running    ✓        running    ████████████      75.0 %    40 µs    66.7 %",
            ]
        );
        assert!(lines[3].contains("3 windows, 2 right: accuracy 66.7 %"), "{text}");
    }
}
