//! Randomness that a seed decides, on every machine and in every version.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of draws.
#[derive(Debug)]
pub struct Dice {
    stream: ChaCha8Rng,
}

impl Dice {
    /// That of a seed.
    pub fn new(seed: u64) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number from 0 to `bound`, without it. The bias is that of a 64-bit product, so none that
    /// a test could notice (Lemire 2019).
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "there is nothing to choose from");
        let product = u128::from(self.draw()) * bound as u128;
        usize::try_from(product >> 64).expect("below a usize")
    }

    /// True so often as `probability` says, of 0 to 1.
    pub fn chance(&mut self, probability: f64) -> bool {
        const STEPS: usize = 1 << 32;
        (self.below(STEPS) as f64) < probability * STEPS as f64
    }

    /// A duration from `least` to `most`.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let span = most.saturating_sub(least).as_micros();
        let span = usize::try_from(span).expect("simulations last minutes");
        least + Duration::from_micros(self.below(span + 1) as u64)
    }

    /// How long until something happens that happens once in `mean`.
    pub fn about(&mut self, mean: Duration) -> Duration {
        self.between(mean / 10, mean * 2)
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
