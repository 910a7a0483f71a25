-- The messages that tell of changes of a chat: few among many. Only the log says who has posted them.
CREATE INDEX messages_announcing ON messages (application_id, conversation_id, number)
    WHERE system AND NOT deleted;
