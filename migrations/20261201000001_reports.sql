-- What users tell their application of messages.
ALTER TYPE change_kind ADD VALUE 'message-reported' BEFORE 'chat-created';

CREATE TABLE reports (
    application_id bigint      NOT NULL,
    -- The change that has made it.
    timestamp      bigint      NOT NULL,
    message_id     bigint      NOT NULL,
    reporter       text        NOT NULL COLLATE "C",
    reason         text        NOT NULL,
    text           text,
    created        timestamptz NOT NULL,
    resolved       timestamptz,
    PRIMARY KEY (application_id, timestamp)
);

-- Each user reports a message once. The condition always holds; it keeps the planner, which may know nothing
-- of the table yet, from taking this index for a lookup by timestamp.
CREATE UNIQUE INDEX reports_of_message ON reports (application_id, message_id, reporter)
    WHERE reporter IS NOT NULL;

CREATE INDEX reports_open ON reports (application_id, timestamp) WHERE resolved IS NULL;
