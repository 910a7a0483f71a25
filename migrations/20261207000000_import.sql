-- The import of conversations from elsewhere.

-- A message that was imported: the application has made it, and told no user of it.
ALTER TYPE change_kind ADD VALUE 'message-imported' AFTER 'message-created';

ALTER TABLE conversations
    -- Whether its messages are being imported: then nobody sees it yet, and nobody but the application
    -- writes. None where nothing was ever imported.
    ADD COLUMN importing boolean;

ALTER TABLE messages
    -- The key of the line that it was imported from, in its conversation.
    ADD COLUMN import_key text COLLATE "C";
CREATE UNIQUE INDEX messages_imported ON messages (application_id, conversation_id, import_key)
    WHERE import_key IS NOT NULL;

-- Who is to be a member of a chat once it is imported.
CREATE TABLE importing_members (
    application_id bigint    NOT NULL,
    chat_number    bigint    NOT NULL,
    user_id        text      NOT NULL COLLATE "C",
    role           chat_role NOT NULL,
    PRIMARY KEY (application_id, chat_number, user_id)
);
