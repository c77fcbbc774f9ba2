-- Sign-ups for a trial: strangers who wait for an operator, or for the link in a mail. None of them is an account.

-- A waiting one keeps its name for itself (`name_key`: in small letters). The password hash moves to the account; of
-- one that was refused or has expired it goes with the row.
CREATE TABLE signup (
    id            BIGINT PRIMARY KEY,
    created_at    BIGINT NOT NULL,
    state         SMALLINT NOT NULL,                -- model/signup.py: SignupState
    over_at       BIGINT NOT NULL,                  -- waiting: when it expires; else when it was decided
    name          TEXT NOT NULL,
    name_key      TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    company       TEXT NOT NULL,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL,                    -- the same for every way to write one mailbox
    zone          TEXT NOT NULL,
    country       TEXT NOT NULL,
    network       TEXT NOT NULL,                    -- where it came from
    account_id    BIGINT,                           -- what it became
    mail_state    SMALLINT NOT NULL,                -- model/signup.py: MailState
    mail_at       BIGINT NOT NULL,                  -- due: when it is tried, or tried again; sent: when
    mail_tries    INTEGER NOT NULL,
    mail_error    TEXT NOT NULL
);
CREATE UNIQUE INDEX signup_name ON signup (name_key) WHERE state = 0;
CREATE INDEX signup_mail ON signup (mail_at) WHERE state = 0 AND mail_state = 1;
CREATE INDEX signup_email ON signup (email_key);
CREATE INDEX signup_over ON signup (over_at);

-- Links that went out, one for each try to send its mail: a mail of which nobody knows whether it arrived must still
-- work. Only hashes are kept: who reads the database cannot confirm anything.
CREATE TABLE signup_link (
    token_hash TEXT PRIMARY KEY,
    signup_id  BIGINT NOT NULL,
    made_at    BIGINT NOT NULL
);
CREATE INDEX signup_link_made ON signup_link (made_at);

-- Who tried, for the limits, which all nodes share. `stored`: it became a sign-up.
CREATE TABLE signup_try (
    id      {serial},
    at      BIGINT NOT NULL,
    network TEXT NOT NULL,
    stored  SMALLINT NOT NULL
);
CREATE INDEX signup_try_at ON signup_try (at);
CREATE INDEX signup_try_network ON signup_try (network, at);

-- Who is behind an account that came of a sign-up, and which mailbox had its trial with it (`granted`): there is one of
-- those for a mailbox. It stays as long as the account: that is what makes a trial one.
CREATE TABLE trial (
    account_id BIGINT PRIMARY KEY,
    email      TEXT NOT NULL,
    email_key  TEXT NOT NULL,
    company    TEXT NOT NULL,
    granted    SMALLINT NOT NULL,
    at         BIGINT NOT NULL
);
CREATE UNIQUE INDEX trial_mailbox ON trial (email_key) WHERE granted = 1;

INSERT INTO counter (name, value) VALUES ('signup', 1);
