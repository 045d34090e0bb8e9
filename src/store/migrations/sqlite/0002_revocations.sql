-- Which tokens no longer count: one of them by its id, or all older ones of a user. The only copy that nothing forgets, since
-- Redis may. Few rows, read as a whole when a node starts, and then what changed.
CREATE TABLE revocations (
    -- `token` or `user`; a name may be that of both.
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Of a user: tokens from before do not count. Seconds since 1970, as is `until`.
    issued_before INTEGER,
    -- From when on it need not be remembered.
    until INTEGER NOT NULL,
    -- When it last was revoked. Milliseconds since 1970, never going back.
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_by_end ON revocations (until);
CREATE INDEX revocations_by_change ON revocations (changed_ms);
