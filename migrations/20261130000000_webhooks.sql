-- Servers of applications to which the service brings the feed.
CREATE TABLE webhooks (
    application_id  bigint      NOT NULL,
    id              bigint      NOT NULL,
    url             text        NOT NULL,
    -- The kinds of changes that it gets; none: all.
    kinds           text[],
    with_messages   boolean     NOT NULL,
    with_recipients boolean     NOT NULL,
    paused          boolean     NOT NULL,
    created         timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- It has taken every entry up to here.
    cursor          bigint      NOT NULL,
    -- How many entries it is offered next, from when they are sent until it has taken them.
    batch           smallint,
    -- Raised by every change that its application makes: what was read before is no longer so.
    revision        bigint      NOT NULL DEFAULT 0,
    secret          bytea       NOT NULL,
    -- Those before, the newest first, each of which counts beside it until then.
    old_secrets       bytea[]       NOT NULL DEFAULT '{}',
    old_secrets_until timestamptz[] NOT NULL DEFAULT '{}',
    -- How often in a row it has failed, when it may be sent something again, and the last failure of all.
    failures        integer     NOT NULL DEFAULT 0,
    retry_at        timestamptz,
    failed          timestamptz,
    failure         text,
    PRIMARY KEY (application_id, id)
) WITH (
    -- A hook moves its cursor some times a second. Its row stays where it is.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
