-- An erasure walks the personal conversations that have its pseudonym, in the order of their ids, some at a
-- time. Pseudonyms begin like this (src/domain/erasure.rs), so no other conversation is in these indexes. Their
-- key is the rest of the pseudonym: so no other index fits the walk, whatever the planner assumes.
CREATE INDEX conversations_of_erased_least ON conversations (application_id, substr(least, 8), id)
    WHERE chat_number IS NULL AND starts_with(least, 'erased:');
CREATE INDEX conversations_of_erased_greatest ON conversations (application_id, substr(greatest, 8), id)
    WHERE chat_number IS NULL AND least <> greatest AND starts_with(greatest, 'erased:');
