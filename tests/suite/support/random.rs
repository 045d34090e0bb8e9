//! Seeded randomness, so that a failure can be had again.

use std::time::SystemTime;

/// `SplitMix64`.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of so many.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("an index")
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Another source, for someone who works beside this one.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }
}

/// `FOOTFALL_SEED`, or else a new one. Said at once: the harness shows it when the test fails, wherever that is.
pub(crate) fn seed() -> u64 {
    let seed = chosen_seed();
    eprintln!("seed {seed}");
    seed
}

fn chosen_seed() -> u64 {
    variable("FOOTFALL_SEED").and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
        Random::new(u64::from(since.subsec_nanos()) ^ since.as_secs().rotate_left(32)).next()
    })
}

/// The tier of tests that was asked for; 1 if nobody said.
pub(crate) fn tier() -> u32 {
    variable("FOOTFALL_TIER").and_then(|tier| tier.parse().ok()).unwrap_or(1)
}

/// `FOOTFALL_ROWS`: the rows of the failure matrix that are to be run, if not all are.
pub(crate) fn rows() -> Option<String> {
    variable("FOOTFALL_ROWS")
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the tests' own settings, not the broker's")]
    std::env::var(name).ok()
}
