-- The web console: who operates this installation, who is signed in, messages that are being written, and counts
-- that its plots are drawn from.

CREATE TABLE operator (
    id            BIGINT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL
);

-- Either an account's or an operator's. Only a hash of the token is kept, so that who reads the database cannot take
-- a session over. `password_tag` is made from the password hash: a new password ends every session at once, whoever
-- set it.
CREATE TABLE session (
    token_hash   TEXT PRIMARY KEY,
    account_id   BIGINT,
    operator_id  BIGINT,
    password_tag TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    seen_at      BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL
);
CREATE INDEX session_account ON session (account_id) WHERE account_id IS NOT NULL;

-- A message between Compose and Send, with its recipients as they were checked: up to 10,000 packed, sorted numbers a
-- row. A draft is sent at most once: `send_key` is the campaign's Idempotency-Key.
CREATE TABLE draft (
    account_id  BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    body        TEXT NOT NULL,                      -- JSON: the form, and what was found in its lists
    send_key    TEXT NOT NULL,
    campaign_id BIGINT,                             -- set once it was sent
    PRIMARY KEY (account_id, id)
);
CREATE INDEX draft_created ON draft (created_at);
CREATE TABLE draft_numbers (
    account_id BIGINT NOT NULL,
    draft_id   BIGINT NOT NULL,
    no         INTEGER NOT NULL,
    numbers    {blob} NOT NULL,
    PRIMARY KEY (account_id, draft_id, no)
);

-- A file that somebody uploaded for a list: kept until they say which column to take, and then while its import goes
-- on, whose progress any node can show. It goes after a day.
CREATE TABLE upload (
    account_id BIGINT NOT NULL,
    id         BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    name       TEXT NOT NULL,
    size       BIGINT NOT NULL,
    progress   TEXT,                                -- JSON; NULL while nothing was begun
    PRIMARY KEY (account_id, id)
);
CREATE INDEX upload_created ON upload (created_at);
CREATE TABLE upload_piece (
    account_id BIGINT NOT NULL,
    upload_id  BIGINT NOT NULL,
    no         INTEGER NOT NULL,
    body       {blob} NOT NULL,
    PRIMARY KEY (account_id, upload_id, no)
);

-- What became of the messages of a stretch of time, by when their campaigns were accepted. Counted when somebody
-- looks, kept until it may have changed.
CREATE TABLE tally (
    account_id BIGINT NOT NULL,
    starts_at  BIGINT NOT NULL,
    ends_at    BIGINT NOT NULL,
    counted_at BIGINT NOT NULL,
    messages   BIGINT NOT NULL,
    delivered  BIGINT NOT NULL,
    failed     BIGINT NOT NULL,
    PRIMARY KEY (account_id, starts_at, ends_at)
);

-- A large campaign's receipts by time and code, counted when somebody looks.
CREATE TABLE campaign_course (
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    counted_at  BIGINT NOT NULL,
    body        TEXT NOT NULL,                      -- JSON
    PRIMARY KEY (account_id, campaign_id)
);

-- Up to when the account's people have read what a handset wrote, and what they answered from the console.
CREATE TABLE reply_read (
    account_id BIGINT NOT NULL,
    handset    BIGINT NOT NULL,
    read_until BIGINT NOT NULL,
    PRIMARY KEY (account_id, handset)
);
CREATE TABLE reply_answer (
    account_id  BIGINT NOT NULL,
    handset     BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (account_id, handset, campaign_id)
);

-- The console lists an account's campaigns, and counts its days, by when they were accepted.
CREATE INDEX campaign_created ON campaign (account_id, created_at);

INSERT INTO counter (name, value) VALUES ('operator', 1), ('draft', 1), ('upload', 1);
