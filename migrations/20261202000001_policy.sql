-- What an application allows its users, and what it forbids each of them.
ALTER TABLE applications
    ADD COLUMN personal         text    NOT NULL DEFAULT 'anyone',
    ADD COLUMN create_chats     text    NOT NULL DEFAULT 'users',
    ADD COLUMN add_members      text    NOT NULL DEFAULT 'moderators',
    ADD COLUMN sends_per_minute integer,
    -- No user of the application is suspended for longer.
    ADD COLUMN suspensions_end  timestamptz,
    -- The last change of what a user is forbidden: who has read them up to here knows them all.
    ADD COLUMN restricted       bigint  NOT NULL DEFAULT 0;

CREATE TABLE user_restrictions (
    application_id  bigint NOT NULL,
    user_id         text   NOT NULL COLLATE "C",
    -- The change that has made it what it is.
    timestamp       bigint NOT NULL,
    -- Until when the user reads and does not write.
    suspended_until timestamptz,
    -- Tokens that were issued before do not identify the user any more.
    tokens_since    timestamptz,
    PRIMARY KEY (application_id, user_id)
);
-- The condition always holds; it keeps the planner, which may know nothing of the table yet, from taking this
-- index for a lookup by user.
CREATE INDEX user_restrictions_by_time ON user_restrictions (application_id, timestamp)
    WHERE timestamp IS NOT NULL;

-- Whether the application has opened the personal conversation, which counts where its policy says so.
ALTER TABLE conversations ADD COLUMN opened boolean NOT NULL DEFAULT false;

ALTER TYPE change_kind ADD VALUE 'conversation-opened' AFTER 'settings-changed';
ALTER TYPE change_kind ADD VALUE 'user-restricted' AFTER 'conversation-opened';
ALTER TYPE change_kind ADD VALUE 'application-changed' AFTER 'user-restricted';
