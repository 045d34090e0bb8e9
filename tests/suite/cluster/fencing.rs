//! Who writes to PostgreSQL, as PostgreSQL itself notes it: each claim of a partition and each batch of rows, in their order
//! and with the connection over which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use footfall::store::{Append, Owner, PartitionKey, PostgresSettings, PostgresStore, Store, StoreError};
use sqlx::Row as _;
use uuid::Uuid;

use super::broker::EVENTS;
use super::rows::{Owners, Rows};

/// Each is noted while its partition's row is locked, so of one partition they have the order in which they count.
const BEGIN: &str = "
    CREATE TABLE noted (id bigint GENERATED ALWAYS AS IDENTITY, partition bigint, port int, claims boolean);
    CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted (partition, port, claims) VALUES (new.id, inet_client_port(), true);
        RETURN NULL;
    END $$;
    CREATE FUNCTION note_rows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted (partition, port, claims) SELECT DISTINCT partition, inet_client_port(), false FROM stored;
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_claim AFTER UPDATE OF owner ON partitions FOR EACH ROW
        WHEN (old.owner IS DISTINCT FROM new.owner) EXECUTE FUNCTION note_claim();
    CREATE TRIGGER note_rows AFTER INSERT ON message_ids REFERENCING NEW TABLE AS stored FOR EACH STATEMENT
        EXECUTE FUNCTION note_rows();";
/// Also what a row that failed has left behind.
const END: &str = "
    DROP TRIGGER IF EXISTS note_claim ON partitions;
    DROP TRIGGER IF EXISTS note_rows ON message_ids;
    DROP FUNCTION IF EXISTS note_claim, note_rows;
    DROP TABLE IF EXISTS noted;";

/// One thing that was done to a partition.
#[derive(Debug, Clone, Copy)]
struct Noted {
    partition: i64,
    /// At the other end of the connection.
    port: i32,
    /// Else it stores rows.
    claims: bool,
}

/// What became of the partitions that a zombie had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fencing {
    /// Batches of rows that the zombie wrote before anybody else claimed what it had.
    pub(super) own: usize,
    /// Batches of rows that the zombie wrote after somebody else's claim, and without one of its own after that.
    pub(super) broken: usize,
    /// Batches that others wrote after theirs.
    pub(super) kept: usize,
}

pub(super) async fn begin(rows: &Rows) {
    let mut postgres = rows.connect().await;
    sqlx::raw_sql(END).execute(&mut postgres).await.unwrap();
    sqlx::raw_sql(BEGIN).execute(&mut postgres).await.unwrap();
}

/// What the store says to whoever comes with these tokens, which the zombie still has: how many of them are good.
pub(super) async fn good(rows: &Rows, tokens: &Owners) -> usize {
    let settings = PostgresSettings { url: rows.url().into(), ..PostgresSettings::default() };
    let store = PostgresStore::open(&settings).await.unwrap();
    let log: Arc<str> = rows.log().await.into();
    let mut good = 0;
    for (number, token) in tokens {
        let partition = PartitionKey { log: log.clone(), topic: EVENTS.into(), number: u32::try_from(*number).unwrap() };
        let owner = Owner(Uuid::parse_str(token).unwrap());
        let nothing = Append { partition, owner, messages: Vec::new(), end: 0, mark: None, at_least: 0 };
        match store.append(nothing).await {
            Err(StoreError::Fenced) => {}
            Ok(_) => good += 1,
            Err(error) => panic!("{error}"),
        }
    }
    store.close().await;
    good
}

/// Of a process that had these connections.
pub(super) async fn end(rows: &Rows, zombie: &BTreeSet<i32>) -> Fencing {
    let mut postgres = rows.connect().await;
    let noted = sqlx::query("SELECT partition, port, claims FROM noted ORDER BY id").fetch_all(&mut postgres).await.unwrap();
    sqlx::raw_sql(END).execute(&mut postgres).await.unwrap();
    judge(noted.iter().map(|row| Noted { partition: row.get(0), port: row.get(1), claims: row.get(2) }), zombie)
}

fn judge(noted: impl Iterator<Item = Noted>, zombie: &BTreeSet<i32>) -> Fencing {
    let mut fencing = Fencing::default();
    // Whether the zombie has it.
    let mut owned: BTreeMap<i64, bool> = BTreeMap::new();
    for Noted { partition, port, claims } in noted {
        let is_zombie = zombie.contains(&port);
        if claims {
            owned.insert(partition, is_zombie);
            continue;
        }
        match (owned.get(&partition), is_zombie) {
            (Some(false), true) => fencing.broken += 1,
            (Some(false), false) => fencing.kept += 1,
            (None, true) => fencing.own += 1,
            _ => {}
        }
    }
    fencing
}

/// The local ports of a process's connections.
pub(super) fn ports(process: u32) -> BTreeSet<i32> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap().flatten();
    let links = files.filter_map(|file| fs::read_link(file.path()).ok());
    let sockets: BTreeSet<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |line: &str| {
        // Number, local and remote address, state, queues, timers, user, time-out and inode.
        let columns: Vec<_> = line.split_whitespace().collect();
        let [_, local, _, _, _, _, _, _, _, inode, ..] = columns[..] else { return None };
        i32::from_str_radix(local.split_once(':')?.1, 16).ok().filter(|_| sockets.contains(inode))
    };
    table.lines().filter_map(port).collect()
}

#[test]
fn rows_after_somebody_elses_claim_are_found() {
    let noted = |partition, port, claims| Noted { partition, port, claims };
    let (zombie, other) = (1, 2);
    let judged = |noted: &[Noted]| judge(noted.iter().copied(), &BTreeSet::from([zombie]));
    let before = [noted(7, zombie, false), noted(7, other, true), noted(7, other, false)];
    assert_eq!(judged(&before), Fencing { own: 1, broken: 0, kept: 1 });
    assert_eq!(judged(&[&before[..], &[noted(8, zombie, false)]].concat()), Fencing { own: 2, broken: 0, kept: 1 });
    assert_eq!(judged(&[&before[..], &[noted(7, zombie, false)]].concat()), Fencing { own: 1, broken: 1, kept: 1 });
    assert_eq!(judged(&[&before[..], &[noted(7, zombie, true), noted(7, zombie, false)]].concat()), Fencing { own: 1, broken: 0, kept: 1 });
}
