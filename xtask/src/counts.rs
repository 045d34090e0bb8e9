//! How many tests passed, as the test runners print it.

use std::fmt;
use std::ops::AddAssign;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// The sum over cargo's test programs: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
    pub(crate) fn of_cargo(lines: &[String]) -> Self {
        let mut sum = Self::default();
        for line in lines {
            let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { continue };
            for number in numbers.split("; ") {
                match number.split_once(' ').and_then(|(number, what)| Some((number.parse::<u64>().ok()?, what))) {
                    Some((number, "passed")) => sum.passed += number,
                    Some((number, "failed")) => sum.failed += number,
                    Some((number, "ignored")) => sum.skipped += number,
                    _ => {}
                }
            }
        }
        sum
    }

    /// The summary at the end of `node --test`: `# pass 3` in TAP, `ℹ pass 3` in its other format.
    pub(crate) fn of_node(lines: &[String]) -> Self {
        // The last line of each kind: what a test prints comes before, and with the same mark.
        let last = |kind: &str| {
            lines.iter().rev().find_map(|line| {
                let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
                rest.strip_prefix(kind)?.strip_prefix(' ')?.trim().parse::<u64>().ok()
            })
        };
        let count = |kind| last(kind).unwrap_or(0);
        Self { passed: count("pass"), failed: count("fail") + count("cancelled"), skipped: count("skipped") + count("todo") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn cargo_prints_a_line_per_program() {
        let output = lines(
            "running 2 tests\ntest a ... ok\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.00s\n\
             test result: FAILED. 10 passed; 3 failed; 4 ignored; 0 measured; 0 filtered out; finished in 1.00s\n\
             not a test result: ok. 5 passed; 0 failed\n",
        );
        assert_eq!(Counts::of_cargo(&output), Counts { passed: 12, failed: 3, skipped: 4 });
    }

    #[test]
    fn node_prints_a_summary_in_either_format() {
        let tap = lines(
            "TAP version 13\n# pass 99\nok 1 - a\n1..2\n# tests 9\n# suites 0\n# pass 3\n# fail 1\n# cancelled 2\n# skipped 1\n# todo 2\n# duration_ms 5\n",
        );
        assert_eq!(Counts::of_node(&tap), Counts { passed: 3, failed: 3, skipped: 3 });
        let spec = lines("✔ a (1ms)\nℹ tests 4\nℹ pass 4\nℹ fail 0\nℹ cancelled 0\nℹ skipped 0\nℹ todo 0\n");
        assert_eq!(Counts::of_node(&spec), Counts { passed: 4, failed: 0, skipped: 0 });
        assert_eq!(Counts::of_node(&lines("npm error missing script")).total(), 0);
    }
}
