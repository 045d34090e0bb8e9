-- One row a partition of the events log: who may write, where it goes on, and the numbering of its destinations.
-- All of it changes with every batch and none of it but `id` and the key is indexed, so with room in its page an update
-- stays there (HOT) and no index hears of it.
CREATE TABLE partitions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    number bigint NOT NULL,
    -- Which incarnation of the log. Not part of the key: a partition has one, and another is accepted or refused.
    log text NOT NULL,
    -- None until the partition is claimed.
    owner uuid,
    -- The offset after the last record that was stored or passed over.
    next bigint NOT NULL DEFAULT 0,
    -- 64 random bits, kept as a signed number.
    epoch bigint NOT NULL,
    -- Key and Kafka timestamp of record `next - 1`, by which a log that was made anew is told from the old one.
    mark_key bytea,
    mark_timestamp_ms bigint,
    UNIQUE (topic, number)
) WITH (fillfactor = 20);

-- The counter of each destination. It outlives the messages, so that no sequence is ever given twice. No SEQUENCE: that
-- leaves a hole for every transaction that fails, and is seen before what it numbers (only `id` may have holes).
-- Other tables name a destination by its number: a name of up to 200 characters would stand in every index entry.
-- Bytes decide, not a language, so that all adapters list in the same order. Counters change with every batch (HOT again).
CREATE TABLE destinations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    head bigint NOT NULL
) WITH (fillfactor = 60);

-- Written once and removed from the front. Within a destination the key rises, which PostgreSQL notices when it splits
-- index pages, so they stay full; and what retention took is vacuumed long before it is a fifth of the table.
-- No foreign key: the number was read in the transaction that writes it, and a check for each row is a fifth of the time.
CREATE TABLE messages (
    destination bigint NOT NULL,
    sequence bigint NOT NULL,
    timestamp_ms bigint NOT NULL,
    id uuid NOT NULL,
    sender text,
    session text,
    content_type text,
    -- JSON, [["name","value"], …] in the client's order; none if there are none. As text, since a JSON value can't hold
    -- every text that a header may be.
    headers text,
    body bytea NOT NULL,
    PRIMARY KEY (destination, sequence)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

-- What was stored within the idempotency window, and from which record; knows nothing of how long messages are kept.
CREATE TABLE message_ids (
    id uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    partition bigint NOT NULL,
    record_offset bigint NOT NULL,
    stored_ms bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);

-- It grows at one end and is emptied at the other, so its pages are full and then free as a whole. A BRIN index would be
-- smaller, until rows of today fill the places of those that went.
CREATE INDEX message_ids_by_age ON message_ids (stored_ms);

-- When a node last began to apply retention, by the database's clock: one does it for all. A single row.
CREATE TABLE retention (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    begun_ms bigint NOT NULL
);

-- Stores a batch, in one trip: no process that stops can leave a transaction open, and its locks with it.
-- A function, since its statements follow each other: each sees what was committed before it began. In one statement
-- all parts would look at the moment before the partition's lock was had, and a batch that is sent again while its
-- first sending is still at work would not find its own ids.
-- Locks are taken in the same order by all: the partition, destinations by name, ids by value. So no two batches can
-- wait for each other, whatever they hold.
-- Another version of it gets another name, because nodes of the version before go on calling this one.
CREATE FUNCTION append_1(
    of_topic text, of_number bigint, of_log text, by_owner uuid, at_least bigint, new_next bigint, new_key bytea, new_timestamp_ms bigint,
    -- The destinations of the batch, each once, by name.
    names text[],
    -- One of each for a message; `places` says which of the names.
    offsets bigint[], ids uuid[], places integer[], timestamps bigint[], senders text[], sessions text[], content_types text[],
    header_lists text[], bodies bytea[],
    -- fenced, behind or stored; and for each message what became of it: 0 stored now, 1 stored from this very offset before,
    -- 2 known, 3 passed over.
    OUT verdict text, OUT numbering bigint, OUT outcomes smallint[], OUT sequences bigint[]
-- Planned for a row or two, a join compares each with each.
) LANGUAGE plpgsql SET enable_nestloop = off AS $$
DECLARE
    mine record;
    numbers bigint[];
BEGIN
    -- If a claim comes first this waits for it, looks at the row again, and finds another owner in it.
    SELECT p.id, p.next, p.epoch INTO mine FROM partitions AS p
    WHERE p.topic = of_topic AND p.number = of_number AND p.log = of_log AND p.owner = by_owner
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        verdict := 'fenced';
        RETURN;
    END IF;
    IF mine.next < at_least THEN
        verdict := 'behind';
        RETURN;
    END IF;

    WITH looked_up AS (
        SELECT b.*, known.sequence AS known_sequence, known.partition AS known_partition, known.record_offset AS known_offset
        FROM unnest(offsets, ids, places) WITH ORDINALITY AS b (record_offset, id, place, line)
        -- Apart, so that it stays a look-up for each id, however small the table was when this was planned.
        LEFT JOIN LATERAL (SELECT i.* FROM message_ids AS i WHERE i.id = b.id OFFSET 0) AS known ON true
    ), judged AS (
        SELECT *, known_sequence IS NULL AND record_offset >= mine.next AS is_fresh FROM looked_up
    ), ranked AS (
        -- Of an id that comes twice the first is new.
        SELECT *, is_fresh AND row_number() OVER (PARTITION BY id, is_fresh ORDER BY line) = 1 AS is_new FROM judged
    ), heads AS (
        INSERT INTO destinations AS d (name, head) SELECT names[place], count(*) FROM ranked WHERE is_new GROUP BY place ORDER BY place
        ON CONFLICT (name) DO UPDATE SET head = d.head + excluded.head
        RETURNING d.id, d.name, d.head
    ), numbered AS (
        SELECT r.*, h.id AS destination, h.head - count(*) FILTER (WHERE r.is_new) OVER (PARTITION BY r.place)
            + count(*) FILTER (WHERE r.is_new) OVER (PARTITION BY r.place ORDER BY r.line) AS own_sequence
        FROM ranked AS r LEFT JOIN heads AS h ON h.name = names[r.place]
    ), answered AS (
        SELECT line, destination,
            coalesce(known_sequence, first_value(own_sequence) OVER (PARTITION BY id, is_fresh ORDER BY line), 0) AS sequence,
            CASE WHEN known_partition = mine.id AND known_offset = record_offset THEN 1
                 WHEN known_sequence IS NOT NULL THEN 2
                 WHEN NOT is_fresh THEN 3
                 WHEN is_new THEN 0
                 ELSE 2 END::smallint AS outcome
        FROM numbered
    )
    SELECT array_agg(a.outcome ORDER BY a.line), array_agg(a.sequence ORDER BY a.line), array_agg(a.destination ORDER BY a.line)
    INTO outcomes, sequences, numbers FROM answered AS a;

    INSERT INTO messages (destination, sequence, timestamp_ms, id, sender, session, content_type, headers, body)
    SELECT b.number, b.sequence, b.timestamp_ms, b.id, b.sender, b.session, b.content_type, b.headers, b.body
    FROM unnest(outcomes, numbers, sequences, timestamps, ids, senders, sessions, content_types, header_lists, bodies)
        AS b (outcome, number, sequence, timestamp_ms, id, sender, session, content_type, headers, body)
    WHERE b.outcome = 0;

    INSERT INTO message_ids (id, sequence, partition, record_offset, stored_ms)
    SELECT b.id, b.sequence, mine.id, b.record_offset, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM unnest(outcomes, ids, sequences, offsets) AS b (outcome, id, sequence, record_offset)
    WHERE b.outcome = 0 ORDER BY b.id;

    -- The mark describes record `next - 1`, so it goes with the position. A batch that is read again has the same.
    UPDATE partitions AS p SET next = new_next, mark_key = new_key, mark_timestamp_ms = new_timestamp_ms
    WHERE p.id = mine.id AND p.next < new_next;

    verdict := 'stored';
    numbering := mine.epoch;
END
$$;
