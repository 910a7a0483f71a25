-- The replies to a message, by number. A deleted reply loses what it replies to, and leaves the index with
-- it; an edit touches no index.
CREATE INDEX messages_replies ON messages (application_id, reply_to, number) WHERE reply_to IS NOT NULL;
