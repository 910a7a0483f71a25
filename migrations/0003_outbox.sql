-- Events that the broker has not confirmed yet. Rows are inserted and deleted, never changed;
-- the table is short-lived by nature, so vacuum looks at it by count and not by share.
CREATE TABLE outbox (
    application_id bigint      NOT NULL,
    timestamp      bigint      NOT NULL,
    index          integer     NOT NULL,
    file_id        text        NOT NULL COLLATE "C",
    in_use         boolean     NOT NULL,
    created        timestamptz NOT NULL,
    PRIMARY KEY (application_id, timestamp, index)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 5000
);

-- The publisher reads in the order of the timeline, over all applications.
CREATE INDEX outbox_order ON outbox (timestamp, index);
