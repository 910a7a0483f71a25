-- Search takes a text by whole characters, as a reader sees them, and folds it as Unicode does
-- (src/search/words.rs). The terms of all entries so far mean something else. So every text is pending
-- again, where each search finds it, until the indexer has built the index anew. The lock keeps an
-- indexer out, and searches are kept out only while the index is emptied, at the end.
LOCK TABLE search_entries IN SHARE ROW EXCLUSIVE MODE;

INSERT INTO search_pending (application_id, message_id, sender, recipient, chat_number)
SELECT application_id, id, sender, recipient, chat_number FROM messages WHERE text IS NOT NULL;

TRUNCATE search_entries;

-- Which terms an entry has. There is no default: a replica of a version before, which may still run,
-- cannot write the terms that it knows. Its indexer fails, what it has taken stays pending, and the
-- indexer of another replica takes its turn.
ALTER TABLE search_entries ADD COLUMN terms_version smallint NOT NULL CHECK (terms_version = 2);
