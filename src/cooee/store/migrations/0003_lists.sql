-- Stored lists of numbers, which campaigns can be sent to.

INSERT INTO counter (name, value) VALUES ('list', 2001);

-- A list that is deleted keeps its rows. One that is being filled piece by piece counts as deleted until it is
-- whole, so that nobody sees a part of it.
CREATE TABLE list (
    account_id  BIGINT NOT NULL,
    id          BIGINT NOT NULL,
    description TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    deleted_at  BIGINT,
    count       BIGINT NOT NULL,                    -- always how many rows it has in list_number
    PRIMARY KEY (account_id, id)
);

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

-- Which campaigns were sent to a list. Their recipients are in `batch`; this is for the list's own page.
CREATE TABLE campaign_list (
    account_id  BIGINT NOT NULL,
    list_id     BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    PRIMARY KEY (account_id, list_id, campaign_id)
    -- [sqlite]
) WITHOUT ROWID;
    -- [postgres]
);
-- [both]
