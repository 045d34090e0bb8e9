-- One row a partition of the events log: who may write, where it goes on, and the numbering of its destinations.
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- Which incarnation of the log. Not part of the key: a partition has one, and another is accepted or refused.
    log TEXT NOT NULL,
    -- None until the partition is claimed.
    owner BLOB,
    -- The offset after the last record that was stored or passed over.
    next INTEGER NOT NULL DEFAULT 0,
    -- 64 random bits, kept as a signed number.
    epoch INTEGER NOT NULL,
    -- Key and Kafka timestamp of record `next - 1`, by which a log that was made anew is told from the old one.
    mark_key BLOB,
    mark_timestamp_ms INTEGER,
    UNIQUE (topic, number)
) STRICT;

-- The counter of each destination. It outlives the messages, so that no sequence is ever given twice.
-- Other tables name a destination by its number: a name of up to 200 characters would stand in every index entry.
CREATE TABLE destinations (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL
) STRICT;

-- A rowid table on purpose. Rows of all destinations go to the end of one tree, and only small index entries are
-- spread: against WITHOUT ROWID (or one key made of both numbers), batches of 500 wrote half the bytes, and bodies
-- from 1 KB on don't spill into pages of their own. Reads pay a look-up a row, which is microseconds.
CREATE TABLE messages (
    destination INTEGER NOT NULL REFERENCES destinations (id),
    sequence INTEGER NOT NULL,
    id BLOB NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    sender TEXT,
    session TEXT,
    content_type TEXT,
    -- JSON, [["name","value"], …] in the client's order; none if there are none.
    headers TEXT,
    body BLOB NOT NULL,
    PRIMARY KEY (destination, sequence)
) STRICT;

-- What was stored within the idempotency window, and from which record; knows nothing of how long messages are kept.
-- No foreign keys: both numbers were read in the transaction that writes them.
CREATE TABLE message_ids (
    id BLOB PRIMARY KEY,
    sequence INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX message_ids_by_age ON message_ids (stored_ms);
