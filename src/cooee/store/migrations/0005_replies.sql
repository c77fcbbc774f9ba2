-- Receiving: whose numbers handsets write to, what they wrote, and who must not be written to any more.

INSERT INTO counter (name, value) VALUES ('reply', 1);

-- The numbers that handsets write to. A row says who gets what comes for a number; a shared number has one for each
-- account that shares it. It is found before an account is known, so the key begins with the number. Times are UTC ms.
CREATE TABLE inbound_number (
    number     TEXT NOT NULL,                       -- E.164 digits without `+`, or the digits of a short code
    carrier_id BIGINT NOT NULL,                     -- 0: over any carrier; a carrier's own row goes before that
    account_id BIGINT NOT NULL,
    kind       SMALLINT NOT NULL,                   -- 1 dedicated, 2 shared, 3 opt-outs (model/inbound.py)
    country    TEXT NOT NULL,                       -- how senders in national form are read
    added_at   BIGINT NOT NULL,
    PRIMARY KEY (number, carrier_id, account_id)
);
CREATE UNIQUE INDEX inbound_number_sole ON inbound_number (number, carrier_id) WHERE kind <> 2;
CREATE INDEX inbound_number_account ON inbound_number (account_id);

-- The newest campaign that was handed over from a number of ours to a handset, for each account. Asked for by number
-- and handset before an account is known.
CREATE TABLE last_contact (
    number      TEXT NOT NULL,
    handset     BIGINT NOT NULL,
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    -- [sqlite]
    PRIMARY KEY (number, handset, account_id)
) WITHOUT ROWID;
    -- [postgres]
    PRIMARY KEY (number, handset, account_id)
);
-- [both]
CREATE INDEX last_contact_at ON last_contact (at);

-- What was written to an account's numbers. `originator` is as the API shows it: E.164 digits where it is a number,
-- else what the carrier wrote. `reference` is ReferenceId, fixed when the reply came in.
CREATE TABLE reply (
    account_id   BIGINT NOT NULL,
    id           BIGINT NOT NULL,                   -- of no order among nodes: sort by (received_at, id)
    received_at  BIGINT NOT NULL,
    carrier_id   BIGINT NOT NULL,
    originator   TEXT NOT NULL,
    handset      BIGINT,                            -- the canonical MSISDN; NULL for a sender that is no number
    recipient    TEXT NOT NULL,                     -- the number that was written to
    body         TEXT NOT NULL,
    kind         SMALLINT NOT NULL,                 -- 0 reply, 1 it opted out, 2 it came back (model/inbound.py)
    parts        SMALLINT NOT NULL,                 -- parts that it was sent in
    missing      SMALLINT NOT NULL,                 -- of those, how many never came
    campaign_id  BIGINT,                            -- the campaign that it answers
    reference    TEXT NOT NULL,
    retrieved_at BIGINT,                            -- when a poll passed it on
    -- [sqlite]
    PRIMARY KEY (account_id, id)
) WITHOUT ROWID;
    -- [postgres]
    PRIMARY KEY (account_id, id)
);
-- [both]
CREATE INDEX reply_new ON reply (account_id, received_at, id) WHERE retrieved_at IS NULL;
CREATE INDEX reply_at ON reply (account_id, received_at, id);
CREATE INDEX reply_from ON reply (account_id, handset, received_at, id) WHERE handset IS NOT NULL;

-- Written to a number that is nobody's, or to a shared one by a handset that nobody has written to: kept for a
-- person to assign. The id is kept when it moves to `reply`.
CREATE TABLE unrouted_reply (
    id          BIGINT PRIMARY KEY,
    received_at BIGINT NOT NULL,
    carrier_id  BIGINT NOT NULL,
    originator  TEXT NOT NULL,
    handset     BIGINT,
    recipient   TEXT NOT NULL,
    body        TEXT NOT NULL,
    parts       SMALLINT NOT NULL,
    missing     SMALLINT NOT NULL
);
CREATE INDEX unrouted_reply_to ON unrouted_reply (recipient, received_at, id);
CREATE INDEX unrouted_reply_at ON unrouted_reply (received_at, id);

-- Parts of long replies, until the last one has come or their time is over. `concat` is the reference of the
-- concatenation, with the width of it in front, so that the kinds never meet; `body` is user data without its header.
CREATE TABLE reply_part (
    carrier_id  BIGINT NOT NULL,
    originator  TEXT NOT NULL,                      -- as the carrier wrote both
    recipient   TEXT NOT NULL,
    concat      BIGINT NOT NULL,
    total       SMALLINT NOT NULL,
    no          SMALLINT NOT NULL,                  -- from 1
    ton         SMALLINT NOT NULL,                  -- of the originator
    coding      SMALLINT NOT NULL,
    received_at BIGINT NOT NULL,
    body        {blob} NOT NULL,
    PRIMARY KEY (carrier_id, originator, recipient, concat, total, no)
);
CREATE INDEX reply_part_at ON reply_part (received_at);

-- What came in and whose acknowledgement may not have reached the SMSC: there, it would be sent again. Forgotten as
-- soon as its connection has outlived the acknowledgement (docs/decisions/0008-repeated-replies.md).
CREATE TABLE inbound_seen (
    carrier_id BIGINT NOT NULL,
    digest     BIGINT NOT NULL,
    connection BIGINT NOT NULL,                     -- drawn anew for each connection
    no         BIGINT NOT NULL,                     -- the same text may be sent twice over one connection
    at         BIGINT NOT NULL,
    -- [sqlite]
    PRIMARY KEY (carrier_id, digest, connection, no)
) WITHOUT ROWID;
    -- [postgres]
    PRIMARY KEY (carrier_id, digest, connection, no)
);
-- [both]
CREATE INDEX inbound_seen_at ON inbound_seen (at);

-- Who opted out has a row in `optout` for as long as it holds; then it moves here. The two are the whole history.
ALTER TABLE optout ADD COLUMN who TEXT NOT NULL DEFAULT '';
CREATE INDEX optout_newest ON optout (account_id, added_at, destination);
CREATE TABLE optout_past (
    account_id  BIGINT NOT NULL,
    destination BIGINT NOT NULL,
    added_at    BIGINT NOT NULL,
    deleted_at  BIGINT NOT NULL,
    reason      TEXT NOT NULL,                      -- Client, Reply or Admin
    who         TEXT NOT NULL,                      -- the account, handset or operator that did it
    body        TEXT NOT NULL,                      -- what the handset wrote
    deleted_reason TEXT NOT NULL,
    deleted_who    TEXT NOT NULL,
    deleted_body   TEXT NOT NULL,
    PRIMARY KEY (account_id, destination, added_at, deleted_at)
);

-- Words that opt a handset out, or bring it back, when they are all that it writes. In lower case.
ALTER TABLE account ADD COLUMN keywords SMALLINT NOT NULL DEFAULT 1;
CREATE TABLE keyword (
    word TEXT PRIMARY KEY,
    kind SMALLINT NOT NULL                          -- 1 opts out, 2 comes back
);
INSERT INTO keyword (word, kind) VALUES
    ('stop', 1), ('stopall', 1), ('stop all', 1), ('unsubscribe', 1), ('unsub', 1), ('cancel', 1), ('end', 1),
    ('quit', 1), ('optout', 1), ('opt out', 1), ('opt-out', 1), ('remove', 1), ('revoke', 1),
    ('stopp', 1), ('abmelden', 1), ('abbestellen', 1),
    ('arret', 1), ('arrêt', 1), ('arreter', 1), ('arrêter', 1), ('désabonner', 1), ('desabonner', 1),
    ('baja', 1), ('alto', 1), ('parar', 1), ('cancelar', 1), ('sair', 1),
    ('annulla', 1), ('ferma', 1), ('afmelden', 1), ('avsluta', 1), ('rezygnuję', 1), ('стоп', 1),
    ('start', 2), ('unstop', 2), ('resume', 2), ('subscribe', 2), ('optin', 2), ('opt in', 2), ('opt-in', 2),
    ('anmelden', 2), ('alta', 2), ('aanmelden', 2), ('старт', 2);

-- What an account answers to a keyword, if anything.
CREATE TABLE keyword_answer (
    account_id BIGINT NOT NULL,
    kind       SMALLINT NOT NULL,
    body       TEXT NOT NULL,
    PRIMARY KEY (account_id, kind)
);

-- Answers that are to be sent, or were: one a handset and day. Written with the reply; the scheduler makes a campaign
-- of it.
CREATE TABLE auto_answer (
    account_id  BIGINT NOT NULL,
    handset     BIGINT NOT NULL,
    day         BIGINT NOT NULL,                    -- days since 1970 in the account's zone
    state       SMALLINT NOT NULL,                  -- 0 due, 1 accepted, 2 skipped
    kind        SMALLINT NOT NULL,
    number      TEXT NOT NULL,
    body        TEXT NOT NULL,
    at          BIGINT NOT NULL,
    campaign_id BIGINT,
    skipped     TEXT,                               -- why
    PRIMARY KEY (account_id, handset, day)
);
CREATE INDEX auto_answer_due ON auto_answer (at) WHERE state = 0;
CREATE INDEX auto_answer_at ON auto_answer (at);

-- Answers to STOP must reach who has just opted out.
ALTER TABLE campaign ADD COLUMN unwashed SMALLINT NOT NULL DEFAULT 0;

-- Who polls an account's replies: until when its polls are paid for (UTC ms; a poll costs a minute, and three may be
-- owed), and which poll is being answered. `beat` rises while that poll's node lives.
CREATE TABLE reply_poll (
    account_id BIGINT PRIMARY KEY,
    paid_until BIGINT NOT NULL,
    holder     BIGINT,                              -- drawn anew for each poll
    beat       BIGINT NOT NULL
);
