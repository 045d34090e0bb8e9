-- Which tokens no longer count: one of them by its id, or all older ones of a user. The only copy that nothing forgets, since
-- Redis may. Few rows, read as a whole when a node starts, and then what changed.
-- Bytes decide, not a language, so that all adapters list in the same order.
CREATE TABLE revocations (
    -- `token` or `user`; a name may be that of both.
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- Of a user: tokens from before do not count. Seconds since 1970, as is `until`.
    issued_before bigint,
    -- From when on it need not be remembered.
    until bigint NOT NULL,
    -- When it last was revoked, by the database's clock. Milliseconds since 1970, never going back.
    changed_ms bigint NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE INDEX revocations_by_end ON revocations (until);
CREATE INDEX revocations_by_change ON revocations (changed_ms);
