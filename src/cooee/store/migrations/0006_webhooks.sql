-- Where an account's replies go (wire contract §7), and how far each of them got.

-- One row an account that has, or had, a webhook. An engine takes a whole row (`owner`), not single deliveries: so one
-- engine at a time calls a receiver, knows how it does, and keeps the order of replies.
CREATE TABLE webhook (
    account_id    BIGINT PRIMARY KEY,
    state         SMALLINT NOT NULL,                -- 1 on, 2 taken away (model/webhook.py)
    version       BIGINT NOT NULL,                  -- rises with every change by a person
    url           TEXT NOT NULL,                    -- encrypted with the key file: it may hold a secret
    username      TEXT NOT NULL,
    secret        TEXT NOT NULL,                    -- the password, encrypted; '' for none
    changed_at    BIGINT NOT NULL,
    owner         BIGINT,                           -- the engine that calls it
    failures      BIGINT NOT NULL,                  -- in a row, over all its replies
    down_since    BIGINT,                           -- the first of these
    blocked_until BIGINT NOT NULL                   -- nothing is tried before; 0: not blocked
);
CREATE INDEX webhook_owner ON webhook (owner) WHERE owner IS NOT NULL;

-- A row for each reply that a webhook is told of; written in the reply's own transaction. A failure is recorded only
-- where `attempts` is still what the engine saw, so one that lost its lease changes nothing.
CREATE TABLE webhook_delivery (
    account_id BIGINT NOT NULL,
    reply_id   BIGINT NOT NULL,
    state      SMALLINT NOT NULL,                   -- 1 waiting, 2 delivered, 3 parked (model/webhook.py)
    attempts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at    BIGINT NOT NULL,                     -- when it is tried next, while it waits
    give_up_at BIGINT,                              -- when it is parked; NULL before the first failure
    last_at    BIGINT,                              -- the last attempt, and what came of it:
    status     SMALLINT,                            -- HTTP status, NULL where nobody answered
    reason     TEXT NOT NULL,                       -- in a few words, '' for delivered
    excerpt    TEXT NOT NULL,                       -- beginning of a wrong answer
    -- [sqlite]
    PRIMARY KEY (account_id, reply_id)
) WITHOUT ROWID;
    -- [postgres]
    PRIMARY KEY (account_id, reply_id)
);
-- [both]
CREATE INDEX webhook_delivery_due ON webhook_delivery (account_id, next_at, reply_id) WHERE state = 1;
CREATE INDEX webhook_delivery_parked ON webhook_delivery (account_id, last_at, reply_id) WHERE state = 3;
