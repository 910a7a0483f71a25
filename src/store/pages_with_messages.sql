-- A page of the timeline for each of many callers of one application, with the messages' present data: see
-- pages.rs. It sorts nothing, so that the first rows are on their way while the last ones are looked up.
SELECT request.ordinal        AS "ordinal!",
       newest.timestamp       AS "latest?",
       coalesce(timeline.timestamp, 0) AS "timeline_end!",
       coalesce(kept.trimmed, 0) AS "trimmed!",
       coalesce(kept.expired, 0) AS "expired!",
       page.update_timestamp  AS "update_timestamp?",
       page.message_id        AS "message_id?",
       page.chat              AS "chat?",
       page.with_user         AS "with_user?",
       page.mention           AS "mention?",
       page.reactions_to      AS "reactions_to?",
       page.conversation_id   AS "conversation_id?",
       page.number            AS "number?",
       page.timestamp         AS "timestamp?",
       page.sender            AS "sender?",
       page.recipient         AS "recipient?",
       page.chat_number       AS "chat_number?",
       page.created           AS "created?",
       page.edited            AS "edited?",
       page.deleted           AS "deleted?",
       page.reply_to          AS "reply_to?",
       page.mentions_all      AS "mentions_all?",
       page.system            AS "system?",
       page.data_bytes        AS "data_bytes?",
       CASE WHEN page.data_bytes <= request.data_max THEN page.text END       AS "text?",
       CASE WHEN page.data_bytes <= request.data_max THEN page.files END      AS "files?",
       CASE WHEN page.data_bytes <= request.data_max THEN page.attributes END AS "attributes?: Json<Box<RawValue>>",
       CASE WHEN page.data_bytes <= request.data_max THEN page.mentions END   AS "mentions?"
FROM (VALUES (1)) AS once
LEFT JOIN LATERAL (
    SELECT timestamp FROM changes WHERE application_id = $1 ORDER BY timestamp DESC LIMIT 1
) AS timeline ON TRUE
LEFT JOIN LATERAL (SELECT trimmed, expired FROM applications WHERE id = $1 LIMIT 1) AS kept ON TRUE
CROSS JOIN unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
    WITH ORDINALITY AS request (user_id, after, entries_max, data_max, ordinal)
LEFT JOIN LATERAL (
    SELECT u.timestamp
    FROM updates AS u
    WHERE u.application_id = $1 AND u.user_id = request.user_id
    ORDER BY u.timestamp DESC
    LIMIT 1
) AS newest ON TRUE
LEFT JOIN LATERAL (
    SELECT entry.timestamp AS update_timestamp,
           entry.message_id,
           entry.chat_number AS chat,
           entry.with_user,
           entry.mention,
           entry.reactions_to,
           m.*
    FROM (
        SELECT u.timestamp, u.message_id, u.chat_number, u.with_user, u.mention, u.reactions_to
        FROM updates AS u
        WHERE u.application_id = $1 AND u.user_id = request.user_id
          AND u.timestamp > request.after
          AND newest.timestamp > request.after
        ORDER BY u.timestamp
        LIMIT request.entries_max
    ) AS entry
    -- The limit makes this a lookup by key for each entry, whatever the planner assumes about a table
    -- that was never analyzed.
    LEFT JOIN LATERAL (
        SELECT found.conversation_id, found.number, found.timestamp, found.sender, found.recipient,
               found.chat_number, found.created, found.edited, found.deleted, found.reply_to,
               found.mentions_all, found.system, found.text, found.files, found.attributes, found.mentions,
               coalesce(octet_length(found.text), 0)
               + coalesce(octet_length(found.attributes::text), 0)
               + coalesce(octet_length(array_to_string(found.files, '","')), 0)
               + coalesce(octet_length(array_to_string(found.mentions, '","')), 0) AS data_bytes
        FROM messages AS found
        WHERE found.application_id = $1 AND found.id = entry.message_id
          -- A message with a larger id than the newest one that has expired costs no lookup.
          AND (found.id > kept.expired OR found.number >= (
              SELECT c.first FROM conversations AS c
              WHERE c.application_id = $1 AND c.id = found.conversation_id
              LIMIT 1
          ))
          -- A user who has left a chat reads none of its messages any more, and one who has joined late
          -- perhaps not the earlier ones. (This is a value and not
          -- EXISTS, which the planner may turn into a hash of all members.)
          AND (found.chat_number IS NULL OR (
              SELECT c.reads_after < found.number
              FROM chat_members AS c
              WHERE c.application_id = $1
                AND c.chat_number = found.chat_number
                AND c.user_id = request.user_id AND c.departed IS NULL
              LIMIT 1
          ))
        LIMIT 1
    ) AS m ON TRUE
) AS page ON TRUE
