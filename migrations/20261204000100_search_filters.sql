-- Searches are narrowed by sender, files and time: the terms of a message have another form. So the index
-- is built anew, as `messages search rebuild` does it: the follower begins at the start of each timeline,
-- and until it is through, searches read from the timeline what the index lacks.
TRUNCATE search_entries;
ALTER TABLE search_entries
    DROP CONSTRAINT search_entries_terms_version_check,
    ADD CONSTRAINT search_entries_terms_version_check CHECK (terms_version = 3);
UPDATE followers SET cursor = 0 WHERE name = 'search-index';
