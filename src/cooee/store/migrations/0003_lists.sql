-- Stored lists of numbers, which campaigns can be sent to.

INSERT INTO counter (name, value) VALUES ('list', 2001);

-- A list that is deleted keeps its rows. One that is being filled piece by piece is there for nobody until it is
-- whole: `filling_at` is the time of its newest piece, and 0 once it is given up.
CREATE TABLE list (
    account_id  BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    description TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    deleted_at  BIGINT,
    filling_at  BIGINT,
    count       BIGINT NOT NULL,                    -- always how many rows it has in list_number
    PRIMARY KEY (account_id, id)
);
CREATE INDEX list_filling ON list (filling_at) WHERE filling_at IS NOT NULL;

-- Any number of E.164 shape: what a campaign may be sent to is judged when it is accepted.
CREATE TABLE list_number (
    account_id BIGINT NOT NULL,
    list_id    BIGINT NOT NULL,
    number     BIGINT NOT NULL,
    PRIMARY KEY (account_id, list_id, number)
    -- [sqlite]
) WITHOUT ROWID;
    -- [postgres]
);
-- [both]

-- To which lists a campaign was sent. Its recipients are in `batch`; this tells a list's newest campaign, which is
-- found from the few campaigns that are not over: a list may have had thousands.
CREATE TABLE campaign_list (
    account_id  BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    list_id     BIGINT NOT NULL,
    PRIMARY KEY (account_id, campaign_id, list_id)
    -- [sqlite]
) WITHOUT ROWID;
    -- [postgres]
);
-- [both]
