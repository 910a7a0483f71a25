-- A database as the first migration and the service have left it: jane and john have written to each
-- other, a message was edited, one deleted and one marked as read; a chat has lost a member. Later
-- migrations run on it. Its timestamps and ids are those of the sequences' first block.
INSERT INTO applications (id, name, token_hash, chats, last_chat)
VALUES (4096, 'shop', decode(repeat('ab', 32), 'hex'), 0, 0);
UPDATE applications SET chats = 1, last_chat = 1 WHERE id = 1;
INSERT INTO conversations
    (application_id, id, timestamp, created, least, greatest, least_read, greatest_read)
VALUES (1, 1, 5, '2026-12-01Z', 'jane', 'john', 0, 2), (4096, 12, 12, '2026-12-01Z', 'ann', 'ann', 0, 0);
INSERT INTO conversations
    (application_id, id, timestamp, created, chat_number, name, owner, members, creator, idempotency_key,
     request_digest)
VALUES (1, 6, 9, '2026-12-01Z', 1, 'Team', 'jane', 1, 'jane', 'k', decode(repeat('cd', 32), 'hex'));
INSERT INTO chat_members (application_id, chat_number, user_id, joined, departed)
VALUES (1, 1, 'jane', 6, NULL), (1, 1, 'john', 6, 9), (1, 1, 'kim', 9, 10);
INSERT INTO messages
    (application_id, id, conversation_id, number, timestamp, sender, recipient, chat_number, created,
     edited, text, files, attributes, reply_to, deleted, idempotency_key, request_digest)
VALUES
    (1, 1, 1, 1, 3, 'jane', 'john', NULL, '2026-12-01Z', '2026-12-02Z', 'Hello, John', '{a,b}', '{"k":1}',
     NULL, FALSE, 'k', decode(repeat('ef', 32), 'hex')),
    (1, 2, 1, 2, 4, 'john', 'jane', NULL, '2026-12-01Z', NULL, NULL, NULL, NULL, NULL, TRUE, NULL, NULL),
    (1, 3, 6, 1, 7, 'john', NULL, 1, '2026-12-01Z', NULL, 'Hi all', NULL, NULL, NULL, FALSE, NULL, NULL),
    (1, 4, 6, 2, 8, NULL, NULL, 1, '2026-12-01Z', NULL, 'John leaves', NULL, NULL, 3, FALSE, NULL, NULL),
    (4096, 5, 12, 1, 12, 'ann', 'ann', NULL, '2026-12-01Z', NULL, 'a note', NULL, NULL, NULL, FALSE, NULL,
     NULL);
INSERT INTO changes
    (application_id, timestamp, kind, message_id, conversation_id, actor, created, files)
VALUES
    (1, 1, 'message-created', 1, 1, 'jane', '2026-12-01Z', '{a,b}'),
    (1, 2, 'message-created', 2, 1, 'john', '2026-12-01Z', NULL),
    (1, 3, 'message-edited', 1, 1, 'jane', '2026-12-02Z', NULL),
    (1, 4, 'message-deleted', 2, 1, 'john', '2026-12-02Z', NULL),
    (1, 5, 'positions-moved', NULL, 1, 'john', '2026-12-02Z', NULL),
    (1, 6, 'chat-created', NULL, 6, 'jane', '2026-12-02Z', NULL),
    (1, 7, 'message-created', 3, 6, 'john', '2026-12-02Z', NULL),
    (1, 8, 'message-created', 4, 6, NULL, '2026-12-02Z', NULL),
    (1, 9, 'chat-changed', NULL, 6, 'john', '2026-12-02Z', NULL),
    (1, 10, 'raised', NULL, NULL, NULL, '2026-12-03Z', NULL),
    (4096, 12, 'message-created', 5, 12, 'ann', '2026-12-03Z', NULL);
INSERT INTO updates (application_id, user_id, timestamp, message_id, chat_number, with_user)
VALUES
    (1, 'jane', 1, 1, NULL, NULL), (1, 'john', 1, 1, NULL, NULL), (1, 'jane', 2, 2, NULL, NULL),
    (1, 'john', 2, 2, NULL, NULL), (1, 'jane', 3, 1, NULL, NULL), (1, 'john', 3, 1, NULL, NULL),
    (1, 'jane', 4, 2, NULL, NULL), (1, 'john', 4, 2, NULL, NULL), (1, 'jane', 5, NULL, NULL, 'john'),
    (1, 'john', 5, NULL, NULL, 'jane'), (1, 'jane', 6, NULL, 1, NULL), (1, 'john', 6, NULL, 1, NULL),
    (1, 'jane', 7, 3, NULL, NULL), (1, 'john', 7, 3, NULL, NULL), (1, 'jane', 8, 4, NULL, NULL),
    (1, 'john', 8, 4, NULL, NULL), (1, 'jane', 9, NULL, 1, NULL), (1, 'john', 9, NULL, 1, NULL),
    (4096, 'ann', 12, 5, NULL, NULL);
INSERT INTO search_entries (application_id, message_id, terms, terms_version)
VALUES (1, 1, $$'hello' 'john' ':u1:jane' ':u1:john' ':a0:u1:jane' ':a0:u1:john'$$, 2);
INSERT INTO followers (application_id, name, cursor)
VALUES (4096, 'search-index', 0), (4096, 'file-events', 0);
UPDATE followers SET cursor = 5 WHERE application_id = 1 AND name = 'search-index';
SELECT setval('timeline', 1), setval('message_ids', 1);
