-- Messages that may match: entries that are looked up ($2) and match ($3), and changes that the index
-- does not have yet. Both are within a range of ids ($4, $5). The search is in all that a user ($6) may
-- read, or in a conversation ($7, or $8 and $9). Returns the messages of the newest $10 candidates that are there,
-- and the ids of the next $11 candidates.
WITH follower AS MATERIALIZED (
    SELECT coalesce(
        (SELECT cursor FROM followers WHERE application_id = $1 AND name = $12), 0
    ) AS cursor
),
looked_up AS MATERIALIZED (
    SELECT message_id, terms @@ ($3::text)::tsquery AS matches
    FROM search_entries
    WHERE application_id = $1 AND terms @@ ($2::text)::tsquery
      AND message_id >= $4 AND message_id < $5
),
-- Of these conversations, every change after the cursor counts. Of all others of a user, the changes
-- since the user joined are the user's updates, but for those that were imported.
conversation AS MATERIALIZED (
    SELECT c.id
    FROM chat_members AS m
    CROSS JOIN LATERAL (
        SELECT id FROM conversations
        WHERE application_id = $1 AND chat_number = m.chat_number
        LIMIT 1
    ) AS c
    WHERE m.application_id = $1 AND m.user_id = $6 AND m.departed IS NULL
      AND m.joined > (SELECT cursor FROM follower)
    UNION ALL
    -- Of imported ones there are no updates.
    SELECT c.id
    FROM updates AS u
    CROSS JOIN LATERAL (
        SELECT least($6, u.with_user) COLLATE "C" AS least,
               greatest($6, u.with_user) COLLATE "C" AS greatest
        OFFSET 0
    ) AS pair
    CROSS JOIN LATERAL (
        SELECT id FROM conversations
        WHERE application_id = $1 AND least = pair.least AND greatest = pair.greatest
          AND chat_number IS NULL
        LIMIT 1
    ) AS c
    WHERE u.application_id = $1 AND u.user_id = $6 AND u.timestamp > (SELECT cursor FROM follower)
      AND u.with_user IS NOT NULL
    UNION ALL
    SELECT id FROM conversations WHERE application_id = $1 AND chat_number = $7
    UNION ALL
    SELECT id FROM conversations
    WHERE application_id = $1 AND least = $8 AND greatest = $9 AND chat_number IS NULL
),
candidates AS MATERIALIZED (
    SELECT message_id FROM looked_up WHERE matches
    UNION
    SELECT message_id
    FROM updates
    WHERE application_id = $1 AND user_id = $6 AND timestamp > (SELECT cursor FROM follower)
      AND message_id >= $4 AND message_id < $5
    UNION
    SELECT message_id
    FROM changes
    WHERE application_id = $1 AND timestamp > (SELECT cursor FROM follower)
      AND message_id >= $4 AND message_id < $5 AND kind <> 'reactions-changed'
      AND EXISTS (SELECT FROM conversation)
      AND conversation_id IN (SELECT id FROM conversation)
)
SELECT (SELECT count(*) FROM looked_up) AS "looked_up!",
       ARRAY(
           SELECT message_id FROM candidates ORDER BY message_id DESC OFFSET $10 LIMIT $11
       ) AS "rest!: Vec<i64>",
       found.message AS "message?: MessageRow"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT m.message
    FROM (SELECT message_id FROM candidates ORDER BY message_id DESC LIMIT $10) AS candidate
    CROSS JOIN LATERAL (
        -- The limit keeps this a lookup by key.
        SELECT message FROM messages AS message
        WHERE application_id = $1 AND id = candidate.message_id
          -- What is being imported is not there yet.
          AND (import_key IS NULL OR (
              SELECT c.importing IS NOT TRUE FROM conversations AS c
              WHERE c.application_id = $1 AND c.id = message.conversation_id
              LIMIT 1
          ))
          -- What has expired is not there any more.
          AND (id > (SELECT expired FROM applications WHERE id = $1) OR number >= (
              SELECT c.first FROM conversations AS c
              WHERE c.application_id = $1 AND c.id = message.conversation_id
              LIMIT 1
          ))
        LIMIT 1
    ) AS m
    ORDER BY candidate.message_id DESC
) AS found ON TRUE
