-- The branch of PostgreSQL's history on which the counters stand: its system identifier and timeline
-- id. A server on another one may have lost commits (src/store/branch.rs).
CREATE TABLE branch (
    is_the_only_row boolean     PRIMARY KEY DEFAULT true CHECK (is_the_only_row),
    system          bigint      NOT NULL,
    timeline        integer     NOT NULL,
    since           timestamptz NOT NULL DEFAULT now()
);

-- The last number given to a chat of the application. It is lifted where chats may have been lost, and
-- `chats` counts those that are there.
ALTER TABLE applications ADD COLUMN last_chat bigint NOT NULL DEFAULT 0;
UPDATE applications SET last_chat = chats;

-- One row a committed batch, inserted and later deleted. The row of a writer that each batch rewrote
-- left its versions behind while any old snapshot was open, and every batch passed over all of them.
DROP TABLE writers;
CREATE TABLE batches (
    writer    uuid        NOT NULL,
    batch     bigint      NOT NULL,
    committed timestamptz NOT NULL,
    PRIMARY KEY (writer, batch)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);

-- The last number given to a message of a chat is that of its newest message, for the same reason.
ALTER TABLE chats DROP COLUMN messages;
