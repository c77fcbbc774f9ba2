-- The rows of Cooee. Times are UTC milliseconds, canonical MSISDNs are BIGINT, raw addresses are TEXT, yes/no is
-- SMALLINT 0/1, credits are whole numbers. The primary key of what belongs to an account begins with account_id,
-- so that a PostgreSQL that shards by account can take over. Lines `-- [engine]` limit what follows to an engine.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- Blocks of ids are taken from here (ids.py), so that a row's id costs no statement of its own.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('campaign', 1000001), ('account', 1001), ('carrier', 1), ('engine', 1), ('batch', 1000000000);

CREATE TABLE account (
    id                  BIGINT PRIMARY KEY,
    name                TEXT NOT NULL UNIQUE,
    password_hash       TEXT NOT NULL,
    parent_id           BIGINT REFERENCES account (id),
    state               SMALLINT NOT NULL,          -- 1 active, 2 suspended
    credits             BIGINT NOT NULL,            -- always the sum of its ledger rows
    ledger_no           BIGINT NOT NULL,            -- number of the newest ledger row
    zone                TEXT NOT NULL,
    country             TEXT NOT NULL,
    allow_unicode       SMALLINT NOT NULL,
    allow_long          SMALLINT NOT NULL,
    allow_international SMALLINT NOT NULL,
    may_add_credits     SMALLINT NOT NULL,
    times_utc           SMALLINT NOT NULL,
    window_opens        SMALLINT,                   -- minutes after local midnight; both NULL: always open
    window_closes       SMALLINT,
    created_at          BIGINT NOT NULL,
    suspended_at        BIGINT
);

-- Append-only. An account's rows are numbered without gaps; the row lock on `account` orders them.
CREATE TABLE ledger (
    account_id  BIGINT NOT NULL,
    no          BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    amount      BIGINT NOT NULL,
    kind        TEXT NOT NULL,                      -- opening, charge, refund, topup, adjustment
    campaign_id BIGINT,
    reason      TEXT NOT NULL,
    PRIMARY KEY (account_id, no)
);

CREATE TABLE carrier (
    id         BIGINT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    state      SMALLINT NOT NULL,                   -- 1 active, 2 paused, 3 removed
    settings   TEXT NOT NULL,                       -- JSON object
    secret     TEXT NOT NULL,                       -- encrypted with the key file; '' for none
    tps        BIGINT NOT NULL,                     -- segments a second over all binds; 0: no limit
    binds      SMALLINT NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE campaign (
    account_id            BIGINT NOT NULL,
    id                    BIGINT NOT NULL,
    state                 SMALLINT NOT NULL,        -- model/campaign.py
    originator            TEXT NOT NULL,
    body                  TEXT NOT NULL,
    encoding              SMALLINT NOT NULL,        -- SMPP data_coding: 0 GSM-7, 8 UCS-2
    segments              SMALLINT NOT NULL,
    concat_ref            INTEGER NOT NULL,
    reference             TEXT,
    created_at            BIGINT NOT NULL,
    due_at                BIGINT,                   -- as asked for; NULL: at once
    wake_at               BIGINT,                   -- when the scheduler looks: due, or when the window opens
    started_at            BIGINT,
    stopped_at            BIGINT,                   -- since when it is paused
    finished_at           BIGINT,
    messages              BIGINT NOT NULL,
    credits               BIGINT NOT NULL,
    batches               BIGINT NOT NULL,
    dropped_invalid       BIGINT NOT NULL,
    dropped_duplicate     BIGINT NOT NULL,
    dropped_international BIGINT NOT NULL,
    PRIMARY KEY (account_id, id)
);
CREATE INDEX campaign_id ON campaign (id);
-- One index a state: SQLite uses a partial index only where the query repeats its condition word for word.
CREATE INDEX campaign_accepting ON campaign (id) WHERE state = 0;
CREATE INDEX campaign_starting ON campaign (id) WHERE state = 2;
CREATE INDEX campaign_running ON campaign (id) WHERE state = 3;
CREATE INDEX campaign_wake ON campaign (wake_at) WHERE state = 1;
CREATE INDEX campaign_reference ON campaign (account_id, reference) WHERE reference IS NOT NULL;

-- Up to about 500 recipients that travel together: one carrier, the same credits each. `numbers` is a packed,
-- sorted array of little-endian 64-bit MSISDNs. What is in doubt after a crash lies between `recorded` and
-- `marked` and has no message row of this attempt.
CREATE TABLE batch (
    account_id   BIGINT NOT NULL,
    campaign_id  BIGINT NOT NULL,
    no           BIGINT NOT NULL,
    carrier_id   BIGINT,                            -- NULL: not dealt yet
    turn         BIGINT NOT NULL,                   -- place in the carrier's queue: campaigns take turns
    state        SMALLINT NOT NULL,                 -- model/campaign.py
    attempt      SMALLINT NOT NULL,
    size         INTEGER NOT NULL,
    credits_each INTEGER NOT NULL,
    flags        SMALLINT NOT NULL,                 -- 1: these were uncertain once, so they stay charged
    not_before   BIGINT,
    first_at     BIGINT,                            -- when its recipients were first tried
    expires_at   BIGINT,                            -- nothing is tried after this
    owner        BIGINT,                            -- the engine that has it out
    epoch        BIGINT NOT NULL,
    marked       INTEGER NOT NULL,
    recorded     INTEGER NOT NULL,
    numbers      {blob} NOT NULL,
    PRIMARY KEY (account_id, campaign_id, no)
);
-- Only what can be claimed is in here: an index over all states collapses under churn.
CREATE INDEX batch_ready ON batch (carrier_id, turn, campaign_id, no) WHERE state = 2;
CREATE INDEX batch_delayed ON batch (not_before) WHERE state = 3;
CREATE INDEX batch_out ON batch (owner) WHERE state = 4;

-- The journal of outcomes. No row is written for a recipient that still waits. `accepted`, `delivered` and
-- `failed` hold one bit for each part; a state never goes down (model/message.py).
CREATE TABLE message (
    account_id   BIGINT NOT NULL,
    campaign_id  BIGINT NOT NULL,
    destination  BIGINT NOT NULL,
    state        SMALLINT NOT NULL,
    attempt      SMALLINT NOT NULL,
    carrier_id   BIGINT,
    parts        SMALLINT NOT NULL,
    accepted     BIGINT NOT NULL,
    delivered    BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    flags        SMALLINT NOT NULL,                 -- 1: was uncertain; 2: was sent again after that
    credits      INTEGER NOT NULL,
    first_at     BIGINT NOT NULL,
    changed_at   BIGINT NOT NULL,
    uncertain_until BIGINT,                         -- when the carrier's policy decides
    code         BIGINT NOT NULL,                   -- what DRStatus shows as Code
    detail       TEXT,                              -- what the carrier said, raw
    PRIMARY KEY (account_id, campaign_id, destination)
    -- [sqlite]
) WITHOUT ROWID;
    -- [postgres]
) PARTITION BY RANGE (campaign_id);
-- [both]
CREATE INDEX message_uncertain ON message (account_id, campaign_id, destination) WHERE state = 2;
CREATE INDEX message_doubt ON message (carrier_id, destination) WHERE state = 2;
CREATE INDEX message_retrying ON message (account_id, campaign_id, destination) WHERE state = 1;

-- Attempts before the one in `message`: only where an uncertain recipient was sent again.
CREATE TABLE attempt (
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    destination BIGINT NOT NULL,
    attempt     SMALLINT NOT NULL,
    carrier_id  BIGINT,
    parts       SMALLINT NOT NULL,
    accepted    BIGINT NOT NULL,
    delivered   BIGINT NOT NULL,
    failed      BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (account_id, campaign_id, destination, attempt)
);

-- Which message an SMSC id stands for. Not unique: SMSC counters restart; the newest under 7 days counts.
CREATE TABLE segment_ref (
    carrier_id  BIGINT NOT NULL,
    smsc_id     TEXT NOT NULL,
    at          BIGINT NOT NULL,
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    destination BIGINT NOT NULL,
    part        SMALLINT NOT NULL,
    attempt     SMALLINT NOT NULL,
    -- [sqlite]
    PRIMARY KEY (carrier_id, smsc_id, at, account_id, campaign_id, destination, part)
) WITHOUT ROWID;
-- Answers of a slice as one blob, merged into segment_ref later and in order (refs.py says why).
CREATE TABLE slice_answer (
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);
    -- [postgres]
    CHECK (part >= 0)
) PARTITION BY RANGE (at);
CREATE INDEX segment_ref_id ON segment_ref (carrier_id, smsc_id);
CREATE TABLE message_default PARTITION OF message DEFAULT;
CREATE TABLE segment_ref_default PARTITION OF segment_ref DEFAULT;
CREATE FUNCTION make_partition(parent TEXT, name TEXT, low BIGINT, high BIGINT) RETURNS VOID AS $$
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)', name, parent, low, high);
END
$$ LANGUAGE plpgsql;
-- [both]

-- Receipts that matched nothing yet, under each reading of their id (as given, hex → decimal, decimal → hex).
CREATE TABLE orphan_receipt (
    id          {serial},
    carrier_id  BIGINT NOT NULL,
    id_1        TEXT NOT NULL,
    id_2        TEXT,
    id_3        TEXT,
    handset     BIGINT,
    originator  TEXT NOT NULL,
    kind        SMALLINT NOT NULL,                  -- 0 still open, 1 delivered, 2 failed
    error       TEXT NOT NULL,
    code        BIGINT NOT NULL,
    at          BIGINT NOT NULL
);
CREATE INDEX orphan_receipt_1 ON orphan_receipt (carrier_id, id_1);
CREATE INDEX orphan_receipt_2 ON orphan_receipt (carrier_id, id_2) WHERE id_2 IS NOT NULL;
CREATE INDEX orphan_receipt_3 ON orphan_receipt (carrier_id, id_3) WHERE id_3 IS NOT NULL;
CREATE INDEX orphan_receipt_at ON orphan_receipt (at);

CREATE TABLE optout (
    account_id  BIGINT NOT NULL,
    destination BIGINT NOT NULL,
    added_at    BIGINT NOT NULL,
    reason      TEXT NOT NULL,
    body        TEXT NOT NULL,
    PRIMARY KEY (account_id, destination)
);

CREATE TABLE idempotency (
    account_id BIGINT NOT NULL,
    key        TEXT NOT NULL,
    digest     TEXT NOT NULL,                       -- of the body
    answer     TEXT NOT NULL,                       -- JSON
    at         BIGINT NOT NULL,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_at ON idempotency (at);

-- Engines show that they live by raising `beat`; nobody compares two machines' clocks.
CREATE TABLE engine (
    id         BIGINT PRIMARY KEY,
    name       TEXT NOT NULL,
    beat       BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);

CREATE TABLE bind_lease (
    carrier_id BIGINT NOT NULL,
    no         SMALLINT NOT NULL,
    owner      BIGINT NOT NULL,
    PRIMARY KEY (carrier_id, no)
);

-- Recipients by state, counted anew by a sweep while a campaign moves.
CREATE TABLE campaign_count (
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    state       SMALLINT NOT NULL,
    messages    BIGINT NOT NULL,
    PRIMARY KEY (account_id, campaign_id, state)
);

-- Inbound PDUs and answers that could not be stored as what they are: kept raw, alarmed, acknowledged.
CREATE TABLE quarantine (
    id         {serial},
    at         BIGINT NOT NULL,
    carrier_id BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    body       {blob} NOT NULL,
    reason     TEXT NOT NULL
);
