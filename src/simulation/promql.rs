//! The few functions of PromQL that today's alerts are made of, as Prometheus computes them.
//!
//! Samples are (time in seconds, value), oldest first. A function over no samples, or over fewer than it needs, has no
//! result, and what has no result is in no alert.
//!
//! Source: Prometheus, promql/functions.go: `linearRegression` (least squares, and exactly 0 for a constant series),
//! `extrapolatedRate` (for `delta`), `funcMinOverTime`.

/// One sample.
pub type Sample = (f64, f64);

/// Per-second slope of the least-squares line; needs two samples.
#[must_use]
pub fn deriv(samples: &[Sample]) -> Option<f64> {
    let [(start, first), _, ..] = samples else { return None };
    if samples.iter().all(|(_, value)| value == first) {
        return Some(0.0);
    }
    let (mut count, mut sum_x, mut sum_y, mut sum_xy, mut sum_x2) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (time, value) in samples {
        let x = time - start;
        count += 1.0;
        sum_x += x;
        sum_y += value;
        sum_xy += x * value;
        sum_x2 += x * x;
    }
    let covariance = sum_xy - sum_x * sum_y / count;
    let variance = sum_x2 - sum_x * sum_x / count;
    Some(covariance / variance)
}

/// The least value; needs one sample.
#[must_use]
pub fn min_over_time(samples: &[Sample]) -> Option<f64> {
    samples.iter().map(|(_, value)| *value).reduce(f64::min)
}

/// Last minus first, extrapolated to the whole range `(from, to]`; needs two samples.
#[must_use]
pub fn delta(samples: &[Sample], (from, to): (f64, f64)) -> Option<f64> {
    let [(first_time, first), .., (last_time, last)] = samples else { return None };
    let sampled = last_time - first_time;
    #[expect(clippy::cast_precision_loss, reason = "a handful of samples")]
    let spacing = sampled / (samples.len() - 1) as f64;
    // To an edge that is further away than a sample would have been, half a spacing is taken to be covered.
    let reach = |gap: f64| if gap >= spacing * 1.1 { spacing / 2.0 } else { gap };
    let covered = sampled + reach(first_time - from) + reach(to - last_time);
    Some((last - first) * (covered / sampled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_15_s(values: &[f64]) -> Vec<Sample> {
        values.iter().zip(1u32..).map(|(value, n)| (f64::from(n) * 15.0, *value)).collect()
    }

    /// Values every 15 s, the last at the end of a range of 5 minutes; deriv, min_over_time, delta.
    #[track_caller]
    fn check(values: &[f64], expected: (Option<f64>, Option<f64>, Option<f64>)) {
        let samples = every_15_s(values);
        let to = samples.last().map_or(0.0, |(time, _)| *time);
        let near = |got: Option<f64>, wanted: Option<f64>| match (got, wanted) {
            (Some(got), Some(wanted)) => (got - wanted).abs() < 1e-9,
            (got, wanted) => got == wanted,
        };
        let got = (deriv(&samples), min_over_time(&samples), delta(&samples, (to - 300.0, to)));
        let same = near(got.0, expected.0) && near(got.1, expected.1) && near(got.2, expected.2);
        assert!(same, "{values:?}: {got:?}, expected {expected:?}");
    }

    #[test]
    fn functions_give_what_prometheus_gives() {
        check(&[], (None, None, None));
        check(&[3.0], (None, Some(3.0), None));
        // A constant that no binary fraction hits has a slope of exactly nothing.
        check(&[0.1; 7], (Some(0.0), Some(0.1), Some(0.0)));
        assert_eq!(deriv(&every_15_s(&[0.1; 7])), Some(0.0));
        // Prometheus' own example of a regression: a line is found whatever its height.
        check(&[4.0, 7.0, 10.0], (Some(0.2), Some(4.0), Some(7.5)));
        check(&[0.0, 0.0, 0.0, 4.0], (Some(0.08), Some(0.0), Some(4.0 * 52.5 / 45.0)));
        // A full range: 20 samples over 285 s, extrapolated to 300 s.
        let mut full = [0.0; 20];
        full[19] = -2.85;
        check(&full, (Some(-2.85 * 9.5 / 9975.0), Some(-2.85), Some(-3.0)));
    }
}
