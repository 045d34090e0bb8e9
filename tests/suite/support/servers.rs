//! Real servers, started when a test first needs one and shared by all tests of this process. They end with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xtask::services::{Kafka, Port, Postgres, PostgresOptions, Redis};

/// What the folders of all such processes begin with; the number of the process follows.
const FOLDERS: &str = "footfall-suite-";

/// Where the servers of this process live. Nothing runs when it ends, so the next one removes what it left.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let all = std::env::temp_dir();
        for left in fs::read_dir(&all).unwrap().flatten() {
            let process = left.file_name().to_str().and_then(|name| name.strip_prefix(FOLDERS)?.parse::<u32>().ok());
            if process.is_some_and(|process| Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()) {
                fs::remove_dir_all(left.path()).ok();
            }
        }
        let folder = all.join(format!("{FOLDERS}{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// For tests that leave it running; those that kill it have one of their own. Blocks until it is ready.
pub(crate) fn postgres() -> &'static Postgres {
    static POSTGRES: OnceLock<Postgres> = OnceLock::new();
    POSTGRES.get_or_init(|| {
        let postgres = Postgres::new(&folder().join("postgres"), Port::free().unwrap(), PostgresOptions::default()).unwrap();
        postgres.start().unwrap();
        postgres
    })
}

/// One node, for tests that leave it running and name their topics by a prefix of their own. Blocks until it is ready.
pub(crate) fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let kafka = Kafka::new(folder(), vec![Port::free().unwrap()], &[]).unwrap();
        kafka.start().unwrap();
        kafka
    })
}

/// For tests that leave it running and have a prefix of their own. Blocks until it is ready.
pub(crate) fn redis() -> &'static Redis {
    static REDIS: OnceLock<Redis> = OnceLock::new();
    REDIS.get_or_init(|| {
        let redis = Redis::new(&folder().join("redis"), Port::free().unwrap(), &[]).unwrap();
        redis.start().unwrap();
        redis
    })
}
