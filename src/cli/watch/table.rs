//! Boards as lines of text, each no wider than the terminal.

use std::time::Duration;

use serde_json::Value;

use super::boards::{self, Board, Boards, Pipeline};
use crate::cli::plain::{plain, short};

/// A column: its head and width; the last one takes what is left.
const COLUMNS: [(&str, usize); 9] = [
    ("BOARD", 16),
    ("STATE", 8),
    ("HEALTH", 8),
    ("PIPELINE", 14),
    ("MODEL", 18),
    ("RATE", 9),
    ("P99", 9),
    ("AGE", 5),
    ("LAST", 24),
];

/// The whole view, at most `height` lines of `width` characters.
pub(super) fn table(
    boards: &Boards,
    state: &str,
    now: Duration,
    width: usize,
    height: usize,
) -> Vec<String> {
    let online = boards.iter().filter(|(_, board)| board.status == "online").count();
    let all = boards.iter().count();
    let more = match boards.left_out {
        0 => String::new(),
        _ => ", and more that are left out".to_owned(),
    };
    let mut lines = vec![
        short(&format!("{online} of {all} boards online{more}; {state}"), width),
        row(&COLUMNS.map(|(head, _)| head.to_owned()), width),
    ];
    let mut rows = Vec::new();
    for (name, board) in boards.iter() {
        rows.extend(rows_of(name, board, now, width));
    }
    let room = height.saturating_sub(lines.len());
    if rows.len() > room {
        let left = rows.len() - room.saturating_sub(1);
        rows.truncate(room.saturating_sub(1));
        rows.push(short(&format!("… {left} more lines; --device ID shows one board"), width));
    }
    lines.extend(rows);
    lines.truncate(height);
    lines
}

/// A row for each pipeline, and one below for what is not well and for updates.
fn rows_of(name: &str, board: &Board, now: Duration, width: usize) -> Vec<String> {
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let mut rows = Vec::new();
    let none = Pipeline::default();
    let empty = String::new();
    let mut pipelines: Vec<(&String, &Pipeline)> = board.pipelines.iter().collect();
    if pipelines.is_empty() {
        pipelines.push((&empty, &none));
    }
    for (index, (pipeline, one)) in pipelines.into_iter().enumerate() {
        let first = |text: String| if index == 0 { text } else { String::new() };
        let heard = one.last.as_ref().map(|(_, at)| *at).or(board.heard.filter(|_| index == 0));
        let model = match one.model.as_str() {
            "" => String::new(),
            model => format!("{model} {}", one.version),
        };
        let last = match &one.last {
            _ if one.paused => "paused".to_owned(),
            Some((said, _)) => said.clone(),
            None => String::new(),
        };
        rows.push(row(
            &[
                first(name.to_owned()),
                first(known(&board.status)),
                first(known(&board.health)),
                pipeline.clone(),
                model,
                one.rate_hz.map_or(String::new(), |rate| format!("{rate:.1} Hz")),
                one.p99_us.map_or(String::new(), |us| time(us / 1e6)),
                heard.map_or(String::new(), |at| age(now.saturating_sub(at))),
                last,
            ],
            width,
        ));
    }
    if !board.reason.is_empty() && board.health != "ok" {
        rows.push(short(&format!("  ! {}", board.reason), width));
    }
    for (model, update) in &board.updates {
        rows.push(short(&format!("  > {model}: {update}"), width));
    }
    rows
}

fn row(cells: &[String; COLUMNS.len()], width: usize) -> String {
    let mut text = String::new();
    for (cell, (_, wide)) in cells.iter().zip(COLUMNS) {
        text.push_str(&format!("{:<wide$} ", short(cell, wide)));
    }
    short(text.trim_end(), width)
}

/// Seconds with a unit that fits.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} m", s / 60),
        s @ 3600..86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

/// One message as a line, where there is no terminal to draw on.
pub(super) fn line(device: &str, topic: &str, payload: &Value) -> String {
    let said = match topic.split('/').next().unwrap_or_default() {
        "result" => boards::result(&payload["result"]),
        "event" => boards::event(payload),
        "health" => match payload["reasons"][0].as_str() {
            Some(reason) => format!("{}: {reason}", payload["state"].as_str().unwrap_or("?")),
            None => payload["state"].as_str().unwrap_or("?").to_owned(),
        },
        "status" | "model" => payload["state"].as_str().unwrap_or("?").to_owned(),
        "info" => format!("version {}", payload["version"].as_str().unwrap_or("?")),
        _ => String::new(),
    };
    plain(&format!("{device} {topic} {said}"))
}

#[cfg(test)]
mod tests;
