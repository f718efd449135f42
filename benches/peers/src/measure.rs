//! Measures medians of batches. The contenders take turns, so that a slow moment of the machine
//! meets all of them.

use std::time::{Duration, Instant};

/// How long and how often to measure.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Batches of each contender, an odd number.
    pub(crate) rounds: usize,
    /// About how long a batch takes. A single run may take longer.
    pub(crate) batch: Duration,
}

/// Does one thing as often as it is told.
pub(crate) type Contender<'a> = Box<dyn FnMut(u64) + 'a>;

/// A contender that does this once a run.
pub(crate) fn repeat<'a>(mut once: impl FnMut() + 'a) -> Contender<'a> {
    Box::new(move |count| (0..count).for_each(|_| once()))
}

/// The median time of one run of each, in nanoseconds.
pub(crate) fn medians<P: Copy>(contenders: Vec<(P, Contender<'_>)>, pace: Pace) -> Vec<(P, f64)> {
    let mut timed: Vec<_> = contenders
        .into_iter()
        .map(|(peer, mut contender)| {
            let count = calibrate(&mut contender, pace.batch);
            (peer, contender, count, Vec::with_capacity(pace.rounds))
        })
        .collect();
    for _ in 0..pace.rounds {
        for (_, contender, count, times) in &mut timed {
            let began = Instant::now();
            contender(*count);
            times.push(began.elapsed().as_secs_f64() * 1e9 / *count as f64);
        }
    }
    timed.into_iter().map(|(peer, _, _, times)| (peer, median(times))).collect()
}

/// The number in the middle.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// How often it runs in this time once it is warm. The first runs make instances, translations and
/// mappings.
fn calibrate(contender: &mut Contender<'_>, batch: Duration) -> u64 {
    let warmed = Instant::now();
    for _ in 0..64 {
        contender(1);
        if warmed.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    let mut count = 1;
    loop {
        let began = Instant::now();
        contender(count);
        let took = began.elapsed();
        if took >= batch {
            return ((count as f64 * batch.as_secs_f64() / took.as_secs_f64()) as u64).max(1);
        }
        count *= 2;
    }
}
