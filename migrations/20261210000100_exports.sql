-- What an export of a user looks up by the user.

-- The chats into which messages of a sender were imported, who need not have been a member.
CREATE INDEX messages_imported_of_sender ON messages (application_id, sender, conversation_id)
    INCLUDE (chat_number)
    WHERE import_key IS NOT NULL AND chat_number IS NOT NULL AND sender IS NOT NULL AND NOT deleted;

CREATE INDEX pins_of_user ON pins (application_id, pinned_by, timestamp) WHERE pinned_by IS NOT NULL;

-- The condition always holds; it keeps the planner from taking this index where no user is named.
CREATE INDEX chat_bans_of_user ON chat_bans (application_id, user_id, chat_number) WHERE user_id IS NOT NULL;
