-- The server of an application that is asked before a user's message is sent or edited.
CREATE TABLE hooks (
    application_id bigint      PRIMARY KEY,
    url            text        NOT NULL,
    timeout_ms     integer     NOT NULL,
    -- What becomes of a message that the server has not judged.
    on_failure     text        NOT NULL CHECK (on_failure IN ('accept', 'reject')),
    secret         bytea       NOT NULL,
    created        timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The last failure of all.
    failed         timestamptz,
    failure        text
);
