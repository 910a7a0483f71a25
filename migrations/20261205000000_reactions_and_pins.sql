-- Reactions to messages, and messages that are pinned in chats.
ALTER TYPE change_kind ADD VALUE 'reactions-changed' BEFORE 'settings-changed';

-- A change of the reactions to a message is an entry of its own kind.
ALTER TABLE updates
    ADD COLUMN reactions_to bigint,
    DROP CONSTRAINT updates_subject,
    ADD CONSTRAINT updates_subject CHECK (
        num_nonnulls(message_id, chat_number, with_user, reactions_to) = 1
    ),
    DROP CONSTRAINT updates_pkey,
    ADD PRIMARY KEY (application_id, user_id, timestamp)
        INCLUDE (message_id, chat_number, with_user, mention, reactions_to);

-- Nobody adds a reaction.
ALTER TABLE conversations ADD COLUMN reactions_off boolean NOT NULL DEFAULT false;

-- Which user has reacted to which message with which key. The reactions to a message are numbered in the
-- order in which they were added; the number of one that is removed is not used again.
CREATE TABLE reactions (
    application_id bigint NOT NULL,
    message_id     bigint NOT NULL,
    number         bigint NOT NULL,
    user_id        text   NOT NULL COLLATE "C",
    key            text   NOT NULL COLLATE "C",
    PRIMARY KEY (application_id, message_id, user_id, key)
);
-- The conditions always hold; they keep the planner, which may know nothing of the table yet, from taking
-- these indexes where no number or key is named.
CREATE UNIQUE INDEX reactions_by_number ON reactions (application_id, message_id, number)
    WHERE number > 0;
CREATE INDEX reactions_of_key ON reactions (application_id, message_id, key, number) INCLUDE (user_id)
    WHERE key IS NOT NULL;

-- How many users have reacted to a message with each key, in the order in which the keys came up. The row
-- stays when the last reaction is removed.
CREATE TABLE reaction_counts (
    application_id bigint    NOT NULL,
    message_id     bigint    NOT NULL,
    -- The last change of them.
    timestamp      bigint    NOT NULL,
    -- The last number given to a reaction.
    last           bigint    NOT NULL,
    keys           text[]    NOT NULL,
    counts         integer[] NOT NULL,
    -- The message is deleted, and rows of `reactions` are still to be: there may be thousands.
    to_clear       boolean   NOT NULL DEFAULT false,
    PRIMARY KEY (application_id, message_id),
    CONSTRAINT reaction_counts_of_keys CHECK (cardinality(keys) = cardinality(counts))
) WITH (fillfactor = 80);
CREATE INDEX reaction_counts_to_clear ON reaction_counts (application_id, message_id) WHERE to_clear;

-- The messages that are pinned in a chat. A pin is removed with its message.
CREATE TABLE pins (
    application_id bigint      NOT NULL,
    chat_number    bigint      NOT NULL,
    message_id     bigint      NOT NULL,
    -- The change that has pinned it.
    timestamp      bigint      NOT NULL,
    -- None where the application itself has.
    pinned_by      text        COLLATE "C",
    created        timestamptz NOT NULL,
    PRIMARY KEY (application_id, chat_number, message_id)
);
