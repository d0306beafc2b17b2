//! The table of limits.

use crate::domain::limit::{LimitView, Unit};

use super::words::{amount, at, what, whose};

/// Every limit that bound the run, before it and with its hold; nothing where none did.
pub(super) fn table(views: &[LimitView]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let header = ["LIMIT ON", "OF", "MOST", "BEFORE", "WITH THE HOLD", "RESETS"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(views.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::from("\nLimits when it was admitted (used is settled and held together)\n");
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    out
}

fn row(view: &LimitView) -> [String; 6] {
    let unit = view.unit();
    let resets = match unit {
        Unit::Concurrent => "when a call ends".to_owned(),
        _ => at(view.resets_at_ms),
    };
    [
        what(unit, &view.limit.quota.window),
        whose(&view.limit.scope, &view.subject),
        amount(unit, view.max()),
        amount(unit, view.before),
        amount(unit, view.after),
        resets,
    ]
}
