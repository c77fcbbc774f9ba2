-- What an operator sets about an account's sending. Every column has a default that changes nothing, so that nodes
-- of the version before go on working beside this one.
ALTER TABLE account ADD COLUMN approved_only SMALLINT NOT NULL DEFAULT 0;   -- 1: originators must be in `originator`
ALTER TABLE account ADD COLUMN credit_limit BIGINT NOT NULL DEFAULT 0;      -- how far below zero the balance may go
ALTER TABLE account ADD COLUMN daily_cap BIGINT;                            -- credits a local day; NULL: no cap
ALTER TABLE account ADD COLUMN day_starts BIGINT NOT NULL DEFAULT 0;        -- the local day that `day_spent` counts
ALTER TABLE account ADD COLUMN day_spent BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN low_balance BIGINT;                          -- a balance below it is low; NULL: no mark
ALTER TABLE account ADD COLUMN countries TEXT NOT NULL DEFAULT '';          -- ISO codes with commas; '': any
ALTER TABLE account ADD COLUMN shape_only SMALLINT NOT NULL DEFAULT 0;      -- 1: numbers need E.164 shape, no more
ALTER TABLE account ADD COLUMN smart_encoding SMALLINT NOT NULL DEFAULT 0;

-- Approved sender IDs, as they go on air.
CREATE TABLE originator (
    account_id BIGINT NOT NULL,
    originator TEXT NOT NULL,
    added_at   BIGINT NOT NULL,
    PRIMARY KEY (account_id, originator)
);

-- Credits a segment costs, by the recipient's country: an ISO code, or 'other' for all that have no rate of their
-- own. Account 0 stands for everybody.
CREATE TABLE rate (
    account_id BIGINT NOT NULL,
    country    TEXT NOT NULL,
    credits    INTEGER NOT NULL,
    PRIMARY KEY (account_id, country)
);
