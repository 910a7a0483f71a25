-- Erasures of users: what is stored of a user is deleted, or names a pseudonym from then on.
ALTER TYPE change_kind ADD VALUE 'user-erased' BEFORE 'settings-changed';

-- Whether one of the application's users is being erased.
ALTER TABLE applications ADD COLUMN erasing boolean NOT NULL DEFAULT false;

-- Of each user whom an application has had erased: the last erasure.
CREATE TABLE erasures (
    application_id bigint      NOT NULL,
    -- A keyed digest of the user's id. It stays, so that the user's earlier tokens are refused for ever.
    user_digest    bytea       NOT NULL CHECK (octet_length(user_digest) = 32),
    -- The user; none once it is erased.
    user_id        text        COLLATE "C",
    -- What names the user from then on.
    pseudonym      text        NOT NULL COLLATE "C",
    -- The change by which the application has requested it. Tokens that were issued before then do not identify
    -- the user any more.
    timestamp      bigint      NOT NULL,
    requested      timestamptz NOT NULL,
    finished       timestamptz,
    -- Whether the messages of the other users of its personal conversations are deleted, too.
    deletes_others boolean     NOT NULL,

    -- How far it has come: its step, and the place in it (src/store/erasing.rs).
    step           smallint    NOT NULL DEFAULT 0,
    place          bigint      NOT NULL DEFAULT 0,
    place_within   bigint      NOT NULL DEFAULT 0,
    -- What it has erased.
    messages       bigint      NOT NULL DEFAULT 0,
    conversations  bigint      NOT NULL DEFAULT 0,
    memberships    bigint      NOT NULL DEFAULT 0,
    reactions      bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (application_id, user_digest)
) WITH (
    -- Its row changes with each piece of the work, and stays where it is.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
CREATE INDEX erasures_running ON erasures (application_id, user_digest) WHERE user_id IS NOT NULL;
-- The condition always holds; it keeps the planner, which may know nothing of the table yet, from taking this
-- index for a lookup by user.
CREATE INDEX erasures_by_time ON erasures (application_id, timestamp) WHERE timestamp IS NOT NULL;
