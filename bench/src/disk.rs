//! What the disk under a node's data can do at best: the floor under every receipt of a stored SEND.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::clock::nanos;
use crate::report::histogram;

const ROUNDS: usize = 500;

/// Appends 4 KiB, a page of a write-ahead log, and waits until it is on disk; 500 times, in a file that is removed.
pub(crate) fn fdatasync_times(directory: &Path) -> Result<Histogram<u64>> {
    let path = directory.join(format!("footfall-bench-{}.tmp", std::process::id()));
    let times = append_and_sync(&path);
    // Also after a failure; a file that was never made can't be removed, which is no news.
    let removed = fs::remove_file(&path);
    let times = times.with_context(|| format!("The disk under {} could not be measured.", directory.display()))?;
    removed.with_context(|| format!("{} could not be removed.", path.display()))?;
    Ok(times)
}

fn append_and_sync(path: &Path) -> Result<Histogram<u64>> {
    let mut file = OpenOptions::new().create_new(true).append(true).open(path)?;
    let mut times = histogram();
    let page = [0x5a; 4096];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.saturating_record(nanos(start.elapsed()));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_is_timed_and_nothing_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(fdatasync_times(directory.path()).unwrap().len(), ROUNDS as u64);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = fdatasync_times(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
