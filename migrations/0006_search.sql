-- Search: what each message can be found by, kept by the indexer and never by the commit of a change.
--
-- Changes of texts that the index does not have yet: inserted with the change, deleted with its
-- entry. Nothing in it is unique, so that an insert never waits for a delete; what a search must know
-- of a message to tell whether the caller may read it stands here.
CREATE TABLE search_pending (
    application_id bigint NOT NULL,
    message_id     bigint NOT NULL,
    sender         text   COLLATE "C",
    recipient      text   COLLATE "C",
    chat_number    bigint
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 5000,
    -- Giving room back to the system takes a lock that a batch would wait for.
    vacuum_truncate = false
);

-- A search reads the rows of its range of ids, however large a backlog has left the table.
CREATE INDEX search_pending_order ON search_pending (application_id, message_id);

-- The terms of a text, and with them those of its readers and of its place among all messages
-- (src/search/index.rs). The list of entries that are not merged yet is read by every search, so it
-- is kept short.
CREATE TABLE search_entries (
    application_id bigint   NOT NULL,
    message_id     bigint   NOT NULL,
    terms          tsvector NOT NULL,
    PRIMARY KEY (application_id, message_id)
);
CREATE INDEX search_terms ON search_entries USING gin (terms) WITH (gin_pending_list_limit = 2048);

INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
SELECT application_id, id, sender, recipient, chat_number FROM messages WHERE text IS NOT NULL;
