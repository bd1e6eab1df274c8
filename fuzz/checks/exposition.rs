//! A page of metrics as an exporter sends it, on any bytes and in any pieces.

use clockwarden::agent::clocks;
use clockwarden::controller::sources::node_exporter::{Memory, Page, read};
use clockwarden::exposition::{LINE_MAX, Lines, point};

/// Pieces do not matter, a line is bounded and gives at most one figure, and what a page comes to is an interval.
pub(crate) fn check(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len().max(1));
    // The first byte says how long the pieces are: what a fuzzer finds stays what it is.
    let piece = usize::from(bytes.first().copied().unwrap_or(0)) + 1;
    assert_eq!(whole, lines(bytes, piece), "pieces of {piece} bytes");
    assert!(whole.iter().map(Vec::len).sum::<usize>() <= bytes.len());
    for line in &whole {
        assert!(line.len() <= LINE_MAX && !line.contains(&b'\n'));
        let Ok(Some(figure)) = point(line) else { continue };
        assert!(!figure.name.is_empty());
        let labels: usize = figure.labels().map(|(name, value)| name.len() + value.len()).sum();
        assert!(figure.name.len() + labels <= line.len(), "labels outgrow their line");
    }
    let (mut page, clocks) = (Page::default(), clocks::sample());
    page.push(bytes, &clocks);
    if let Ok(reading) = read(page, clocks.before, &clocks, &mut Memory::default()) {
        assert!(reading.against_us.is_some_and(|it| it.low() <= it.high()), "a page with a time is a measurement");
        assert!(reading.own.is_none_or(|own| own.low() <= own.high()));
    }
}

fn lines(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let (mut lines, mut all) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        lines.push(piece, |line| all.push(line.to_vec()));
    }
    lines.finish(|line| all.push(line.to_vec()));
    all
}
